"""The audit chain: seal new lines, and find what was changed since.

Each seal's digest covers the digest before it and, in order, every line it seals. The newest seal is also written
to a file outside the database, so that whoever owns the database cannot shorten or rewrite the chain unseen.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import connection, transaction

from journal.models import AppendOnly, Line, Seal
from journal.transactions import step

BATCH = 2000
GENESIS = "0" * 64


@dataclass(frozen=True)
class Finding:
    """One place where the audit no longer says what was written."""

    place: str
    what: str


class HeadFile:
    """The heads of the chain, one JSON line each, in a file that the database's owner should not be able to write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, seal: Seal) -> None:
        """Write one head, and make sure it is on the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"seal": seal.pk, "last_seq": seal.last_seq, "digest": seal.digest})
        with self.path.open("a", encoding="ascii") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def heads(self) -> Iterator[tuple[int, str]]:
        """Each (seal, digest) ever written, oldest first. A last line cut by a crash is left out."""
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="ascii").splitlines():
            try:
                head = json.loads(line)
            except ValueError:
                continue
            yield head["seal"], head["digest"]

    def last(self) -> int:
        """The number of the newest seal written here, or 0."""
        return max((seal for seal, _ in self.heads()), default=0)


def _digest(previous: str, lines: list[tuple[int, str, str, str]]) -> str:
    chain = hashlib.sha256(previous.encode())
    for seq, source, source_id, body in lines:
        chain.update(json.dumps([seq, source, source_id, body]).encode())
    return chain.hexdigest()


def seal_new_lines(head: HeadFile) -> int:
    """Chain the lines that no seal covers yet. Returns how many.

    One sealer at a time: a second one waits and then finds nothing. A line whose transaction commits late is
    sealed late, under a later number; nothing is ever skipped.
    """
    with step("journal.seal"):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('journal.seal'))")
        lines = list(Line.objects.filter(seq__isnull=True).order_by("id")[:BATCH])
        newest = Seal.objects.order_by("-id").first()
        if lines:
            first = (newest.last_seq if newest else 0) + 1
            for seq, line in enumerate(lines, start=first):
                line.seq = seq
            Line.objects.bulk_update(lines, ["seq"], batch_size=500)
            Seal.objects.create(
                pk=(newest.pk if newest else 0) + 1,
                first_seq=first,
                last_seq=first + len(lines) - 1,
                digest=_digest(
                    newest.digest if newest else GENESIS,
                    [(line.seq or 0, line.source, line.source_id, line.body) for line in lines],
                ),
            )
    # After the commit: a head that is missing in the file is written at the next turn, a head in the file
    # without its seal in the database would be an alarm.
    for seal in Seal.objects.filter(pk__gt=head.last()).order_by("id"):
        head.append(seal)
    return len(lines)


def verify(head: HeadFile) -> Iterator[Finding]:
    """Yield every place where lines, seals, rows and the head outside the database disagree.

    Reads everything once, in order, in one snapshot; memory stays flat. Grows linearly with the number of lines.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield from _verify_chain(head)
        yield from _verify_rows()


def _verify_chain(head: HeadFile) -> Iterator[Finding]:
    heads = dict(head.heads())
    previous, expected_seq, expected_seal = GENESIS, 1, 1
    for seal in Seal.objects.order_by("id").iterator():
        if seal.pk != expected_seal:
            yield Finding(f"seal {expected_seal}", "is missing")
        lines = list(
            Line.objects.filter(seq__range=(seal.first_seq, seal.last_seq))
            .order_by("seq")
            .values_list("seq", "source", "source_id", "body")
        )
        if len(lines) != seal.last_seq - seal.first_seq + 1 or seal.first_seq != expected_seq:
            yield Finding(f"seal {seal.pk}", "lines were removed or renumbered")
        if _digest(previous, lines) != seal.digest:  # type: ignore[arg-type]
            yield Finding(f"seal {seal.pk}", "a line in it was edited, removed or swapped")
        if heads.pop(seal.pk, seal.digest) != seal.digest:
            yield Finding(f"seal {seal.pk}", "differs from the head kept outside the database")
        previous, expected_seq, expected_seal = seal.digest, seal.last_seq + 1, seal.pk + 1
    for number in sorted(heads):
        yield Finding(f"seal {number}", "was cut off: the head outside the database knows it, the database does not")
    for seq in Line.objects.filter(seq__gte=expected_seq).order_by("seq").values_list("seq", flat=True)[:20]:
        yield Finding(f"line {seq}", "is numbered but no seal covers it")


def _verify_rows() -> Iterator[Finding]:
    """Compare each line with the row it was written for. Columns added since are not looked at."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT source FROM journal_line ORDER BY source")
        sources = [row[0] for row in cursor.fetchall()]
        for source in sources:
            if source not in AppendOnly.tables():
                yield Finding(source, "is named by audit lines but is no audited table")
                continue
            table = connection.ops.quote_name(source)
            # `table` is one of our own models' names, quoted.
            cursor.execute(
                f"""
                SELECT line.source_id,
                       CASE WHEN live.id IS NULL THEN 'was removed' ELSE 'was edited' END
                  FROM journal_line line
                  LEFT JOIN {table} live ON live.id::text = line.source_id
                 WHERE line.source = %s
                   AND (live.id IS NULL OR NOT to_jsonb(live) @> line.body::jsonb)
                 LIMIT 100
                """,  # noqa: S608
                [source],
            )
            for source_id, what in cursor.fetchall():
                yield Finding(f"{source} {source_id}", what)
            cursor.execute(
                f"""
                SELECT live.id FROM {table} live
                 WHERE NOT EXISTS (
                    SELECT FROM journal_line line WHERE line.source = %s AND line.source_id = live.id::text)
                 LIMIT 100
                """,  # noqa: S608
                [source],
            )
            for (row_id,) in cursor.fetchall():
                yield Finding(f"{source} {row_id}", "has no audit line: it was put in past the trigger")
