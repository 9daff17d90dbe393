"""What the web process judges by itself: the words of a prompt, and whether the sieve keeps up. No torch here."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from moderation import registry
from moderation.lexicon import judge_prompt
from moderation.models import Case
from moderation.names import instead_of
from moderation.policy import LEXICON
from moderation.rules import in_words, policies
from moderation.verdict import judge


@dataclass(frozen=True)
class PromptRefusal:
    """Words that a policy refuses: which field, which policy, and what to do instead."""

    field: str
    policy_code: str
    title: str
    sentence: str
    words: tuple[str, ...]
    # What one may affirm to have it all the same; empty where nobody may.
    acknowledge: str = ""
    # Other words for those that were refused, where somebody thought of some.
    instead: tuple[str, ...] = ()


def judge_prompt_now(
    prompt: str, negative_prompt: str = "", *, acknowledged: Collection[str] = ()
) -> PromptRefusal | None:
    """What the lexicon and the protected names refuse at once, but for soft blocks that were acknowledged.

    None when the words alone refuse nothing: the rest is judged by the screening process, under a case. Raises
    RegistryUnreadable when nobody can say who is protected.
    """
    registry.refresh()
    house = policies()
    signals = judge_prompt(prompt, negative_prompt, house)
    verdict = judge(house, Case.Subject.PROMPT, signals, {LEXICON}, acknowledged=acknowledged)
    if verdict.outcome != "block":
        return None
    worst = verdict.triggers[0]
    policy = house.named(worst.policy_code)
    assert policy is not None
    return PromptRefusal(
        field=worst.field or "prompt",
        policy_code=policy.code,
        title=in_words(policy.titles),
        sentence=in_words(policy.statement),
        words=worst.words,
        acknowledge=in_words(policy.acknowledge) if worst.is_soft and policy.acknowledge else "",
        instead=tuple(in_words(words) for name in worst.words if (words := instead_of(name))),
    )


def oldest_pending_age() -> timedelta | None:
    """How long the oldest case has waited for the classifiers. None when nothing waits. One index look-up."""
    oldest = (
        Case.objects.filter(state=Case.State.PENDING).order_by("opened_at").values_list("opened_at", flat=True).first()
    )
    return timezone.now() - oldest if oldest else None
