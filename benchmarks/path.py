"""From the submit to the first drawn step, with an idle worker. Target: p50 under 150 ms, p99 under 500 ms."""

import os
import time

import httpx

from benchmarks.world import line, select_one, times, world

ROUNDS = 150


def main() -> None:
    with world() as made:
        from accounts import keys
        from generation.models import Job
        from tests.people import cast
        from tests.processes import Platform

        people = cast(credits=1_000_000)
        _, secret = keys.create(people.alice, "bench")
        os.environ["LEASE_SECONDS"] = "30"
        with Platform(made.folder / "platform", made.urls) as platform, httpx.Client(timeout=60) as client:
            empty = times(lambda: client.get(f"{platform.address}/health/live"), 100)
            beside = times(select_one, 300)
            client.headers["Authorization"] = f"Bearer {secret}"
            to_start, to_end = [], []
            for number in range(ROUNDS + 5):
                began = time.time()
                answer = client.post(f"{platform.address}/v1/images/generations", json={"prompt": f"apple {number}"})
                assert answer.status_code == 200, answer.text
                ended = time.time()
                job = Job.objects.get(pk=answer.json()["vaglio"]["job"])
                assert job.started_at is not None
                if number >= 5:
                    to_start.append(job.started_at.timestamp() - began)
                    to_end.append(ended - began)
            line("SELECT 1", beside, beside)
            line("an empty view over HTTP", empty, beside)
            line("submit to start of drawing", to_start, empty, target="target p50 < 150, p99 < 500 ms")
            line("submit to released picture (fake engine)", to_end, empty)


if __name__ == "__main__":
    main()
