"""Pages and API reads with 100,000 jobs and media. Target: p95 under 60 ms of server time."""

import gc
import os

from benchmarks.world import crowd, line, select_one, times, world

ROUNDS = 60


def release_media() -> None:
    """A cleared case for nine of ten media, so that the gallery has something to show."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        for table in ("moderation_case", "generation_medium"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(
            """
            INSERT INTO moderation_case (subject, key, person_id, state, severity, policy_code, policy_codes,
                evidence, findings, opened_at, decided_at, attempts,
                derivative_key, derivative_sha256, derivative_distance)
            SELECT 'medium', medium.id, job.person_id, 'cleared', 0, '', '[]', '{}', '[]', job.created_at, now(), 1,
                   'x/' || medium.id, repeat('0', 64), 0
              FROM generation_medium medium JOIN generation_job job ON job.id = medium.job_id
             WHERE job.state = 'done' AND abs(hashtext(medium.id::text)) % 10 > 0
            """
        )
        cursor.execute(
            """
            UPDATE generation_medium SET state = 'drawn', original_key = 'x', original_sha256 = repeat('0', 64),
                   case_id = "case".id, drawn_at = now()
              FROM moderation_case "case" WHERE "case".key = generation_medium.id
            """
        )
        for table in ("moderation_case", "generation_medium"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("ANALYZE")


def main() -> None:
    # As in config.asgi: a pool of connections, and nothing that was loaded is collected.
    os.environ["DATABASE_POOL_SIZE"] = "12"
    with world(durable=False):
        from django.test import Client

        from accounts import keys
        from accounts.models import User
        from generation.models import Job

        crowd(100_000, 1_000, state="done")
        release_media()
        heavy = User.objects.order_by("id").first()
        assert heavy is not None
        job = Job.objects.of(heavy).order_by("-created_at").first()
        assert job is not None
        print(f"{heavy.email} holds {Job.objects.of(heavy).count():,} of {Job.objects.count():,} jobs")
        _, secret = keys.create(heavy, "bench")
        page, program = Client(), Client(headers={"Authorization": f"Bearer {secret}"})
        page.force_login(heavy)
        gc.collect()
        gc.freeze()
        empty = times(lambda: page.get("/health/live"), ROUNDS)
        line("SELECT 1", times(select_one, 300), empty)
        line("an empty view", empty, empty)
        for what, client, path in (
            ("studio", page, "/studio/"),
            ("gallery", page, "/gallery/"),
            ("job page", page, f"/jobs/{job.pk}/"),
            ("wallet", page, "/wallet/"),
            ("GET /v1/jobs", program, "/v1/jobs"),
            ("GET /v1/jobs?limit=100", program, "/v1/jobs?limit=100"),
            ("GET /v1/jobs/{id}", program, f"/v1/jobs/{job.pk}"),
            ("GET /v1/credits", program, "/v1/credits"),
        ):

            def ask(client: Client = client, path: str = path) -> None:
                assert client.get(path).status_code == 200, path

            times(ask, 3)
            line(what, times(ask, ROUNDS), empty, target="target p95 < 60 ms")


if __name__ == "__main__":
    main()
