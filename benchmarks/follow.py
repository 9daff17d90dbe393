"""Two hundred people follow their jobs on one web process. Target: an event arrives within 500 ms."""

import asyncio
import json
import time
from typing import Any

import httpx

from benchmarks.world import line, select_one, times, world

FOLLOWERS = 200
CHANGES = 5


async def follow(client: httpx.AsyncClient, address: str, job: Any, ready: asyncio.Semaphore, seen: dict) -> None:
    """Note when each step of a job arrived."""
    async with client.stream("GET", f"{address}/v1/jobs/{job.pk}/events") as stream:
        async for text in stream.aiter_lines():
            if text.startswith("data: {") and '"step"' in text:
                step = json.loads(text.removeprefix("data: "))["step"]
                seen.setdefault((job.pk, step), time.time())
                if step == 0:
                    ready.release()
                if step == CHANGES:
                    return


async def watch(address: str, secret: str, jobs: list[Any]) -> list[float]:
    from asgiref.sync import sync_to_async

    from generation.turns import renew

    seen: dict = {}
    happened: dict = {}
    ready = asyncio.Semaphore(0)
    limits = httpx.Limits(max_connections=FOLLOWERS + 10)
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {secret}"}, timeout=120, limits=limits) as client:
        followers = [asyncio.create_task(follow(client, address, job, ready, seen)) for job in jobs]
        for _ in jobs:
            await ready.acquire()

        def advance(step: int) -> None:
            for job in jobs:
                renew(job.lease_token, progress=step)
                happened[job.pk, step] = time.time()

        for step in range(1, CHANGES + 1):
            await sync_to_async(advance)(step)
            while len(seen) < FOLLOWERS * (step + 1):
                await asyncio.sleep(0.01)
        await asyncio.gather(*followers)
    return [seen[key] - happened[key] for key in happened]


def main() -> None:
    with world() as made:
        from datetime import timedelta
        from uuid import uuid4

        from django.utils import timezone

        from accounts import keys
        from generation.models import Job
        from journal.transactions import step
        from tests.path import submit, work_prompts
        from tests.people import cast
        from tests.processes import Platform

        people = cast(credits=1_000_000)
        _, secret = keys.create(people.alice, "bench")
        jobs = [submit(people.alice, f"apple {number}") for number in range(FOLLOWERS)]
        work_prompts()
        for job in jobs:
            job.refresh_from_db()
            lease = {"lease_token": uuid4(), "lease_until": timezone.now() + timedelta(hours=1)}
            with step("bench"):
                assert job.move({"queued"}, Job.State.RUNNING, reason="bench", **lease)
        platform = Platform(made.folder / "platform", made.urls, MOST_STREAMS=str(FOLLOWERS))
        platform.start("web")
        try:
            from tests.path import until

            def up() -> bool:
                try:
                    return platform.get("/health/live")[0] == 200
                except OSError:
                    return False

            until(up, what="the web process")
            delays = asyncio.run(watch(platform.address, secret, jobs))
        finally:
            platform.stop()
        line(f"event to {FOLLOWERS} followers", delays, times(select_one, 300), target="target < 500 ms")


if __name__ == "__main__":
    main()
