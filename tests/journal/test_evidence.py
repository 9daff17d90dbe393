"""What lies behind the chain: signals that decisions rest on, rows put in past a trigger, lines nobody sealed."""

from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from generation.actions.jobs import PromptRefused
from generation.models import RefusedAttempt
from journal import evidence
from journal.heads import HeadFile
from journal.models import AppendOnly, Line
from journal.seal import seal_new_lines, verify
from moderation.models import Case, Decision, Look, Screening, Signal
from tests import path
from tests.people import cast


@pytest.fixture
def head(fresh_database: str) -> HeadFile:
    """Two jobs that were screened, one of them held, and everything sealed."""
    people = cast()
    path.submit(people.alice, "verdict:review a doubtful apple")
    path.submit(people.alice, "a red apple")
    path.work()
    head = HeadFile(settings.AUDIT_HEAD_FILE)
    seal_new_lines(head)
    assert Signal.objects.exists()
    assert findings(head) == []
    return head


def findings(head: HeadFile) -> list[str]:
    return [f"{finding.place}: {finding.what}" for finding in verify(head)]


def tamper(owner: Any, sql: str, *tables: str) -> None:
    """As the owner, with every trigger of these tables switched off."""
    for table in tables:
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    owner.execute(sql)
    for table in tables:
        owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE moderation_signal SET score = score + 0.01 WHERE id = (SELECT max(id) FROM moderation_signal)",
        "DELETE FROM moderation_signal WHERE id = (SELECT max(id) FROM moderation_signal)",
        "INSERT INTO moderation_signal (screening_id, name, score, fault, model, version, policy_code) "
        "SELECT screening_id, 'new', 0, '', model, version, '' FROM moderation_signal ORDER BY id DESC LIMIT 1",
    ],
    ids=["edited", "removed", "added"],
)
def test_signals_that_changed_are_found(head: HeadFile, as_owner: Any, sql: str) -> None:
    tamper(as_owner, sql, "moderation_signal")
    assert [line.split(" ")[0] for line in findings(head)] == ["moderation_screening", "moderation_decision"]


def test_signals_changed_together_with_their_screening_differ_from_the_decision(head: HeadFile, as_owner: Any) -> None:
    screening = Screening.objects.exclude(signals_sha256="").latest("pk")
    tamper(
        as_owner,
        f"DELETE FROM moderation_signal WHERE screening_id = {screening.pk};"
        f"UPDATE moderation_screening SET signals_sha256 = '' WHERE id = {screening.pk}",
        "moderation_signal",
        "moderation_screening",
    )
    decision = Decision.objects.get(screening=screening)
    assert findings(head) == [f"moderation_decision {decision.pk}: rests on other signals than it names"]


def test_looks_and_refused_attempts_are_kept_as_well(head: HeadFile, as_owner: Any) -> None:
    case = Case.objects.get(state="in_review")
    look = Look.objects.create(case=case, moderator=case.person)
    with pytest.raises(PromptRefused):
        path.submit(case.person, "a naked child")
    attempt = RefusedAttempt.objects.get()
    assert findings(head) == []
    tamper(
        as_owner,
        "DELETE FROM moderation_look; UPDATE generation_refusedattempt SET policy_code = 'none'",
        "moderation_look",
        "generation_refusedattempt",
    )
    assert findings(head) == [
        f"generation_refusedattempt {attempt.pk}: was edited",
        f"moderation_look {look.pk}: was removed",
    ]


@pytest.mark.parametrize(
    ("app", "before", "after", "table"),
    [
        ("moderation", "0002_each_block_by_itself", "0003_looks_are_audited", "moderation_look"),
        ("generation", "0002_fair_line", "0003_refused_attempts_are_audited", "generation_refusedattempt"),
    ],
)
def test_what_was_written_before_it_was_audited_gets_its_lines(
    head: HeadFile, as_owner: Any, monkeypatch: pytest.MonkeyPatch, app: str, before: str, after: str, table: str
) -> None:
    # The registry came later: there is no table that could be asked.
    monkeypatch.setattr("moderation.registry.refresh", lambda: None)
    case = Case.objects.get(state="in_review")
    person = case.person
    call_command("migrate", app, before, database="owner", verbosity=0)
    Look.objects.create(case_id=case.pk, moderator=person)
    with pytest.raises(PromptRefused):
        path.submit(person, "a naked child")
    assert not Line.objects.filter(source=table).exists()
    for _ in range(2):
        call_command("migrate", app, after, database="owner", verbosity=0)
        assert Line.objects.filter(source=table).count() == 1
        call_command("migrate", app, before, database="owner", verbosity=0)
    # Tables that came after are made anew, and whoever migrates gives the application's role its rights in them.
    call_command("prepare_database", verbosity=0)
    assert Line.objects.filter(source=table).count() == 1
    assert findings(head) == []


def test_a_room_registers_what_it_alone_can_check(head: HeadFile) -> None:
    assert "moderation.signals" in evidence.names()


def test_lines_that_nobody_seals_are_found(head: HeadFile, as_owner: Any) -> None:
    path.submit(Decision.objects.first().case.person, "a green pear")
    path.work()
    assert findings(head) == []
    tamper(as_owner, "UPDATE journal_line SET written_at = now() - interval '61 s' WHERE seq IS NULL", "journal_line")
    waiting = Line.objects.filter(seq__isnull=True).count()
    assert any(f"and {waiting - 1} others have no seal after a minute" in line for line in findings(head))
    seal_new_lines(head)
    assert findings(head) == []


def test_a_table_that_no_line_names_is_compared_too(head: HeadFile, as_owner: Any) -> None:
    assert "billing_price" in AppendOnly.tables()
    assert not Line.objects.filter(source="billing_price").exists()
    tamper(
        as_owner,
        "INSERT INTO billing_price"
        " (offer, interval, amount, currency, credits, stripe_price, stripe_product, created_at) "
        "VALUES ('creator', 'month', 1, 'usd', 1000000, 'price_1', 'prod_1', now())",
        "billing_price",
    )
    assert [line.partition(": ")[2] for line in findings(head)] == ["has no audit line: it was put in past the trigger"]
