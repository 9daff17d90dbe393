"""The process is killed at every named place of the path. Nothing is lost, minted or shown too early."""

import gc
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from generation.models import Job
from journal.models import IdempotentCall
from moderation.models import Case
from tests import path, places
from tests.crash import scenes
from tests.invariants import assert_nothing_lost
from tests.people import cast

ROOT = Path(__file__).resolve().parent.parent.parent

# Transactions that are not on the path of a job, with the reason why nothing is killed there.
OFF_THE_PATH = {
    "accounts.sign_up": "before any job; a form that got no answer is sent again",
    "demo.seed": "makes the demo's cast; it is run again at the next start",
}

# Money's own places: tests/crash/test_till.py kills there.
ELSEWHERE = ("till.", "wallet.repay")


@pytest.fixture
def short_leases(settings: Any, fresh_database: str) -> None:
    """A worker that fell silent is missed after a moment."""
    settings.LEASE_SECONDS = 0.4


def in_child(scene: Callable[[], None], *, kill_at: str = "") -> int:
    """Play a scene in a process of its own, killed at `kill_at`. Returns its signal, or 0 when it came through."""
    connections.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    # What was left lying about is not the child's to clear away: a session of onnxruntime waits for ever for threads
    # that no child has.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.environ["VAGLIO_FAILPOINT"] = kill_at
            scene()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    gc.unfreeze()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, "the child failed; its traceback stands above"
    return 0


def on_the_path() -> list[str]:
    return sorted(
        place
        for place in places.failpoints()
        if place.removesuffix(".before_commit").removesuffix(".after_commit") not in OFF_THE_PATH
        and not place.startswith(ELSEWHERE)
    )


# Done by whoever comes first, so that a life reaches them once: each of their places has a life of its own.
ONCE = frozenset({"sweep.expire", "sweep.grant_monthly", "upload", "till.put_off"})


def by_step(named: list[str]) -> list[list[str]]:
    """The places of each step, those before something first: one life is killed at each of them in turn."""
    steps: dict[str, list[str]] = {}
    for place in sorted(named, key=lambda place: (place.rpartition(".")[0], ".after" in place)):
        step = place.rpartition(".")[0]
        steps.setdefault(place if step in ONCE else step, []).append(place)
    return list(steps.values())


def leases_end() -> None:
    """As if the time had passed in which a silent worker is waited for."""
    past = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(lease_until__isnull=False).update(lease_until=past)
    Case.objects.filter(lease_until__isnull=False).update(lease_until=past)
    Case.objects.filter(retry_at__isnull=False, lease_token__isnull=True).update(retry_at=None)
    path.sweep()


@pytest.mark.parametrize("places_of_step", by_step(on_the_path()), ids=lambda step: step[0])
def test_a_kill_here_loses_nothing(places_of_step: list[str], short_leases: None) -> None:
    cast()
    for place in places_of_step:
        killed_by = in_child(scenes.reaching(place), kill_at=place)
        assert killed_by == signal.SIGKILL, f"{place} was never reached"
        leases_end()
    in_child(scenes.to_the_end)
    assert_nothing_lost()
    keys = set(IdempotentCall.objects.values_list("key", flat=True))
    assert set(scenes.ORDERS) <= keys
    assert Job.objects.count() == len(keys), "an order took effect twice, or not at all"


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
