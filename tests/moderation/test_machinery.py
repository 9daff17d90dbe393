"""What the machinery does wrong is held against no case; and what stops a person's work is ended case by case."""

import errno
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from moderation import sweep
from moderation.actions import Ruling, lift, refuse
from moderation.models import Case, Decision, Freeze
from moderation.screening.leases import claim
from moderation.screening.worker import screen_waiting
from tests.moderation.conftest import Moderators, Recorder, open_medium, open_prompt, picture, png
from tests.moderation.sieves import Faults, armed, marked
from tests.path import until

MACHINE = Ruling(kind=Decision.ActorKind.MACHINE, reason="for the test")


class AwayStore(FileSystemStorage):
    """A store behind a network that is away."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        raise OSError(errno.EIO, "Input/output error")


def pause_is_over() -> None:
    Case.objects.filter(retry_at__isnull=False).update(retry_at=timezone.now() - timedelta(seconds=1))


def states() -> set[tuple[str, int]]:
    return set(Case.objects.values_list("state", "attempts"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EIO, "Input/output error"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("nobody knows this one"),
    ],
)
def test_a_machine_that_fails_is_held_against_no_case(
    people: Moderators, outcome: Recorder, error: Exception, settings: Any
) -> None:
    for _ in range(10):
        open_medium(people.alice)
    for _ in range(settings.MOST_ATTEMPTS + 1):
        screen_waiting(armed(Faults(raises=error)), worker="tests")
        pause_is_over()
    assert states() == {("pending", 0)}
    screen_waiting(armed(), worker="tests")
    assert states() == {("cleared", 1)}


def test_one_that_chokes_the_classifiers_unexpectedly_costs_its_neighbours_nothing(
    people: Moderators, outcome: Recorder
) -> None:
    """A harmless sample tells whose fault it is: the case's, and not the machine's."""
    good = [open_medium(people.carol) for _ in range(3)]
    poison = open_medium(people.alice, png(marked(picture(1), "review")))
    chokes = armed(Faults(raises=RuntimeError("nobody knows this one"), raises_over="review"))
    screen_waiting(chokes, worker="tests")
    poison.refresh_from_db()
    assert (poison.state, poison.decisions.get().verdict) == ("in_review", "unscreened")
    assert {(case.state, case.attempts) for case in Case.objects.filter(pk__in=[one.pk for one in good])} == {
        ("cleared", 1)
    }


def test_a_store_that_is_away_is_held_against_no_case(people: Moderators, outcome: Recorder, settings: Any) -> None:
    for _ in range(3):
        open_medium(people.alice)
    usual = settings.STORAGES
    away = usual["quarantine"] | {"BACKEND": "tests.moderation.test_machinery.AwayStore"}
    settings.STORAGES = usual | {"quarantine": away}
    for _ in range(settings.MOST_ATTEMPTS + 1):
        screen_waiting(armed(), worker="tests")
        pause_is_over()
    assert states() == {("pending", 0)}
    settings.STORAGES = usual
    screen_waiting(armed(), worker="tests")
    assert states() == {("cleared", 1)}


def test_classifiers_that_are_slower_than_a_lease_keep_it(
    fresh_people: Moderators, outcome: Recorder, settings: Any
) -> None:
    settings.LEASE_SECONDS = 0.3
    case = open_medium(fresh_people.alice)
    began, may_end = threading.Event(), threading.Event()

    def slowly() -> None:
        began.set()
        may_end.wait(60)

    def screen() -> None:
        screen_waiting(armed(Faults(meanwhile=slowly)), worker="tests")
        connections.close_all()

    worker = threading.Thread(target=screen)
    worker.start()
    assert began.wait(30)
    first = Case.objects.get(pk=case.pk).lease_until
    until(lambda: Case.objects.get(pk=case.pk).lease_until > first + timedelta(seconds=0.5), what="a longer lease")
    assert sweep.recover_lost_leases() == 0
    may_end.set()
    worker.join(30)
    case.refresh_from_db()
    assert (case.state, case.attempts) == ("cleared", 1)


def test_classifiers_that_hang_lose_their_lease(fresh_people: Moderators, outcome: Recorder, settings: Any) -> None:
    settings.LEASE_SECONDS, settings.MOST_STEP_SECONDS = 0.3, 0.2
    case = open_medium(fresh_people.alice)
    may_end = threading.Event()

    def screen() -> None:
        screen_waiting(armed(Faults(meanwhile=lambda: may_end.wait(60) and None)), worker="tests")
        connections.close_all()

    worker = threading.Thread(target=screen)
    worker.start()
    until(sweep.recover_lost_leases, what="recovery of a case whose classifiers hang")
    may_end.set()
    worker.join(30)
    screen_waiting(armed(), worker="tests")
    case.refresh_from_db()
    assert case.state == "cleared"


def test_a_picture_that_only_chokes_the_classifiers_can_be_released_by_a_person(
    people: Moderators, outcome: Recorder
) -> None:
    case = open_medium(people.alice, png(marked(picture(1), "crash")))
    screen_waiting(armed(), worker="tests")
    case.refresh_from_db()
    assert case.state == "in_review"
    assert case.derivative_key


def test_a_worker_leaves_its_loop_in_time_and_is_woken_again(
    people: Moderators, outcome: Recorder, settings: Any
) -> None:
    settings.SHIFT_SECONDS = 0
    for _ in range(10):
        open_medium(people.alice)
    screen_waiting(armed(), worker="tests")
    assert Case.objects.filter(state="pending").count() == 2


def test_a_case_that_nobody_may_claim_any_more_is_held(people: Moderators, outcome: Recorder, settings: Any) -> None:
    """As after the number of attempts was lowered."""
    case = open_medium(people.alice)
    Case.objects.filter(pk=case.pk).update(attempts=settings.MOST_ATTEMPTS)
    assert claim("tests") is None
    assert sweep.recover_lost_leases() == 1
    case.refresh_from_db()
    assert case.state == "in_review"


def test_times_from_a_clock_that_ran_ahead_end_nevertheless(people: Moderators, outcome: Recorder) -> None:
    leased, paused = open_medium(people.alice), open_medium(people.carol)
    assert claim("ahead") is not None
    ahead = timezone.now() + timedelta(days=1)
    Case.objects.filter(pk=leased.pk).update(lease_until=ahead)
    Case.objects.filter(pk=paused.pk).update(lease_token=None, lease_until=None, retry_at=ahead, attempts=0)
    assert sweep.recover_lost_leases() == 1
    screen_waiting(armed(), worker="tests")
    assert set(Case.objects.values_list("state", flat=True)) == {"cleared"}


def test_every_severe_block_is_lifted_by_itself(people: Moderators, outcome: Recorder) -> None:
    for _ in range(2):
        refuse(open_prompt(people.alice), MACHINE, fence={}, severe=True)
    first, second = Freeze.objects.order_by("pk")
    assert lift(first, moderator=people.sofia, reason="a misunderstanding")
    assert ("thawed", people.alice.pk) not in outcome.told
    assert lift(second, moderator=people.sofia, reason="another misunderstanding")
    assert ("thawed", people.alice.pk) in outcome.told


def test_what_was_cleared_keeps_its_file(people: Moderators, outcome: Recorder) -> None:
    """Else one UPDATE would show, under a cleared case, a picture that is held."""
    case = open_medium(people.alice)
    screen_waiting(armed(), worker="tests")
    for field in ("derivative_key", "derivative_sha256"):
        with pytest.raises(DatabaseError, match="derivative"), transaction.atomic():
            Case.objects.filter(pk=case.pk).update(**{field: "another"})
