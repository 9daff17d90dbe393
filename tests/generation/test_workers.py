"""What goes wrong with a worker is no fault of the jobs that it happened to hold."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import connection, connections
from django.utils import timezone

from generation import sweep, turns
from generation.actions import drawing
from generation.engine import EngineBroken, WeightsError
from generation.engine.fake import FakeEngine
from generation.models import Job, JobHistory, Turn
from generation.tasks import draw_waiting
from generation.turns import Affinity, claim
from journal.models import Wakeup
from journal.transactions import step
from tests import path
from tests.invariants import assert_nothing_lost
from tests.people import People, cast

PEOPLE = 3


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def queue(people: People, count: int = PEOPLE) -> list[Job]:
    # Of different steps, so that none can be drawn along with another.
    jobs = [path.submit(people.alice, key=f"k{number}", steps=10 + number) for number in range(count)]
    path.work_prompts()
    return jobs


def states(jobs: list[Job]) -> set[tuple[str, int]]:
    return set(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("state", "attempts"))


class Unloadable(FakeEngine):
    """An engine whose weights are not there."""

    def warm(self, card: Any) -> None:
        raise WeightsError(card.name, "model.safetensors", "is missing")


class Failing(FakeEngine):
    """An engine that fails on everything, as after an error of the GPU that stays."""

    drawn = 0

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        self.drawn += 1
        raise RuntimeError("CUDA error: device-side assert triggered")


class BrokenStore(InMemoryStorage):
    """A store behind a network that is away."""

    def _save(self, name: str, content: Any) -> str:
        raise OSError(5, "Input/output error")


def test_a_worker_that_cannot_load_its_model_takes_no_job(people: People) -> None:
    waiting = queue(people)
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        draw_waiting(Unloadable(), worker="tests")
    assert states(waiting) == {("queued", 0)}
    assert not Job.objects.filter(history__to_state="running").exists()
    path.work()
    assert states(waiting) == {("done", 1)}


def test_a_worker_that_fails_twice_in_a_row_stops_and_most_of_the_line_never_meets_it(people: People) -> None:
    waiting = queue(people, 8)
    engine = Failing()
    with pytest.raises(EngineBroken):
        draw_waiting(engine, worker="tests")
    assert engine.drawn == 2
    assert sum(Job.objects.values_list("attempts", flat=True)) == 2
    assert not JobHistory.objects.filter(reason__contains="CUDA").exists(), "the person reads it"
    path.work()
    assert {state for state, _ in states(waiting)} == {"done"}
    assert_nothing_lost()


def test_a_store_that_is_away_is_no_fault_of_the_job(people: People, settings: Any) -> None:
    waiting = queue(people)
    usual = settings.STORAGES
    settings.STORAGES = usual | {"quarantine": {"BACKEND": "tests.generation.test_workers.BrokenStore"}}
    for _ in range(settings.MOST_ATTEMPTS + 1):
        with pytest.raises(OSError, match="Input/output"):
            draw_waiting(FakeEngine(), worker="tests")
    assert states(waiting) == {("queued", 0)}
    settings.STORAGES = usual
    path.work()
    assert states(waiting) == {("done", 1)}
    assert_nothing_lost()


def test_a_draw_that_hangs_loses_its_lease_and_says_so(people: People, settings: Any) -> None:
    settings.LEASE_SECONDS, settings.MOST_STEP_SECONDS = 0.3, 0.2
    (job,) = queue(people, 1)
    batch = claim(worker="stuck", affinity=Affinity(), batch_sizes={"fake": 1})
    assert batch is not None
    goes_on, hung = threading.Event(), threading.Event()

    class Stuck(FakeEngine):
        def draw(self, *args: Any, **kwargs: Any) -> Any:
            goes_on.wait(60)
            return super().draw(*args, **kwargs)

    def draw() -> None:
        drawing.draw(batch, Stuck(), on_hang=hung.set)
        connections.close_all()

    worker = threading.Thread(target=draw)
    worker.start()
    try:
        assert hung.wait(30)
        path.until(sweep.recover_lost_leases, what="recovery of a job whose worker hangs")
    finally:
        goes_on.set()
        worker.join(30)
    path.work()
    assert states([job]) == {("done", 2)}
    assert_nothing_lost()


def test_a_worker_leaves_its_loop_in_time_and_is_woken_again(people: People, settings: Any) -> None:
    waiting = queue(people)
    settings.SHIFT_SECONDS = 0
    path.forget_wakeups()
    assert draw_waiting(FakeEngine(), worker="tests") == 1
    assert Job.objects.filter(pk__in=[job.pk for job in waiting], state="queued").count() == PEOPLE - 1
    assert Wakeup.objects.filter(topic="draw").count() == 1


def test_a_claim_waits_for_a_turn_that_is_being_changed(people: People) -> None:
    """A decision or a cancel locks the person's turn for a moment; the work behind it must not be overlooked."""
    queue(people)
    locked, may_end = threading.Event(), threading.Event()

    def decide() -> None:
        with step("tests.decide"):
            turns.lock_turn(people.alice.pk)
            locked.set()
            may_end.wait(60)
        connections.close_all()

    other = threading.Thread(target=decide)
    other.start()
    assert locked.wait(30)
    threading.Timer(0.2, may_end.set).start()
    batch = claim(worker="tests", affinity=Affinity(), batch_sizes={"fake": 1})
    other.join(30)
    assert batch is not None


