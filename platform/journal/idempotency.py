"""A request that comes twice takes effect once."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from journal.models import IdempotentCall
from journal.transactions import require_transaction


class KeyReused(Exception):
    """The idempotency key was used for another request within the last 24 hours."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The idempotency key {key[:40]!r} was used for a different request within the last 24 hours. "
            "Send a new key with a new request."
        )


def digest_of(fields: Mapping[str, Any]) -> str:
    """One digest over parsed fields, whatever their order."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()


def earlier_outcome(*, person_id: int, route: str, key: str, digest: str) -> str | None:
    """What the same call made before, or None when it is new. Then the caller must `remember` in this transaction.

    A second call in flight waits here for the first one's commit, and then finds what that one made.
    Raises KeyReused when the same key came with another body.
    """
    _one_at_a_time(f"{person_id}/{route}/{key}")
    call = IdempotentCall.objects.filter(person_id=person_id, route=route, key=key).first()
    if call is None:
        return None
    if call.created_at < timezone.now() - IdempotentCall.TERM:
        call.delete()
        return None
    if call.digest != digest:
        raise KeyReused(key)
    return call.outcome


def remember(*, person_id: int, route: str, key: str, digest: str, outcome: str) -> None:
    """Write down what this call made, in the transaction that makes it."""
    require_transaction()
    IdempotentCall.objects.create(person_id=person_id, route=route, key=key, digest=digest, outcome=outcome)


def queue_behind_same(*, person_id: int, route: str, digest: str) -> None:
    """Wait for the commit of this person's identical request in flight.

    A first call without a key takes the same lock as its retry, so that a retry that overtakes it waits for what it
    makes.
    """
    _one_at_a_time(f"{person_id}/{route}//{digest}")


def recent_same(*, person_id: int, route: str, digest: str, within_seconds: int) -> str | None:
    """What this person's identical request made within the last seconds, whatever its key.

    Two at once go one after the other: the second waits here for the first one's commit.
    """
    queue_behind_same(person_id=person_id, route=route, digest=digest)
    call = (
        IdempotentCall.objects.filter(
            person_id=person_id,
            route=route,
            digest=digest,
            created_at__gt=timezone.now() - timedelta(seconds=within_seconds),
        )
        .order_by("-created_at")
        .first()
    )
    return call.outcome if call else None


def _one_at_a_time(what: str) -> None:
    """Hold back whoever asks for the same until this transaction ends."""
    require_transaction()
    lock = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])


def forget_old() -> int:
    """Delete keys past their term."""
    return IdempotentCall.objects.filter(created_at__lt=timezone.now() - IdempotentCall.TERM).delete()[0]
