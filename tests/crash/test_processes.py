"""Real processes and the real broker, killed by `kill -9` while work flows."""

from typing import Any

import psutil
import pytest

from generation.models import Job
from tests import path
from tests.invariants import assert_nothing_lost
from tests.path import until
from tests.processes import SIGTERM

# Tests of this file share one platform and run in order; each leaves everything running.


def all_end(jobs: list[Job], *, seconds: float = 60) -> None:
    def ended() -> bool:
        return not Job.objects.filter(pk__in=[job.pk for job in jobs]).open().exists()

    until(ended, seconds=seconds, what="the end of every job")


def states(jobs: list[Job]) -> set[str]:
    return set(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("state", flat=True))


def orders(platform: Any, count: int = 6, prompt: str = "slow:0.02 a boat on yellow") -> list[Job]:
    people = platform.people
    return [path.submit(person, prompt) for _ in range(count // 2) for person in (people.alice, people.carol)]


def drawing() -> bool:
    return Job.objects.filter(state="running", progress_step__gt=1).exists()


@pytest.mark.parametrize("victim", ["draw", "screen", "relay", "sweep", "web"])
def test_a_killed_process_costs_nothing(platform: Any, victim: str) -> None:
    jobs = orders(platform)
    if victim == "draw":
        until(drawing, what="a batch being drawn")
    platform.kill(victim)
    platform.start(victim)
    all_end(jobs)
    assert states(jobs) == {"done"}
    assert_nothing_lost()


def test_a_dead_broker_stops_nothing_that_runs_and_loses_nothing(platform: Any) -> None:
    running = orders(platform, 2, "slow:0.1 a long sunset")
    until(drawing, what="a batch being drawn")
    platform.kill_broker()
    all_end_of_drawing = [job.pk for job in running]
    until(
        lambda: not Job.objects.filter(pk__in=all_end_of_drawing, state__in=["running", "queued"]).exists(),
        what="the running draw to finish without a broker",
    )
    waiting = orders(platform, 4)
    platform.valkey.start()
    all_end([*running, *waiting], seconds=10 + 10)
    assert states([*running, *waiting]) == {"done"}
    assert_nothing_lost()


def test_a_worker_asked_to_stop_finishes_or_gives_back(platform: Any) -> None:
    jobs = orders(platform, 2, "slow:0.1 a long sunset")
    until(drawing, what="a batch being drawn")
    platform.kill("draw", SIGTERM)
    platform.start("draw")
    all_end(jobs)
    assert states(jobs) == {"done"}
    assert_nothing_lost()


def test_no_child_outlives_a_killed_worker(platform: Any) -> None:
    """A prefork child that went on drawing would draw under a lost lease, and hold the GPU's memory."""
    parent = psutil.Process(platform.running["draw"].pid)
    family = [parent, *until(lambda: parent.children(recursive=True), what="the pool's child")]
    parent.kill()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    platform.running.pop("draw").wait(10)
    platform.start("draw")
    jobs = orders(platform, 2)
    all_end(jobs)
