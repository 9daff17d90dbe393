"""Screening: what the web process judges at once, and, in `worker`, what the screening process judges in batches."""

from moderation.screening.intake import PromptRefusal, judge_prompt_now, oldest_pending_age

__all__ = ["PromptRefusal", "judge_prompt_now", "oldest_pending_age"]
