from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People, how they sign in, what they may do, and their API keys."""

    name = "accounts"
