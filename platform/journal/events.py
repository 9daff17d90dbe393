"""Announcements between processes, by PostgreSQL's NOTIFY."""

from collections.abc import Sequence

from django.db import connection

CHANNEL = "vaglio_events"


def announce(kind: str, key: str) -> None:
    """Tell whoever listens that `kind` `key` changed. Inside a transaction it is sent on commit."""
    announce_all(kind, [key])


def announce_all(kind: str, keys: Sequence[str]) -> None:
    """The same for many keys, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_notify(%s, %s || ':' || key) FROM unnest(%s::text[]) key", [CHANNEL, kind, list(keys)]
        )
