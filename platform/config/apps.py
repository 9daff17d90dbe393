from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The assembled project: settings, ways in, and the commands that run its processes."""

    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401  (registers the deployment checks)
