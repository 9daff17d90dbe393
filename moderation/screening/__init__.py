"""Screening: what the web process judges at once, and what the screening process judges in batches."""

from typing import TYPE_CHECKING

from moderation.screening.intake import PromptRefusal, judge_prompt_now, oldest_pending_age

if TYPE_CHECKING:
    from moderation.classifiers.armoury import Armoury

__all__ = ["PromptRefusal", "judge_prompt_now", "oldest_pending_age", "screen_waiting"]


def screen_waiting(armoury: "Armoury", worker: str) -> int:
    """Screen until nothing waits. Returns how many cases were decided or held."""
    # Pillow and its like are loaded by whoever screens: the web process imports this package without them.
    from moderation.screening import worker as sieve

    return sieve.screen_waiting(armoury, worker)