def test_a_worker_takes_no_job_of_a_model_that_it_does_not_know(people: People) -> None:
    """As in a roll-out: the web offers a new model, and some workers are of the release before."""
    (job,) = queue(people, 1)
    assert claim(worker="old", affinity=Affinity(), batch_sizes={"other": 8}) is None
    path.work()
    assert states([job]) == {("done", 1)}


def test_a_job_of_a_model_that_nobody_offers_any_more_fails_in_time(people: People) -> None:
    (job,) = queue(people, 1)
    Job.objects.filter(pk=job.pk).update(model="gone")
    with step("tests.line"):
        turns.line_up(turns.lock_turn(people.alice.pk))
    assert sweep.fail_unoffered() == 0, "a worker of another release may still come"
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(hours=1))
    assert sweep.fail_unoffered() == 1
    job.refresh_from_db()
    assert (job.state, job.failure) == (
        "failed",
        "It could not be drawn: the model gone is no longer offered. You were not charged.",
    )
    assert_nothing_lost()


def test_a_lease_from_a_clock_that_ran_ahead_ends_nevertheless(people: People) -> None:
    (job,) = queue(people, 1)
    claim(worker="ahead", affinity=Affinity(), batch_sizes={"fake": 1})
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() + timedelta(days=1))
    assert sweep.recover_lost_leases() == 1


def test_what_has_to_be_drawn_again_is_charged_to_nobodys_turn(people: People) -> None:
    (job,) = queue(people, 1)
    claim(worker="silent", affinity=Affinity(), batch_sizes={"fake": 1})
    charged = Turn.objects.get(person=people.alice).virtual_time
    Job.objects.filter(pk=job.pk).update(lease_until="2020-01-01T00:00:00Z")
    sweep.recover_lost_leases()
    path.work()
    assert Turn.objects.get(person=people.alice).virtual_time == charged


def test_the_line_of_the_database_is_asked_by_index(people: People) -> None:
    """What a person returns to when nobody waits is one look into an index, however many people there are."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT virtual_time FROM generation_turn ORDER BY virtual_time DESC LIMIT 1")
        assert "turn_served" in str(cursor.fetchall())


class Telling(FakeEngine):
    """An engine that says when it draws."""

    def __init__(self) -> None:
        super().__init__()
        self.began = [threading.Event() for _ in range(PEOPLE + 1)]
        self.drawn = 0

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        self.began[self.drawn].set()
        self.drawn += 1
        return super().draw(*args, **kwargs)


def test_the_next_batch_is_drawn_while_files_of_the_last_are_made(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file waits until the next batch has begun: without overlap that would be never."""
    engine, usual = Telling(), drawing.original
    overlapped: list[bool] = []

    def original(drawn: Any) -> Any:
        number = len(overlapped) + 1
        overlapped.append(number >= PEOPLE or engine.began[number].wait(timeout=20))
        return usual(drawn)

    monkeypatch.setattr(drawing, "original", original)
    jobs = queue(people)
    assert draw_waiting(engine, worker="tests", overlap=True) == PEOPLE
    assert overlapped == [True] * PEOPLE
    assert states(jobs) == {("screening", 1)}
    path.work()
    assert states(jobs) == {("done", 1)}
    assert_nothing_lost()


def test_a_store_that_fails_behind_costs_the_next_batch_nothing(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, usual, failed = Telling(), drawing.original, threading.Event()

    def original(drawn: Any) -> Any:
        if not failed.is_set():
            assert engine.began[1].wait(timeout=20)
            failed.set()
            raise OSError(28, "No space left on device")
        return usual(drawn)

    monkeypatch.setattr(drawing, "original", original)
    jobs = queue(people)
    with pytest.raises(OSError, match="No space left"):
        draw_waiting(engine, worker="tests", overlap=True)
    # One is back in line and not blamed, the one that was drawn meanwhile is kept, the last was not begun.
    assert sorted(Job.objects.values_list("state", "attempts")) == [("queued", 0), ("queued", 0), ("screening", 1)]
    path.work()
    assert states(jobs) == {("done", 1)}
    assert_nothing_lost()


def test_an_engine_that_fails_at_everything_is_noticed_behind_too(people: People) -> None:
    queue(people)
    engine = Failing()
    with pytest.raises(EngineBroken):
        draw_waiting(engine, worker="tests", overlap=True)
    assert engine.drawn == 2
