"""Whether a picture is one that a list names, or that was refused here: by its perceptual hash, in a table.

Costs 272 look-ups in an index for each hash, so 2,176 for a picture in all eight ways, whatever is on the lists; and of
what is on them, for each hash, one in 240 from the index alone and one in 23,000 from the table. Measured in
docs/gate.md. What it cannot ask, it does not answer: that is a fault of the machinery, and nothing is cleared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import Error, connection

from moderation.models import BlockedPicture
from moderation.policy import KNOWN
from moderation.provenance.hashes import BITS, LEAST_QUALITY, NEAR, VERSION, Pdq
from moderation.rules import policies
from moderation.signals import MachineryFault, Signal

LISTED, REFUSED = "known", "refused_here"
# Up to NEAR a score is 1; from there it falls to 0 at FARTHEST. All pictures up to NEAR are found; of farther ones most
# (99 % at 39 bits), so no block may rest on a score below 1.
FARTHEST = 64
# Where there is little in a picture: it may be a known one made pale, and may be anything. A person is asked.
UNSURE = 0.9


@dataclass(frozen=True)
class Near:
    """A picture of the table that is near to the hash that stands at `place`, and in how many bits they differ."""

    place: int
    picture: BlockedPicture
    distance: int


def signals_of(views: Sequence[Sequence[Pdq]]) -> list[list[Signal]]:
    """Two signals for each view, which comes as its hashes in all ways to turn it. Raises MachineryFault."""
    ways = [(place, way.digits) for place, hashes in enumerate(views) for way in hashes]
    try:
        found = near([digits for _, digits in ways])
    except Error as error:
        raise MachineryFault(f"known pictures cannot be looked up: {str(error).partition(chr(10))[0]}") from error
    closest: dict[tuple[int, bool], Near] = {}
    for one in found:
        key = ways[one.place][0], one.picture.case_id is not None
        if key not in closest or one.distance < closest[key].distance:
            closest[key] = one
    return [
        [
            _signal(LISTED, closest.get((place, False)), hashes[0].quality),
            _signal(REFUSED, closest.get((place, True)), hashes[0].quality),
        ]
        for place, hashes in enumerate(views)
    ]


def near(asked: Sequence[str], most: int = FARTHEST - 1) -> list[Near]:
    """Every standing picture that is near to one of these hashes of 64 hexadecimal digits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, picture_id, distance FROM moderation_blocked_near(%s::text[], %s)", [list(asked), most]
        )
        rows = cursor.fetchall()
    pictures = BlockedPicture.objects.standing().in_bulk({picture for _, picture, _ in rows}) if rows else {}
    return [Near(number - 1, pictures[picture], distance) for number, picture, distance in rows if picture in pictures]


def _signal(name: str, one: Near | None, quality: int) -> Signal:
    if one is None:
        return Signal(name, 0.0, KNOWN, VERSION)
    score = 1.0 if one.distance <= NEAR else 1 - (one.distance - NEAR) / (FARTHEST - NEAR)
    if quality < LEAST_QUALITY:
        score = min(score, UNSURE)
    picture = one.picture
    policy = policies().named(picture.policy_code)
    listed = f"picture {picture.pk} of the list “{picture.source}”"
    where = f"case {picture.case_id}, refused" if name == REFUSED else listed
    note = f"near {where} under {picture.policy_code}: {one.distance} of {BITS} bits differ"
    return Signal(name, score, KNOWN, VERSION, note=note, severity=policy.severity if policy else 0)
