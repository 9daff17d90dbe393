"""Whether the signals that decisions rest on are still the ones that were recorded."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256

from django.db.models import Exists, OuterRef

from journal.evidence import Finding
from moderation.models import Decision, Screening, Signal

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
        for pk, decision, digest in Decision.objects.filter(screening__in=batch).values_list(
            "screening_id", "pk", "signals_sha256"
        ):
            named[pk].append((decision, digest))
        for screening in batch:
            # One that failed has no signals, and no digest over none.
            is_empty = not lines[screening.pk] and not screening.signals_sha256
            found = "" if is_empty else _digest(lines[screening.pk])
            if found != screening.signals_sha256:
                yield Finding(f"moderation_screening {screening.pk}", "its signals were edited, added or removed")
            for decision, digest in named[screening.pk]:
                if found != digest:
                    yield Finding(f"moderation_decision {decision}", "rests on other signals than it names")

    gone = Decision.objects.filter(~Exists(Screening.objects.filter(pk=OuterRef("screening_id"))))
    for pk in gone.filter(screening_id__isnull=False).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        yield Finding(f"moderation_decision {pk}", "rests on a screening that was removed")


def _digest(lines: Sequence[str]) -> str:
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()
