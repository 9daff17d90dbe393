from django.apps import AppConfig


class WebConfig(AppConfig):
    """The look: the base page, its styles, the landing page and the pages that say what went wrong."""

    name = "web"
