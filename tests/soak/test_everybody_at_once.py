"""Submitters, screeners, painters, moderators, a sweeper and people who cancel, all at once, under short leases."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db import connections

from generation import sweep as generation_sweep
from generation.actions import jobs
from generation.engine import EngineBroken
from generation.engine.fake import FakeEngine
from generation.models import Job
from generation.tasks import draw_waiting
from moderation import sweep as moderation_sweep
from moderation.actions import CannotRelease, CaseTaken, claim_next, decide, lift
from moderation.models import Freeze
from moderation.screening.worker import screen_waiting
from tests import path
from tests.invariants import assert_nothing_lost
from tests.path import until
from tests.people import People, cast

SECONDS = 60
PROMPTS = (
    "a red apple", "a pear", "verdict:review a", "verdict:block b", "verdict:severe c", "slow:0.05 d", "fault:nan e",
    "fault:error f",
)  # fmt: skip
# What one of them may find because another was quicker. Anything else is a fault of ours.
EXPECTED = (CaseTaken, CannotRelease, jobs.AccountOnHold, EngineBroken)


class Crowd:
    """What each of them does, once."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.chance = random.Random(1)

    def submit(self) -> None:
        person = self.chance.choice([self.people.alice, self.people.carol])
        path.submit(person, self.chance.choice(PROMPTS), n=self.chance.choice([1, 2, 3]))

    def screen(self) -> None:
        screen_waiting(path.armoury(), "screen")

    def draw(self) -> None:
        draw_waiting(FakeEngine(), worker="draw")

    def cancel(self) -> None:
        job = Job.objects.open().order_by("?").first()
        if job is not None:
            jobs.cancel(job, actor=job.person)

    def review(self) -> bool:
        moderator = self.chance.choice([self.people.bob, self.people.sofia])
        case = claim_next(moderator)
        if case is None:
            return False
        to = self.chance.choice(["cleared", "refused"]) if case.derivative_key else "refused"
        decide(case, moderator=moderator, to=to, policy_code="", reason="for the test")
        return True

    def sweep(self) -> None:
        generation_sweep.recover_lost_leases()
        moderation_sweep.recover_lost_leases()
        moderation_sweep.refuse_overdue()

    def lift(self) -> None:
        for freeze in Freeze.objects.filter(lifted_at=None):
            lift(freeze, moderator=self.people.sofia, reason="for the test")

    def finish(self) -> bool:
        """One round of what brings everything to its end; whether it is there."""
        for act in (self.lift, self.sweep, path.work):
            act()
        while self.review():
            pass
        return not Job.objects.open().exists()


def test_everybody_at_once_and_nothing_is_lost_or_locked_dead(fresh_database: str, settings: Any) -> None:
    settings.LEASE_SECONDS = 0.5
    settings.MOST_OUTSTANDING_JOBS = 100_000
    crowd = Crowd(cast(credits=1_000_000))
    path.armoury()
    faults: Counter[str] = Counter()
    end = time.monotonic() + SECONDS

    def again_and_again(act: Callable[[], object], pause: float) -> None:
        while time.monotonic() < end:
            try:
                act()
            except EXPECTED:
                pass
            except Exception as error:
                faults[f"{act.__name__}: {type(error).__name__}: {error}"] += 1
            time.sleep(pause)
        connections.close_all()

    parts = [(crowd.submit, 0.05), (crowd.screen, 0.02), (crowd.draw, 0.02), (crowd.review, 0.05)] * 2
    parts += [(crowd.cancel, 0.15), (crowd.sweep, 0.2), (crowd.lift, 0.1)]
    threads = [threading.Thread(target=again_and_again, args=part) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert Job.objects.count() > SECONDS
    until(crowd.finish, seconds=300, what="the end of every job")
    assert_nothing_lost()
