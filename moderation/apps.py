from django.apps import AppConfig


class ModerationConfig(AppConfig):
    """Policies, screening, cases, decisions and the review desk."""

    name = "moderation"

    def ready(self) -> None:
        from moderation import checks  # noqa: F401  (registers the check of the policies)
