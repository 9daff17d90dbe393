"""System checks of this room, run by every management command."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from moderation.policy import PolicyError
from moderation.rules import policies


@register()
def policies_can_be_read(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A policy with a typo is found before the first prompt."""
    try:
        policies()
    except PolicyError as error:
        return [Error(str(error), hint="Correct the file; VAGLIO_POLICIES names its folder.", id="moderation.E001")]
    return []
