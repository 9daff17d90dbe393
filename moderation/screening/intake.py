"""What the web process judges by itself: the words of a prompt, and whether the sieve keeps up. No torch here."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from moderation.models import Case
from moderation.rules import policies


@dataclass(frozen=True)
class PromptRefusal:
    """Words that a policy refuses: which field, which policy, and what to do instead."""

    field: str
    policy_code: str
    title: str
    sentence: str
    words: tuple[str, ...]


class PromptJudge:
    """Judges a prompt at once, by the lexicon and the protected names alone."""

    def __call__(self, prompt: str, negative_prompt: str = "") -> PromptRefusal | None:
        """The refusal, or None when the words alone refuse nothing: the rest is judged by the screening process."""
        raise NotImplementedError

    def policy_version(self) -> str:
        """Under which policies it judges."""
        return policies().version


judge_prompt_now = PromptJudge()


def oldest_pending_age() -> timedelta | None:
    """How long the oldest case has waited for the classifiers. None when nothing waits. One index look-up."""
    oldest = (
        Case.objects.filter(state=Case.State.PENDING).order_by("opened_at").values_list("opened_at", flat=True).first()
    )
    return timezone.now() - oldest if oldest else None
