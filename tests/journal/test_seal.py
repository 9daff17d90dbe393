"""The audit chain finds what was changed, even by the owner."""

import json
from pathlib import Path
from typing import Any

import pytest

from journal.models import Line, Seal
from journal.seal import HeadFile, seal_new_lines, verify
from tests.people import cast


@pytest.fixture
def head(tmp_path: Path) -> HeadFile:
    return HeadFile(tmp_path / "head.jsonl")


@pytest.fixture
def sealed(fresh_database: str, head: HeadFile) -> HeadFile:
    """A few audited rows (grants) in two seals."""
    people = cast()
    seal_new_lines(head)
    from tests.people import give_credits

    give_credits(people.bob, 5)
    seal_new_lines(head)
    assert Seal.objects.count() == 2
    assert Line.objects.filter(seq__isnull=True).count() == 0
    return head


def findings(head: HeadFile) -> list[str]:
    return [f"{finding.place}: {finding.what}" for finding in verify(head)]


def tamper(owner: Any, sql: str) -> None:
    """As the owner, with every trigger switched off."""
    tables = ["journal_line", "journal_seal", "billing_entry", "billing_transfer"]
    for table in tables:
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    owner.execute(sql)
    for table in tables:
        owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_an_untouched_chain_is_whole(sealed: HeadFile) -> None:
    assert findings(sealed) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE journal_line SET body = replace(body, '1', '2') WHERE seq = 1", "seal 1: a line in it was edited"),
        ("DELETE FROM journal_line WHERE seq = 2", "seal 1: lines were removed"),
        (
            "UPDATE journal_line SET seq = CASE seq WHEN 1 THEN -2 ELSE -1 END WHERE seq IN (1, 2);"
            "UPDATE journal_line SET seq = -seq WHERE seq < 0",
            "seal 1: a line in it was edited, removed or swapped",
        ),
        (
            "DELETE FROM journal_line WHERE seq >= (SELECT first_seq FROM journal_seal WHERE id = 2);"
            "DELETE FROM journal_seal WHERE id = 2",
            "seal 2: was cut off",
        ),
        ("UPDATE billing_entry SET amount = amount * 2 WHERE id = 1", "billing_entry 1: was edited"),
    ],
    ids=["edited", "removed", "swapped", "cut tail", "row behind the line"],
)
def test_tampering_by_the_owner_is_found(sealed: HeadFile, as_owner: Any, sql: str, said: str) -> None:
    tamper(as_owner, sql)
    assert any(line.startswith(said) for line in findings(sealed)), findings(sealed)


def test_a_chain_rewritten_from_end_to_end_differs_from_the_head_outside(sealed: HeadFile, as_owner: Any) -> None:
    tamper(as_owner, "UPDATE journal_line SET body = replace(body, 'for the tests', 'for my friends'), seq = NULL")
    tamper(as_owner, "TRUNCATE journal_seal")
    forged = HeadFile(sealed.path.with_name("forged"))
    seal_new_lines(forged)
    assert any("head" in line for line in findings(sealed)), findings(sealed)


def test_a_line_that_commits_late_is_sealed_later_and_none_is_skipped(
    fresh_database: str, head: HeadFile, as_app: Any
) -> None:
    """The slow writer took its id first. A sealer that went by ids would pass over it for ever."""
    people = cast()
    insert = (
        "INSERT INTO journal_line (source, source_id, body, written_at) "
        "VALUES ('billing_transfer', 'late', '{}', now())"
    )
    as_app.autocommit = False
    as_app.execute(insert)
    from tests.people import give_credits

    give_credits(people.bob, 5)
    seal_new_lines(head)
    assert not Line.objects.filter(source_id="late").exists()
    as_app.commit()
    assert seal_new_lines(head) == 1
    assert Line.objects.get(source_id="late").seq == Line.objects.count()


def test_the_head_is_written_even_if_the_sealer_died_before_it(sealed: HeadFile) -> None:
    lines = sealed.path.read_text().splitlines()
    sealed.path.write_text(lines[0] + "\n")
    seal_new_lines(sealed)
    assert [json.loads(line)["seal"] for line in sealed.path.read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_application_may_only_add(sealed: HeadFile, as_app: Any, statement: str) -> None:
    import psycopg
    from django.apps import apps

    protected = [
        model._meta.db_table
        for model in apps.get_models()
        if any(trigger.name == "no_update" for trigger in getattr(model._meta, "triggers", []))
    ]
    assert {"moderation_decision", "billing_entry", "billing_transfer", "journal_seal"} <= set(protected)
    for table in [*protected, "journal_line"]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_app.execute(statement.format(table))


def test_even_the_owner_meets_a_trigger(sealed: HeadFile, as_owner: Any) -> None:
    import psycopg

    for statement in ("UPDATE billing_entry SET amount = 1", "DELETE FROM billing_entry", "TRUNCATE billing_entry"):
        with pytest.raises(psycopg.errors.RaiseException):
            as_owner.execute(statement)
