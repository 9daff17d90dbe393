from django.apps import AppConfig


class ModerationConfig(AppConfig):
    """Policies, screening, cases, decisions and the review desk."""

    name = "moderation"

    def ready(self) -> None:
        from journal import evidence
        from moderation import (
            audit,
            checks,  # noqa: F401  (registers the check of the policies)
        )

        evidence.register("moderation.signals", audit.signals)
        evidence.register("moderation.lists", audit.lists)
