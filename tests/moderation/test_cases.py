"""The life of a case: its arrows, its decisions, and what the database refuses whoever asks."""

import itertools
import uuid
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection
from django.db.transaction import TransactionManagementError

from journal.models import Line, Wakeup
from journal.transactions import step
from moderation.actions import (
    CannotRelease,
    CaseTaken,
    Ruling,
    abandon,
    clear,
    freeze,
    hold,
    lift,
    open_case,
    refuse,
    withdraw,
)
from moderation.models import CASE_ARROWS, Case, Decision, Freeze, Look, Screening, Signal
from tests.moderation.conftest import Moderators, Recorder, at_once, open_medium, open_prompt

STATES = [state.value for state in Case.State]
MACHINE = Ruling(kind=Decision.ActorKind.MACHINE, reason="no policy asked")
FORBIDDEN = sorted(set(itertools.permutations(STATES, 2)) - set(CASE_ARROWS))
# The columns that a state needs, so that only the arrow is wrong.
NEEDED = "deadline = now(), decided_at = now(), derivative_key = 'k', derivative_sha256 = 's', derivative_distance = 0"


def put_into(cursor: Any, case: Case, state: str) -> None:
    """Walk a case to a state by legal arrows, past every line of Python."""
    ways = {
        "pending": [],
        "in_review": ["in_review"],
        "cleared": ["cleared"],
        "refused": ["refused"],
        "withdrawn": ["cleared", "withdrawn"],
    }
    cursor.execute(f"UPDATE moderation_case SET {NEEDED} WHERE id = %s", [case.pk])
    for step_to in ways[state]:
        cursor.execute("UPDATE moderation_case SET state = %s WHERE id = %s", [step_to, case.pk])


@pytest.mark.parametrize(("source", "to"), FORBIDDEN)
def test_an_arrow_that_is_not_drawn_is_refused_by_sql(people: Moderators, source: str, to: str) -> None:
    case = open_prompt(people.alice)
    with connection.cursor() as cursor:
        put_into(cursor, case, source)
        with pytest.raises(Exception, match="transition"):
            cursor.execute("UPDATE moderation_case SET state = %s WHERE id = %s", [to, case.pk])


def test_a_case_cannot_be_put_in_as_cleared(people: Moderators) -> None:
    with pytest.raises(Exception, match=r"[Cc]annot insert"):
        Case.objects.create(subject="prompt", key=uuid.uuid4(), person=people.alice, evidence={}, state="cleared")


def test_a_medium_without_a_derivative_cannot_be_cleared_by_sql(people: Moderators) -> None:
    case = open_medium(people.alice)
    with pytest.raises(IntegrityError, match="case_cleared_medium_has_derivative"):
        Case.objects.filter(pk=case.pk).update(state="cleared", decided_at="2026-01-01T00:00:00Z")


def test_a_state_without_a_decision_is_undone_at_commit(fresh_people: Moderators, as_app: Any) -> None:
    case = open_prompt(fresh_people.alice)
    with pytest.raises(psycopg.errors.RaiseException, match="without a decision"):
        as_app.execute("UPDATE moderation_case SET state = 'cleared', decided_at = now() WHERE id = %s", [case.pk])
    case.refresh_from_db()
    assert case.state == "pending"


def test_what_a_case_is_about_never_changes(people: Moderators) -> None:
    case = open_prompt(people.alice)
    with pytest.raises(Exception, match=r"[Cc]annot update"):
        Case.objects.filter(pk=case.pk).update(person=people.carol)


