"""The process is killed at every named place of the path. Nothing is lost, minted or shown too early."""

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections

from accounts.models import User
from generation.actions import jobs
from generation.models import Job
from tests import path, places
from tests.invariants import assert_nothing_lost
from tests.people import cast

ROOT = Path(__file__).resolve().parent.parent.parent

# Transactions that are not on the path of a job, with the reason why nothing is killed there.
OFF_THE_PATH = {
    "demo.seed": "makes the demo's cast; it is run again at the next start",
    "job.move": "always inside another transaction of the path, which has its own places",
}
OUTERMOST_ELSEWHERE = {"job.move"}


@pytest.fixture
def short_leases(settings: object, fresh_database: str) -> Iterator[None]:
    """A worker that fell silent is missed after a moment."""
    settings.LEASE_SECONDS = 0.4  # type: ignore[attr-defined]
    yield


def in_child(work: Callable[[], None], *, kill_at: str = "") -> int:
    """Do the work in a process of its own, killed at `kill_at`. Returns its signal, or 0 when it came through."""
    connections.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.environ["VAGLIO_FAILPOINT"] = kill_at
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, "the child failed; its traceback stands above"
    return 0


def whole_path() -> None:
    """Everything that the processes of Vaglio do for a handful of jobs: each verb of the path at least once.

    Orders carry idempotency keys, as a client that lost an answer would send them again.
    """
    alice, carol, bob = (User.objects.get(email=f"{name}@example.org") for name in ("alice", "carol", "bob"))
    first = path.submit(alice, "a red apple on blue", key="one", n=2)
    path.submit(carol, "a green pear on white", key="two")
    path.submit(alice, "fault:nan a ghost", key="three")
    path.submit(carol, "verdict:review a doubtful apple", key="four")
    path.submit(carol, "verdict:block a forbidden apple", key="five")
    cancelled = path.submit(alice, "a boat on yellow", key="six")
    jobs.cancel(cancelled, actor=alice)
    path.work(relay=True)
    assert first.pk
    decide_reviews(bob)
    path.sweep()
    path.work()


def decide_reviews(bob: User) -> None:
    """Bob clears the first case that waits for him and refuses the others."""
    from moderation.actions import claim_next, decide

    while case := claim_next(bob):
        decide(case, moderator=bob, to="cleared", policy_code="", reason="it is an apple")


def seal_all() -> None:
    from django.conf import settings

    from journal.seal import HeadFile, seal_new_lines

    seal_new_lines(HeadFile(settings.AUDIT_HEAD_FILE))


def recover() -> None:
    """What a restarted Vaglio does: clients ask again, leases end, sweepers sweep, until every job is final."""
    whole_path()

    def ended() -> bool:
        path.sweep()
        path.work()
        decide_reviews(User.objects.get(email="bob@example.org"))
        return not Job.objects.open().exists()

    path.until(ended, seconds=30, what="the end of every job")


def on_the_path() -> list[str]:
    return sorted(
        place
        for place in places.failpoints()
        if place.removesuffix(".before_commit").removesuffix(".after_commit") not in OFF_THE_PATH
    )


@pytest.mark.parametrize("place", on_the_path())
def test_a_kill_here_loses_nothing(place: str, short_leases: None) -> None:
    cast()

    def work() -> None:
        whole_path()
        seal_all()

    assert in_child(work, kill_at=place) == signal.SIGKILL, f"{place} was never reached"
    in_child(recover)
    assert_nothing_lost()
    assert Job.objects.count() == 6, "an order took effect twice, or not at all"


def test_at_least_25_places_are_named_and_architecture_lists_each() -> None:
    listed = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", (ROOT / "ARCHITECTURE.md").read_text()))
    assert len(on_the_path()) >= 25
    assert places.failpoints() - listed == set()


def test_every_commit_of_the_path_has_a_place() -> None:
    """A transaction opened past `step` would have no failpoint, and no test that kills it."""
    bare = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for name in ("atomic", "commit", "set_autocommit")
        for path, call in places.called(name)
        if "journal" not in path.parts
    ]
    assert bare == []
