"""Announcements between processes, by PostgreSQL's NOTIFY."""

from django.db import connection

CHANNEL = "vaglio_events"


def announce(kind: str, key: str) -> None:
    """Tell whoever listens that `kind` `key` changed. Inside a transaction it is sent on commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{kind}:{key}"])
