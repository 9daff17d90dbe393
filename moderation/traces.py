"""Whether a file came from here: by its sum, by perceptual hashes of what was released, by its credentials, by its
watermark.

Costs one look-up by the sum, and for each hash the rows that share a word of 16 bits with it, or nearly: one in two
hundred and fifty of a million unlike pictures.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.db import connection
from django.utils import timezone

from moderation.models import Case, Decision
from moderation.provenance.hashes import BITS, LEAST_QUALITY, NEAR

WORD = 16
# Of a film's frames so many must be found in one released film.
SHARE_OF_FRAMES = 0.5
TOO_LITTLE = "There is too little in it to tell it from others."


@dataclass(frozen=True)
class Alike:
    """A released medium that looks like what was asked about, and in how many of 256 bits it differs."""

    case: Case
    distance: int


def answer(told: dict[str, Any], *, watermark: bool | None) -> dict[str, Any]:
    """What is said of a file, from what the limited process told of it (moderation/formats/tracing.py), and whether our
    watermark is in its pixels, None where it could not be looked for.

    came_from_here: true or false, null where it cannot be said. altered: the same, where it came from here. traces says
    what each of them found. Nothing in it says whose it is or what it was asked for with.
    """
    same = released().filter(derivative_sha256=told["sha256"]).first() or released().filter(
        poster_sha256=told["sha256"]
    ).first()  # fmt: skip
    near = None if same else alike(told["hashes"], is_film=told["kind"] == "film")
    credentials = told["credentials"]
    signed = credentials["state"]
    found = same or (near.case if near else None)
    came = bool(found) or signed in {"ours", "ours_altered"} or bool(watermark)
    whole = bool(same) or signed == "ours"
    can_tell = any(quality >= LEAST_QUALITY for _, _, quality in told["hashes"])
    return {
        "came_from_here": True if came else False if can_tell else None,
        "altered": (not whole) if came else None,
        "kind": told["kind"],
        "why": "" if came or can_tell else told["why"] or TOO_LITTLE,
        "released": f"{released_at(found):%Y-%m-%d}" if found else None,
        "model": found.evidence.get("model") if found else None,
        "made": credentials["source"] if signed == "ours" else _made(found),
        "traces": {
            "file": bool(same),
            "credentials": signed,
            "perceptual_hash": near.distance if near else 0 if same else None,
            "watermark": watermark,
        },
        "signed_by": credentials["issuer"] if signed == "foreign" else None,
    }


def released() -> Any:
    """Media that were released at some time, the latest first: also what was taken back came from here."""
    ever = Decision.objects.filter(to_state=Case.State.CLEARED).values("case")
    return Case.objects.filter(subject=Case.Subject.MEDIUM, pk__in=ever).order_by("-pk")


def released_at(case: Case) -> Any:
    """When a medium was first released."""
    first = case.decisions.filter(to_state=Case.State.CLEARED).order_by("pk").first()
    return first.created_at if first else timezone.now()


def alike(hashes: Sequence[Sequence[Any]], *, is_film: bool) -> Alike | None:
    """The released medium that looks most like these hashes, [where, digits, quality] each.

    Of a picture any of its hashes, which are of all the ways to turn it, against any of the medium's. Of a film so many
    of its frames as SHARE_OF_FRAMES says, the distance being that of the middle one.
    """
    asked = [int(digits, 16) for _, digits, quality in hashes if quality >= LEAST_QUALITY]
    near: dict[int, list[int]] = defaultdict(list)
    for one in asked:
        for case, theirs in _sharing_a_word(one):
            distance = min((one ^ other).bit_count() for other in theirs)
            if distance <= NEAR:
                near[case].append(distance)
    enough = max(1, round(SHARE_OF_FRAMES * len(asked))) if is_film else 1
    best = sorted((round(median(found)) if is_film else min(found), case) for case, found in near.items()
                  if len(found) >= enough)  # fmt: skip
    for distance, key in best:
        if (case := released().filter(pk=key).first()) is not None:
            return Alike(case, distance)
    return None


def _sharing_a_word(one: int) -> Iterator[tuple[int, list[int]]]:
    """Cases with a hash that has a word of 16 bits in common with this one, but for one bit; and their hashes."""
    words = []
    for place in range(BITS // WORD):
        word = one >> (BITS - WORD * (place + 1)) & (1 << WORD) - 1
        words += [place << WORD | word, *(place << WORD | word ^ 1 << bit for bit in range(WORD))]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, derivative_traces FROM moderation_case
             WHERE derivative_traces <> '[]'::jsonb AND subject = 'medium' AND state IN ('cleared', 'withdrawn')
               AND moderation_trace_words(derivative_traces) && %s
            """,
            [words],
        )
        for key, traces in cursor.fetchall():
            read = _read(traces)
            yield key, [int(digits, 16) for _, digits, quality in read if quality >= LEAST_QUALITY]


def _read(traces: Any) -> list[Any]:
    """jsonb as the driver gives it: Django leaves it as text for its own fields to read."""
    found: list[Any] = json.loads(traces) if isinstance(traces, str) else traces
    return found


def _made(case: Case | None) -> str | None:
    if case is None:
        return None
    return "compositeWithTrainedAlgorithmicMedia" if case.evidence.get("goes_in") else "trainedAlgorithmicMedia"
