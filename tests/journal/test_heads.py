"""What lies outside the database: the heads of the chain, and what the sealer may write there by itself."""

import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from journal import seal
from journal.heads import Head, HeadFile
from journal.models import Line, Seal
from journal.seal import seal_new_lines, verify
from tests.people import cast, give_credits

MANY = seal.MOST_REPEATED + 3


@pytest.fixture
def head(fresh_database: str, tmp_path: Path) -> HeadFile:
    return HeadFile(tmp_path / "kept" / "head.jsonl")


@pytest.fixture
def chain(head: HeadFile, monkeypatch: pytest.MonkeyPatch) -> HeadFile:
    """More seals than a sealer may write the heads of by itself, and every head in its place."""
    monkeypatch.setattr(seal, "BATCH", 1)
    cast()
    seal_new_lines(head)
    while Seal.objects.count() < MANY:
        give_more()
        seal_new_lines(head)
    return head


def give_more() -> None:
    from accounts.models import User

    give_credits(User.objects.create(email=f"person{User.objects.count()}@example.org"), 5)


def findings(head: HeadFile) -> list[str]:
    return [f"{finding.place}: {finding.what}" for finding in verify(head)]


def numbers(head: HeadFile) -> list[int]:
    return [head.seal for head in head.heads()]


def age(owner: Any) -> None:
    """As if all seals were made long ago."""
    owner.execute("ALTER TABLE journal_seal DISABLE TRIGGER USER")
    owner.execute("UPDATE journal_seal SET sealed_at = sealed_at - interval '2 minutes'")
    owner.execute("ALTER TABLE journal_seal ENABLE TRIGGER USER")


def shorten(head: HeadFile, keep: int) -> None:
    head.path.write_text("".join(head.path.read_text().splitlines(keepends=True)[:keep]))


def test_one_turn_seals_until_less_than_a_batch_is_left(head: HeadFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "BATCH", 2)
    cast()
    lines = Line.objects.count()
    assert lines > 4
    assert seal_new_lines(head) == lines
    assert not Line.objects.filter(seq__isnull=True).exists()
    assert numbers(head) == list(range(1, Seal.objects.count() + 1))
    assert findings(head) == []


def test_a_lost_head_file_is_found(chain: HeadFile) -> None:
    chain.path.unlink()
    assert any(line.startswith("head file: lacks the heads of seals 1 to") for line in findings(chain)), findings(chain)


def test_a_shortened_head_file_is_found(chain: HeadFile, as_owner: Any) -> None:
    age(as_owner)
    shorten(chain, MANY - 2)
    assert any(line.startswith(f"head file: lacks the heads of seals {MANY - 1} to") for line in findings(chain))


def test_a_head_file_that_lacks_many_heads_is_found_however_fresh_the_seals(chain: HeadFile) -> None:
    shorten(chain, 1)
    assert any(line.startswith("head file: lacks the heads of seals 2 to") for line in findings(chain))


def test_a_head_taken_from_the_middle_is_found(chain: HeadFile) -> None:
    lines = chain.path.read_text().splitlines(keepends=True)
    chain.path.write_text("".join([*lines[:3], *lines[4:]]))
    assert [line[:40] for line in findings(chain)] == ["head file: lacks the heads of seals 4 to"]


def test_a_head_that_is_on_its_way_is_no_finding(chain: HeadFile) -> None:
    shorten(chain, Seal.objects.count() - 1)
    assert findings(chain) == []


def test_a_sealer_does_not_write_a_lost_file_anew(chain: HeadFile, caplog: pytest.LogCaptureFixture) -> None:
    shorten(chain, 1)
    give_more()
    with caplog.at_level(logging.ERROR):
        assert seal_new_lines(chain) > 0
    assert numbers(chain) == [1]
    assert "lacks the heads of more than" in caplog.text
    assert findings(chain) != []


def test_a_sealer_does_not_go_on_after_a_head_that_the_database_does_not_hold(
    chain: HeadFile, caplog: pytest.LogCaptureFixture
) -> None:
    with chain.path.open("a") as file:
        file.write(json.dumps({"seal": 900, "last_seq": 9000, "digest": "0" * 64}) + "\n")
    before = numbers(chain)
    give_more()
    with caplog.at_level(logging.ERROR):
        seal_new_lines(chain)
    assert numbers(chain) == before
    assert "ends with seal 900" in caplog.text
    assert any(line.startswith("seal 900: was cut off") for line in findings(chain))


def test_a_person_may_write_the_heads_of_a_whole_chain(chain: HeadFile, capsys: pytest.CaptureFixture[str]) -> None:
    chain.path.unlink()
    with pytest.raises(CommandError):
        call_command("audit", "verify", head_file=chain.path)
    call_command("audit", "write-heads", head_file=chain.path)
    call_command("audit", "verify", head_file=chain.path)
    assert f"{Seal.objects.count()} heads were written" in capsys.readouterr().out


def test_nobody_writes_the_heads_of_a_chain_that_was_changed(chain: HeadFile, as_owner: Any) -> None:
    as_owner.execute("ALTER TABLE journal_line DISABLE TRIGGER USER")
    as_owner.execute("UPDATE journal_line SET body = replace(body, '1', '2') WHERE seq = 1")
    chain.path.unlink()
    with pytest.raises(CommandError, match="where the audit was changed"):
        call_command("audit", "write-heads", head_file=chain.path, stderr=io.StringIO())
    assert not chain.path.exists()


def test_a_head_that_a_crash_cut_is_written_again_on_a_line_of_its_own(chain: HeadFile) -> None:
    whole = chain.path.read_text()
    chain.path.write_text(whole[:-20])
    assert chain.last() == Head(Seal.objects.count() - 1, Seal.objects.get(pk=Seal.objects.count() - 1).digest)
    seal_new_lines(chain)
    assert numbers(chain) == list(range(1, Seal.objects.count() + 1))
    assert findings(chain) == []


def test_the_last_head_is_read_from_the_end(head: HeadFile) -> None:
    head.path.parent.mkdir()
    lines = [json.dumps({"seal": seal, "last_seq": seal, "digest": f"{seal:064}"}) for seal in range(1, 20_001)]
    head.path.write_text("\n".join(lines) + "\n")
    read = io.BytesIO(head.path.read_bytes())
    assert len(read.getvalue()) > 100 * HeadFile.TAIL
    assert head.last() == Head(20_000, f"{20_000:064}")
    with head.path.open("a") as file:
        file.write("x" * 3 * HeadFile.TAIL)
    assert head.last() == Head(20_000, f"{20_000:064}")


def test_a_file_without_any_head_has_no_last(head: HeadFile) -> None:
    assert head.last() is None
    head.path.parent.mkdir()
    head.path.write_text("12\n[]\n{}\nnothing of ours")
    assert head.last() is None


def test_many_sealers_at_once_write_each_head_once_and_in_order(
    head: HeadFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "BATCH", 1)
    cast()

    def turn(_: int) -> int:
        try:
            return seal_new_lines(head)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(turn, range(4))) == Line.objects.count()
    assert numbers(head) == list(range(1, Seal.objects.count() + 1))
    assert findings(head) == []
