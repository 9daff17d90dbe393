"""A verdict as OpenAI's moderation clients read it, with our own words beside. Never a threshold."""

from collections.abc import Sequence
from typing import Any

from moderation.models import Case
from moderation.policy import CATEGORIES
from moderation.rules import policies
from moderation.signals import Signal
from moderation.verdict import Verdict

WORST = {"clear": 0, "review": 1, "block": 2}


def told(verdict: Verdict, signals: Sequence[Signal], kind: str) -> dict[str, Any]:
    """A verdict as OpenAI's clients read it: categories, scores, by what; and in our own words beside."""
    house = policies()
    scores = dict.fromkeys(CATEGORIES, 0.0)
    hit, applied = dict.fromkeys(CATEGORIES, False), {name: [] for name in CATEGORIES}  # type: ignore[var-annotated]
    for policy, threshold in house.thresholds(Case.Subject.PROMPT if kind == "text" else Case.Subject.UPLOAD):
        given = [one.score for one in signals if (one.name, one.model) == (threshold.signal, threshold.model)]
        sound = [float(score) for score in given if isinstance(score, int | float) and 0 <= score <= 1]
        for name in policy.categories:
            scores[name] = max([scores[name], *sound])
            applied[name] = [kind]
    acted = [one for one in verdict.triggers if one.action != "unscreened"]
    for trigger in acted:
        policy_hit = house.named(trigger.policy_code)
        for name in policy_hit.categories if policy_hit else ():
            hit[name] = True
    return {
        "flagged": verdict.outcome != "clear",
        "categories": hit,
        "category_scores": {name: round(score, 4) for name, score in scores.items()},
        "category_applied_input_types": applied,
        "verdict": verdict.outcome,
        "is_unscreened": verdict.is_unscreened,
        "policies": [
            {"code": one.policy_code, "action": one.action, "words": list(one.words)}
            for one in {(one.policy_code, one.action): one for one in acted}.values()
        ],
    }


def combined(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several inputs as one: the worst of each."""
    first, *others = results
    made = {name: dict(value) if isinstance(value, dict) else value for name, value in first.items()}
    for other in others:
        made["flagged"] |= other["flagged"]
        made["is_unscreened"] |= other["is_unscreened"]
        made["verdict"] = max(made["verdict"], other["verdict"], key=lambda outcome: WORST[outcome])
        made["policies"] = [*made["policies"], *(one for one in other["policies"] if one not in made["policies"])]
        for name in CATEGORIES:
            made["categories"][name] |= other["categories"][name]
            made["category_scores"][name] = max(made["category_scores"][name], other["category_scores"][name])
            types = [*made["category_applied_input_types"][name], *other["category_applied_input_types"][name]]
            made["category_applied_input_types"][name] = list(dict.fromkeys(types))
    return made
