"""The house's policies, read once a process. Changing one asks for a restart, so that one process has one version."""

from functools import lru_cache

from django.conf import settings

from moderation.policy import PolicySet


@lru_cache
def policies() -> PolicySet:
    """The policies of this process. Raises, naming file and field, when one is written wrongly."""
    return PolicySet.load(settings.POLICIES)
