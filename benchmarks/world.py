"""A PostgreSQL of the benchmark's own, and figures in lines that can be compared."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class World(NamedTuple):
    """A prepared database and a scratch folder. `urls` is what processes need to find it."""

    folder: Path
    urls: dict[str, str]


@contextmanager
def world(*, durable: bool = True, **env: str) -> Iterator[World]:
    """Start PostgreSQL with fsync, prepare a database, and set Django up on it, with the fake engine unless `env` says
    otherwise."""
    from local.postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="vaglio-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "pg", durable=durable)
        server.start()
        try:
            server.provision("bench")
            urls = {"DATABASE_URL": server.app_url("bench"), "DATABASE_OWNER_URL": server.owner_url("bench")}
            os.environ |= urls | {
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "SECRET_KEY": "benchmarks-only-" + "x" * 40,
                "VAGLIO_DATA": str(folder / "data"),
                "VAGLIO_ENGINE": "fake",
                "VAGLIO_CLASSIFIERS": "fake",
                "VAGLIO_POLICIES": f"{ROOT / 'moderation' / 'policies'}{os.pathsep}{ROOT / 'tests' / 'policies'}",
                "VAGLIO_CATALOGUE": str(ROOT / "tests" / "catalogue"),
                "VAGLIO_PLANS": str(ROOT / "tests" / "plans.toml"),
                "LOG_LEVEL": "WARNING",
                "BASE_URL": "http://testserver",
                "ALLOWED_HOSTS": "testserver,127.0.0.1",
                **env,
            }
            import django
            from django.core.management import call_command

            django.setup()
            call_command("prepare_database", verbosity=0)
            yield World(folder, urls)
            from django.db import connections

            connections.close_all()
        finally:
            server.stop()


def times(act: Callable[[], Any], count: int) -> list[float]:
    """Seconds for each of `count` calls."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return taken


def select_one() -> None:
    """The least that a question to the database can cost."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def quantile(taken: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(taken)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def line(what: str, taken: Sequence[float], beside: Sequence[float], *, target: str = "") -> None:
    """Print p50, p95 and p99 in milliseconds, and the ratio of the medians to `beside`."""
    ratio = statistics.median(taken) / statistics.median(beside)
    figures = "  ".join(f"p{int(share * 100)} {1000 * quantile(taken, share):8.2f} ms" for share in (0.5, 0.95, 0.99))
    print(f"{what:<44} {figures}  x{ratio:7.1f}  n={len(taken)}  {target}", flush=True)


def crowd(jobs: int, people: int, *, state: str) -> None:
    """People with jobs and media, straight into the tables; the first person holds a tenth of them."""
    from django.db import connections

    from accounts.models import User

    have = User.objects.count()
    User.objects.bulk_create(
        [User(email=f"p{number}@bench.example", password="!") for number in range(have, people)], batch_size=5000
    )
    finished = "now()" if state == "done" else "NULL"
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO generation_job (id, person_id, state, mode, model, prompt, negative_prompt, width, height,
                steps, guidance_scale, n, unit_price, price, batch_key, created_at, queued_at, finished_at, attempts,
                worker, progress_step, failure)
            SELECT gen_random_uuid(),
                   (SELECT min(id) FROM accounts_user) + CASE WHEN n %% 10 = 0 THEN 0 ELSE n %% %s END,
                   %s, 'text_to_image', 'fake', 'a red apple on blue', '', 512, 512, 20, 4, 1, 4, 4,
                   'fake|512x512|20|' || n %% 4, now() - n * interval '1 second', now() - n * interval '1 second',
                   {finished}, 0, '', 0, ''
              FROM generate_series(1, %s) n
            """,
            [people, state, jobs],
        )
        cursor.execute(
            "INSERT INTO generation_medium (id, job_id, index, seed, state, failure, original_key, original_sha256) "
            "SELECT gen_random_uuid(), id, 0, 1, 'waiting', '', '', '' FROM generation_job job "
            "WHERE NOT EXISTS (SELECT FROM generation_medium WHERE job_id = job.id)"
        )
        cursor.execute("ANALYZE")
