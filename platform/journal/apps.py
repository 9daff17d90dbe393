from django.apps import AppConfig


class JournalConfig(AppConfig):
    """What lies below all rooms: transactions, wake-ups, idempotency, the sealed audit."""

    name = "journal"