@pytest.mark.parametrize("model", [Decision, Screening, Signal, Look], ids=lambda model: model.__name__)
@pytest.mark.parametrize("act", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_was_written_stays_for_the_application(fresh_database: str, as_app: Any, model: Any, act: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_app.execute(act.format(model._meta.db_table))


def test_even_the_owner_cannot_change_a_decision(fresh_people: Moderators, outcome: Recorder, as_owner: Any) -> None:
    refuse(open_prompt(fresh_people.alice), MACHINE, fence={})
    for act in ("UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"):
        with pytest.raises(psycopg.Error, match=r"annot|append-only"):
            as_owner.execute(act.format("moderation_decision"))


@pytest.mark.parametrize("act", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize("table", ["moderation_case", "moderation_freeze"])
def test_no_case_and_no_freeze_disappears(fresh_people: Moderators, as_app: Any, table: str, act: str) -> None:
    case = open_prompt(fresh_people.alice)
    Freeze.objects.create(person=fresh_people.alice, case=case)
    with pytest.raises(psycopg.Error):
        as_app.execute(act.format(table))


def test_opening_a_case_wakes_the_screening_process(people: Moderators) -> None:
    before = Wakeup.objects.filter(topic="screen").count()
    open_prompt(people.alice)
    assert Wakeup.objects.filter(topic="screen").count() == before + 1


def test_a_case_is_opened_inside_the_callers_transaction(fresh_people: Moderators) -> None:
    with pytest.raises(TransactionManagementError):
        open_case(subject="prompt", key=uuid.uuid4(), person=fresh_people.alice, evidence={})


def test_one_subject_has_one_case(people: Moderators) -> None:
    case = open_prompt(people.alice)
    with pytest.raises(IntegrityError), step("tests.twice"):
        open_case(subject="prompt", key=case.key, person=people.alice, evidence={})


def test_a_decision_is_explained_and_audited(people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(people.alice)
    decision = refuse(case, Ruling(kind=Decision.ActorKind.MACHINE, reason="a knife", policy_code="weapon"), fence={})
    assert (decision.from_state, decision.to_state, decision.policy_code) == ("pending", "refused", "weapon")
    assert outcome.of(case) == ["refused"]
    assert Line.objects.get(source="moderation_decision", source_id=str(decision.pk))
    case.refresh_from_db()
    assert case.state == "refused"
    assert case.decided_at is not None


def test_a_decision_without_a_reason_is_refused_by_sql(people: Moderators, outcome: Recorder) -> None:
    with pytest.raises(IntegrityError, match="decision_has_reason"):
        refuse(open_prompt(people.alice), Ruling(kind=Decision.ActorKind.MACHINE, reason=" "), fence={})


def test_a_decision_comes_once(people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(people.alice)
    clear(case, MACHINE, fence={})
    for late in (clear, refuse, hold):
        with pytest.raises(CaseTaken):
            late(case, MACHINE, fence={})
    assert case.decisions.count() == 1
    assert outcome.of(case) == ["cleared"]


def test_an_outcome_that_fails_undoes_the_decision(people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(people.alice)
    outcome.fails_at = "cleared"
    with pytest.raises(RuntimeError):
        clear(case, MACHINE, fence={})
    case.refresh_from_db()
    assert case.state == "pending"
    assert not case.decisions.exists()


def test_only_an_appeal_reopens_a_refusal(people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(people.alice)
    refuse(case, MACHINE, fence={})
    with pytest.raises(CaseTaken):
        hold(case, MACHINE, fence={})
    for kind, allowed in (("moderator", False), ("appeal", True)):
        row = {"case": case, "from_state": "refused", "to_state": "in_review", "actor": people.sofia, "reason": "again"}
        if allowed:
            Decision.objects.create(actor_kind=kind, **row)
            Case.objects.filter(pk=case.pk).update(state="in_review", deadline="2030-01-01T00:00:00Z")
        else:
            with pytest.raises(IntegrityError, match="only_appeal"), step("tests.refused"):
                Decision.objects.create(actor_kind=kind, **row)


def test_a_medium_without_its_file_is_not_released(people: Moderators, outcome: Recorder) -> None:
    with pytest.raises(CannotRelease):
        clear(open_medium(people.alice), MACHINE, fence={})
    assert outcome.told == []


def test_the_machine_holds_what_it_would_clear_for_a_frozen_person(people: Moderators, outcome: Recorder) -> None:
    severe, other, carols = open_prompt(people.alice), open_prompt(people.alice), open_prompt(people.carol)
    refuse(severe, MACHINE, fence={}, severe=True)
    clear(other, MACHINE, fence={})
    clear(carols, MACHINE, fence={})
    assert [case.state for case in (severe, other, carols)] == ["refused", "in_review", "cleared"]
    assert ("frozen", people.alice.pk) in outcome.told
    assert outcome.of(other) == ["held"]


def test_a_person_is_frozen_once_and_thawed_once(people: Moderators, outcome: Recorder) -> None:
    refuse(open_prompt(people.alice), MACHINE, fence={}, severe=True)
    frozen = Freeze.objects.get(person=people.alice)
    assert lift(frozen, moderator=people.bob, reason="a misunderstanding")
    assert not lift(frozen, moderator=people.bob, reason="again")
    assert outcome.told[-1] == ("thawed", people.alice.pk)
    frozen.refresh_from_db()
    assert frozen.lifted_by == people.bob


def test_a_freeze_belongs_into_the_refusing_transaction(fresh_people: Moderators, outcome: Recorder) -> None:
    with pytest.raises(TransactionManagementError):
        freeze(open_prompt(fresh_people.alice))


def test_an_abandoned_case_ends_and_tells_nobody(people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(people.alice)
    with step("tests.abandon"):
        assert abandon(subject="prompt", key=case.key, reason="the job was cancelled")
        assert not abandon(subject="prompt", key=case.key, reason="the job was cancelled")
        assert not abandon(subject="medium", key=case.key, reason="there is none")
    case.refresh_from_db()
    assert case.state == "withdrawn"
    assert outcome.told == []


def test_what_was_released_can_be_withdrawn(people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(people.alice)
    with pytest.raises(CaseTaken):
        withdraw(case, moderator=people.sofia, reason="too early", policy_code="weapon")
    clear(case, MACHINE, fence={})
    withdraw(case, moderator=people.sofia, reason="a knife after all", policy_code="weapon")
    assert outcome.of(case) == ["cleared", "withdrawn"]


def test_of_clear_and_refuse_and_abandon_at_once_one_wins(fresh_people: Moderators, outcome: Recorder) -> None:
    case = open_prompt(fresh_people.alice)

    def act(number: int) -> Any:
        mine = Case.objects.get(pk=case.pk)
        if number == 2:
            with step("tests.abandon"):
                return abandon(subject="prompt", key=case.key, reason="cancelled")
        return (clear if number == 0 else refuse)(mine, MACHINE, fence={})

    answers = at_once(3, act)
    won = [answer for answer in answers if isinstance(answer, Decision) or answer is True]
    assert len(won) == 1, answers
    assert all(isinstance(answer, CaseTaken) or answer is False for answer in answers if answer not in won), answers
    assert case.decisions.count() == 1
