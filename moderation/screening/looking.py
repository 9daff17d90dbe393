"""What is said of pictures and films: by every classifier, and by the tables of known pictures."""

import math
from collections.abc import Sequence
from dataclasses import replace

from moderation import known
from moderation.classifiers.armoury import Armoury
from moderation.models import Case
from moderation.policy import KNOWN
from moderation.screening import uploads
from moderation.screening.originals import Original
from moderation.signals import ItemFault, MachineryFault, Signal

# So many views go through the classifiers together: a batch of films has more.
AT_ONCE = 16


def required(armoury: Armoury, subject: str) -> frozenset[str]:
    """What must have spoken about such a subject: the classifiers, and of a picture the tables."""
    return armoury.required(subject) | (frozenset() if subject == "prompt" else frozenset({KNOWN}))


def look(armoury: Armoury, originals: Sequence[Original]) -> list[list[Signal]]:
    """The worst that is said of any view of each original. Raises ItemFault, MachineryFault."""
    views = [(place, view) for place, original in enumerate(originals) for view in original.views]
    said: list[list[list[Signal]]] = [[] for _ in originals]
    for start in range(0, len(views), AT_ONCE):
        part = views[start : start + AT_ONCE]
        try:
            answers = armoury.screen_pictures([view.picture for _, view in part])
        except ItemFault as fault:
            place, view = part[fault.index]
            raise ItemFault(place, f"{fault.why}{f' ({view.where})' if view.where else ''}") from fault
        if len(answers) != len(part):
            raise MachineryFault(f"{len(answers)} answers came for {len(part)} views")
        found = known.signals_of([view.hashes for _, view in part])
        for (place, view), answer, table in zip(part, answers, found, strict=True):
            said[place].append([replace(one, field=view.where) for one in (*answer, *table)])
    return [worst(place, each) for place, each in enumerate(said)]


def beside(armoury: Armoury, cases: Sequence[Case]) -> list[list[Signal]]:
    """What is known of each case beside what is seen in it: of an upload how it was brought, of a medium whether its
    prompt names somebody."""
    names = iter(armoury.named([str(case.evidence.get("prompt", "")) for case in cases if _is_drawn(case)]))
    return [
        next(names) if _is_drawn(case) else uploads.brought(case) if case.subject == Case.Subject.UPLOAD else []
        for case in cases
    ]


def _is_drawn(case: Case) -> bool:
    return case.subject == Case.Subject.MEDIUM


def worst(place: int, views: Sequence[Sequence[Signal]]) -> list[Signal]:
    """Of each signal the one of the view where it is worst: what is no number first, then the highest score.

    Raises ItemFault with `place` when a classifier did not speak of every view.
    """
    said = [{(one.name, one.model, one.version): one for one in view} for view in views]
    if any(each.keys() != said[0].keys() for each in said):
        raise ItemFault(place, "not every view of it was looked at")
    return [
        max((each[key] for each in said), key=lambda one: one.score if math.isfinite(one.score) else math.inf)
        for key in said[0]
    ]
