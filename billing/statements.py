"""The few statements that every hold and every capture sends, in SQL: here time is spent for each picture made.

Arrays carry what is several, so that a job of ten pictures costs as many round trips as one of one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from billing.models import Hold, Lot, Transfer, Wallet

# Amounts by lot.
Lots = Mapping[int, int]
# One entry to be: its account, its lot if it is of one, and how much more or less.
Leg = tuple[int, int | None, int]
Move = tuple[Transfer, Sequence[Leg]]

LOCK_WALLET = "SELECT owed_id, spending_limit FROM billing_wallet WHERE id = %s FOR NO KEY UPDATE"

# What can be spent, and in which order: the same for every hold, so that it can be foretold.
USABLE_LOTS = """
    SELECT * FROM billing_lot
     WHERE wallet_id = %s AND remaining > 0 AND effective_at <= %s AND (expires_at IS NULL OR expires_at > %s)
     ORDER BY priority, expires_at NULLS LAST, source = 'paid', effective_at, id
"""

# Both rows are locked, the wallet's first, so that a wait for it ends with the hold as it is then.
LOCK_HOLD = """
    SELECT hold.id, hold.state, hold.amount, hold.opened_by_id, hold.closed_by_id,
           wallet.id, wallet.available_id, wallet.held_id, wallet.owed_id
      FROM billing_wallet wallet
      JOIN billing_hold hold ON hold.wallet_id = wallet.id
     WHERE hold.cause = %s
       FOR NO KEY UPDATE
"""

POST = """
    WITH moved AS (
        INSERT INTO billing_transfer
               (key, digest, kind, cause, wallet_id, reason, actor_id, created_at, effective_at)
        SELECT key, digest, kind, cause, wallet_id, reason, actor_id, at, at
          FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[],
                      %s::timestamptz[])
               WITH ORDINALITY one (key, digest, kind, cause, wallet_id, reason, actor_id, at, turn)
         ORDER BY turn
        RETURNING id, key
    ), lines AS (
        INSERT INTO billing_entry (transfer_id, account_id, lot_id, amount)
        SELECT moved.id, account, lot, amount
          FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
               WITH ORDINALITY part (key, account, lot, amount, turn)
          JOIN moved USING (key)
         ORDER BY turn
    )
    SELECT key, id FROM moved
"""

OPEN_HOLDS = """
    INSERT INTO billing_hold (cause, amount, opened_by_id, wallet_id, state, opened_at, expires_at)
    SELECT cause, amount, opened_by, %s, 'open', %s, %s
      FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) one (cause, amount, opened_by)
    RETURNING cause, id
"""

CLOSE_HOLD = "UPDATE billing_hold SET state = %s, closed_at = %s, closed_by_id = %s WHERE id = %s"


def lock_wallet(wallet: Wallet) -> None:
    """Wait for whoever moves credits of this wallet, and keep others waiting until the transaction ends.

    What may have changed of the row until then is brought up to date.
    """
    ((wallet.owed_id, wallet.spending_limit),) = _rows(LOCK_WALLET, [wallet.pk])


def usable_lots(wallet: Wallet, now: datetime) -> list[Lot]:
    """The lots that can be spent from at this moment, in the order in which they will be."""
    return list(Lot.objects.raw(USABLE_LOTS, [wallet.pk, now, now]))


def usable_amounts(wallet: Wallet, now: datetime) -> list[tuple[int, int]]:
    """The same as ids and what they have left."""
    return _rows(USABLE_LOTS.replace("*", "id, remaining", 1), [wallet.pk, now, now])


def known_holds(causes: Sequence[str]) -> dict[str, Hold]:
    """Holds that exist already, by cause. Asked first in SQL, because nearly always there is none."""
    if not _rows("SELECT 1 FROM billing_hold WHERE cause = ANY(%s) LIMIT 1", [list(causes)]):
        return {}
    return {hold.cause: hold for hold in Hold.objects.filter(cause__in=causes)}


def locked_hold(cause: str) -> tuple[Hold, Wallet] | None:
    """The hold for a cause and its wallet, both locked. None when there never was one."""
    for pk, state, amount, opened_by, closed_by, wallet_pk, available, held, owed in _rows(LOCK_HOLD, [cause]):
        wallet = Wallet(pk=wallet_pk, available_id=available, held_id=held, owed_id=owed)
        hold = Hold(
            pk=pk,
            cause=cause,
            wallet=wallet,
            amount=amount,
            state=state,
            opened_by_id=opened_by,
            closed_by_id=closed_by,
        )
        return hold, wallet
    return None


def lots_of(hold: Hold, wallet: Wallet) -> dict[int, int]:
    """What a hold took from which lot."""
    return dict(
        _rows(
            "SELECT lot_id, amount FROM billing_entry WHERE transfer_id = %s AND account_id = %s",
            [hold.opened_by_id, wallet.held_id],
        )
    )


def between(source: int, target: int, lots: Lots) -> list[Leg]:
    """One pair of entries for each lot: from one account to another."""
    return [
        (account, lot, signed)
        for lot, amount in sorted(lots.items())
        for account, signed in ((source, -amount), (target, amount))
    ]


def post(moves: Sequence[Move]) -> None:
    """Write transfers with their entries."""
    transfers = [transfer for transfer, _ in moves]
    entries = [(transfer.key, *leg) for transfer, legs in moves for leg in legs]
    written = _rows(
        POST,
        [
            *_columns(
                [(t.key, t.digest, t.kind, t.cause, t.wallet_id, t.reason, t.actor_id, t.created_at) for t in transfers]
            ),
            *_columns(entries),
        ],
    )
    ids = dict(written)
    for transfer in transfers:
        transfer.pk = ids[transfer.key]
        transfer.effective_at = transfer.created_at
        transfer._state.adding = False


def open_holds(
    wallet: Wallet, transfers: Mapping[str, Transfer], amounts: Mapping[str, int], now: datetime
) -> list[Hold]:
    """Write one open hold for each cause."""
    expires_at = now + Hold.TERM
    opened_by = [transfer.pk for transfer in transfers.values()]
    causes = list(transfers)
    ids = dict(_rows(OPEN_HOLDS, [wallet.pk, now, expires_at, causes, [amounts[cause] for cause in causes], opened_by]))
    return [
        Hold(
            pk=ids[cause],
            cause=cause,
            wallet=wallet,
            amount=amounts[cause],
            opened_at=now,
            expires_at=expires_at,
            opened_by=transfers[cause],
        )
        for cause in causes
    ]


def close_hold(hold: Hold, state: str, transfer: Transfer, now: datetime) -> None:
    """End a hold that `locked_hold` returned as open."""
    with connection.cursor() as cursor:
        cursor.execute(CLOSE_HOLD, [state, now, transfer.pk, hold.pk])


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _rows(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
