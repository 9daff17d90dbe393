from django.apps import AppConfig


class ModerationConfig(AppConfig):
    """Policies, screening, cases, decisions and the review desk."""

    name = "moderation"
