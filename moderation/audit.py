"""Whether what decisions rest on is still what was recorded: signals, and lists of known pictures."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256

from django.db import connection
from django.db.models import Exists, OuterRef

from journal.evidence import Finding
from moderation.actions.known import digest
from moderation.models import BlockedPicture, Decision, ListChange, Screening, Signal

AT_ONCE = 500


def signals() -> Iterator[Finding]:
    """Every screening whose signals no longer give the digest that it, or a decision on it, names.

    Reads every signal once, some hundred screenings at a time. The digest is written anew here, so that an error
    where signals are recorded does not excuse itself.
    """
    last = 0
    while batch := list(Screening.objects.filter(pk__gt=last).order_by("pk")[:AT_ONCE]):
        last = batch[-1].pk
        lines: dict[int, list[str]] = defaultdict(list)
        for pk, name, score, fault, model, version in Signal.objects.filter(screening__in=batch).values_list(
            "screening_id", "name", "score", "fault", "model", "version"
        ):
            lines[pk].append(f"{name}|{score!r}|{fault}|{model}|{version}")
        named: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for pk, decision, rests_on in Decision.objects.filter(screening__in=batch).values_list(
            "screening_id", "pk", "signals_sha256"
        ):
            named[pk].append((decision, rests_on))
        for screening in batch:
            # One that failed has no signals, and no digest over none.
            is_empty = not lines[screening.pk] and not screening.signals_sha256
            found = "" if is_empty else _digest(lines[screening.pk])
            if found != screening.signals_sha256:
                yield Finding(f"moderation_screening {screening.pk}", "its signals were edited, added or removed")
            for decision, rests_on in named[screening.pk]:
                if found != rests_on:
                    yield Finding(f"moderation_decision {decision}", "rests on other signals than it names")

    gone = Decision.objects.filter(~Exists(Screening.objects.filter(pk=OuterRef("screening_id"))))
    for pk in gone.filter(screening_id__isnull=False).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Finding(f"moderation_decision {pk}", "rests on a screening that was removed")


def lists() -> Iterator[Finding]:
    """Every import whose hashes are not those that it brought, and an index that would overlook one.

    Reads every hash once, one import's at a time in memory.
    """
    for change in ListChange.objects.filter(act=ListChange.Act.IMPORT).order_by("pk").iterator():
        if digest(list(change.pictures.values_list("digits", flat=True))) != change.digest:
            yield Finding(f"moderation_listchange {change.pk}", "its hashes were edited, added or removed")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM moderation_blockedword")
        (words,) = cursor.fetchone()
    if words != 16 * BlockedPicture.objects.standing().count():
        yield Finding("moderation_blockedword", "does not have sixteen rows for each picture that is looked for")


def _digest(lines: Sequence[str]) -> str:
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()
