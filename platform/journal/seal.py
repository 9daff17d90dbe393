"""The audit chain: seal new lines, and find what was changed since.

Each seal's digest covers the digest before it and, in order, every line it seals. The newest seal is also written
to a file outside the database, so that whoever owns the database cannot shorten or rewrite the chain unseen.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db import connection, transaction
from django.db.models.functions import Now

from journal import evidence
from journal.evidence import Finding
from journal.heads import Head, HeadFile
from journal.models import AppendOnly, Line, Seal
from journal.transactions import step

__all__ = ["Finding", "HeadFile", "HeadsLost", "seal_new_lines", "verify", "write_heads"]

log = logging.getLogger(__name__)

BATCH = 2000
GENESIS = "0" * 64

# How many heads a sealer writes again by itself, after a crash between a commit and its head.
MOST_REPEATED = 8

# A line without a seal, or a seal without its head, is one that no sealer came by for.
LATE = timedelta(minutes=1)

# A place that was changed from end to end is not told line by line.
MOST_TOLD = 20


class HeadsLost(Exception):
    """The head file does not continue what the database holds. Only a person may write it anew."""

    def __init__(self, head: HeadFile, why: str) -> None:
        super().__init__(
            f"{head.path} {why}. No head is written until somebody has looked: `manage.py audit verify`, then "
            "`manage.py audit write-heads`."
        )


def _digest(previous: str, lines: list[tuple[int, str, str, str]]) -> str:
    chain = hashlib.sha256(previous.encode())
    for seq, source, source_id, body in lines:
        chain.update(json.dumps([seq, source, source_id, body]).encode())
    return chain.hexdigest()


def seal_new_lines(head: HeadFile) -> int:
    """Chain the lines that no seal covers yet, batch by batch until fewer than a batch are left. Returns how many.

    One sealer at a time: a second one waits and then finds nothing. A line whose transaction commits late is
    sealed late, under a later number; nothing is ever skipped. Where the head file was lost or shortened, lines are
    sealed all the same, but the file is left as it is and an error is logged.
    """
    sealed = 0
    while True:
        count = _seal_batch()
        sealed += count
        # After the commit: a head that is missing in the file is written at the next turn, a head in the file
        # without its seal in the database would be an alarm.
        try:
            write_heads(head)
        except HeadsLost as error:
            log.error("%s", error)
        if count < BATCH:
            return sealed


def _seal_batch() -> int:
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
                sealed_at=Now(),
            )
    return len(lines)


def write_heads(head: HeadFile, *, most: int | None = MOST_REPEATED) -> int:
    """Write the heads that the file lacks at its end. Returns how many.

    Raises HeadsLost, and writes none, when more than `most` are missing or when the last head is of no seal of ours.
    None means any number: that is for a person who has verified the chain.
    """
    with head.alone():
        last = head.last()
        if last is not None and not Seal.objects.filter(pk=last.seal, digest=last.digest).exists():
            raise HeadsLost(head, f"ends with seal {last.seal}, which the database does not hold")
        missing = Seal.objects.filter(pk__gt=last.seal if last else 0).order_by("id")
        if most is not None and len(missing[: most + 1]) > most:
            raise HeadsLost(head, f"lacks the heads of more than {most} seals")
        written = 0
        for seal in missing.iterator():
            head.append(seal)
            written += 1
    return written


def verify(head: HeadFile) -> Iterator[Finding]:
    """Yield every place where lines, seals, rows, what rooms know of them and the head outside the database disagree.

    Reads everything once, in order, in one snapshot; memory stays flat. Grows linearly with the number of lines.
    """
    with transaction.atomic():
        # Before the snapshot: a head that is written later belongs to a seal that the snapshot may not hold.
        size = head.size()
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT now()")
            (now,) = cursor.fetchone()
        yield from _verify_chain(_Heads(head, size, now))
        yield from _verify_sealed(now)
        yield from _verify_rows()
        yield from evidence.findings()


class _Heads:
    """The heads beside the seals, both read in order."""

    def __init__(self, head: HeadFile, size: int, now: datetime) -> None:
        self.kept = head.heads(size=size)
        self.ahead = next(self.kept, None)
        self.is_empty = self.ahead is None
        self.now = now
        self.gap: list[Seal] = []

    def beside(self, seal: Seal) -> Iterator[Finding]:
        """Compare a seal with its head, and with what was written before it."""
        is_written = False
        while self.ahead is not None and self.ahead.seal <= seal.pk:
            head, self.ahead = self.ahead, next(self.kept, None)
            is_written = is_written or head.seal == seal.pk
            # A head from further back was written again after a crash.
            digest = seal.digest if head.seal == seal.pk else _digest_of(head)
            if digest is None:
                yield _cut_off(head)
            elif digest != head.digest:
                yield Finding(f"seal {head.seal}", "differs from the head kept outside the database")
        if not is_written:
            # The first, the last, and as many between as tell whether they are too many.
            self.gap = [*self.gap[:MOST_REPEATED], seal]
        elif self.gap:
            yield self.lacks()
            self.gap = []

    def after(self) -> Iterator[Finding]:
        """What is left when all seals were seen."""
        told = list(islice(self.kept, MOST_TOLD))
        for head in [self.ahead, *told] if self.ahead else []:
            yield _cut_off(head)
        if self.gap and (self.is_empty or len(self.gap) > MOST_REPEATED or not all(map(self.is_fresh, self.gap))):
            yield self.lacks()

    def is_fresh(self, seal: Seal) -> bool:
        """So new that its head may be on its way."""
        return abs(self.now - seal.sealed_at) <= LATE

    def lacks(self) -> Finding:
        """The seals without a head, as one finding."""
        first, last = self.gap[0].pk, self.gap[-1].pk
        return Finding("head file", f"lacks the heads of seals {first} to {last}: lost, shortened or not written")


def _digest_of(head: Head) -> str | None:
    return Seal.objects.filter(pk=head.seal).values_list("digest", flat=True).first()


def _cut_off(head: Head) -> Finding:
    return Finding(f"seal {head.seal}", "was cut off: the head outside the database knows it, the database does not")


def _verify_chain(heads: _Heads) -> Iterator[Finding]:
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
        yield from heads.beside(seal)
        previous, expected_seq, expected_seal = seal.digest, seal.last_seq + 1, seal.pk + 1
    yield from heads.after()
    for seq in Line.objects.filter(seq__gte=expected_seq).order_by("seq").values_list("seq", flat=True)[:MOST_TOLD]:
        yield Finding(f"line {seq}", "is numbered but no seal covers it")


def _verify_sealed(now: datetime) -> Iterator[Finding]:
    """Find lines that no seal covers and that are older than a turn of any sealer, or say they are from tomorrow."""
    waiting = Line.objects.filter(seq__isnull=True).exclude(written_at__range=(now - LATE, now + LATE))
    if count := waiting.count():
        first = waiting.order_by("id").values_list("id", flat=True)[0]
        yield Finding(f"line {first}", f"and {count - 1} others have no seal after a minute: does sweep run?")


def _verify_rows() -> Iterator[Finding]:
    """Compare each line with the row it was written for. Columns added since are not looked at."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT source FROM journal_line")
        audited = AppendOnly.tables()
        # Also the tables that no line names: whatever is in them was put in past the trigger.
        for source in sorted(audited | {row[0] for row in cursor.fetchall()}):
            if source not in audited:
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
