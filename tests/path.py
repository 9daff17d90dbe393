"""The path of a job without a broker: the same verbs that the tasks call, until nothing moves."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from accounts.models import User
from config.celery import app
from generation import sweep as generation_sweep
from generation.actions import jobs
from generation.engine import EngineBroken
from generation.engine.fake import FakeEngine
from generation.models import Job
from generation.offer import check
from generation.tasks import draw_waiting
from journal.models import Wakeup
from journal.outbox import publish
from moderation import sweep as moderation_sweep
from moderation.screening.worker import screen_waiting


@lru_cache
def armoury() -> Any:
    """The fake classifiers, which read a mark that the fake engine paints."""
    from moderation.arming import load_armoury

    return load_armoury()


def submit(person: User, prompt: str = "a red apple on blue", *, key: str | None = None, **fields: Any) -> Job:
    """Order as the studio does."""
    return jobs.submit(person, check(prompt=prompt, **fields), route="tests", idempotency_key=key)


def work(*, relay: bool = False) -> None:
    """Screen and draw until nothing is left to do at this moment."""
    while True:
        done = screen_waiting(armoury(), worker="tests") + _draw()
        if relay:
            app.conf.broker_url = "memory://"
            done += publish(app)
        if not done:
            return


def _draw() -> int:
    """Draw what waits; where the worker finds itself broken, a fresh one goes on."""
    try:
        return draw_waiting(FakeEngine(), worker="tests")
    except EngineBroken:
        return 1


def work_prompts() -> None:
    """Screen what waits, draw nothing."""
    while screen_waiting(armoury(), worker="tests"):
        pass


def sweep() -> None:
    """What the sweeper does each turn, but for the seal."""
    generation_sweep.recover_lost_leases()
    moderation_sweep.recover_lost_leases()


def until(condition: Callable[[], Any], *, seconds: float = 30.0, what: str = "the condition") -> Any:
    """Ask until it is so. A deadline that is never meant to be reached, not a measure of speed."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds:g} s")
        time.sleep(0.02)
    return answer


def forget_wakeups() -> None:
    """As if the broker had lost them."""
    Wakeup.objects.all().delete()
