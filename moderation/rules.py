"""The house's policies, read once a process. Changing one asks for a restart, so that one process has one version."""

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings
from django.utils.translation import get_language

from moderation import policy_files
from moderation.policy import PolicySet


@lru_cache
def policies() -> PolicySet:
    """The policies of this process. Raises PolicyError, naming file and key, when one is written wrongly."""
    return policy_files.load(*settings.POLICIES, shadow=settings.SHADOW_CLASSIFIERS)


def in_words(texts: Mapping[str, str]) -> str:
    """A policy's text in the reader's language, or in English."""
    return texts.get((get_language() or "en").partition("-")[0], texts["en"])
