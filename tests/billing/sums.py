"""The sums that hold in every committed state, asked in SQL of its own: what verifies the ledger shares none of it."""

import json
from typing import Any

from django.db import connection, transaction

WRONG = """
    WITH posted AS (SELECT account_id, count(*) AS lines, sum(amount) AS amount FROM billing_entry GROUP BY account_id),
         stands AS (
             SELECT wallet.id, a.balance AS available, h.balance AS held, coalesce(o.balance, 0) AS owed,
                    (SELECT coalesce(sum(remaining), 0) FROM billing_lot WHERE wallet_id = wallet.id) AS remaining,
                    (SELECT coalesce(sum(held), 0) FROM billing_lot WHERE wallet_id = wallet.id) AS in_lots,
                    (SELECT coalesce(sum(amount), 0) FROM billing_hold
                      WHERE wallet_id = wallet.id AND state = 'open') AS in_holds
               FROM billing_wallet wallet
               JOIN billing_account a ON a.id = wallet.available_id
               JOIN billing_account h ON h.id = wallet.held_id
               LEFT JOIN billing_account o ON o.id = wallet.owed_id)
    SELECT 'all entries sum to ' || sum(amount) FROM billing_entry HAVING sum(amount) <> 0
    UNION ALL
    SELECT 'transfer ' || transfer_id || ' sums to ' || sum(amount)
      FROM billing_entry GROUP BY transfer_id HAVING sum(amount) <> 0
    UNION ALL
    SELECT 'account ' || id || ' stands at ' || balance || ', posted were ' || coalesce(amount, 0)
      FROM billing_account LEFT JOIN posted ON account_id = id
     WHERE kind <> 'house' AND (balance, version) IS DISTINCT FROM (coalesce(amount, 0), coalesce(lines, 0))
    UNION ALL
    SELECT 'wallet ' || id || ': ' || available || ' to spend, in its lots ' || remaining
      FROM stands WHERE available <> remaining
    UNION ALL
    SELECT 'wallet ' || id || ': ' || held || ' held, in its lots ' || in_lots || ', in its open holds ' || in_holds
      FROM stands WHERE held <> in_lots OR held <> in_holds
    UNION ALL
    SELECT 'wallet ' || id || ' stands below zero' FROM stands WHERE available < 0 OR held < 0 OR owed > 0
    UNION ALL
    SELECT 'lot ' || id || ' is overdrawn' FROM billing_lot
     WHERE remaining < 0 OR held < 0 OR remaining + held > granted
    UNION ALL
    SELECT 'spent were ' || sum(posted.amount) || ', captured ' || sum(captured.amount)
      FROM (SELECT coalesce(sum(amount), 0) AS amount FROM posted WHERE account_id = -2) posted,
           (SELECT coalesce(sum(amount), 0) AS amount FROM billing_hold WHERE state = 'captured') captured
    HAVING sum(posted.amount) <> sum(captured.amount)
    UNION ALL
    SELECT 'hold ' || cause || ' ended twice' FROM billing_transfer
     WHERE kind IN ('capture', 'release') GROUP BY cause HAVING count(*) > 1
"""

STANDING = """
    SELECT wallet.id, wallet.owed_id, coalesce(owed.balance, 0),
           (SELECT json_object_agg(key, json_build_array(remaining, held))::text
              FROM billing_lot WHERE wallet_id = wallet.id),
           (SELECT json_object_agg(cause, json_build_array(amount, state))::text
              FROM billing_hold WHERE wallet_id = wallet.id)
      FROM billing_wallet wallet
      LEFT JOIN billing_account owed ON owed.id = wallet.owed_id
     WHERE wallet.id = ANY(%s)
"""


def wrong_sums() -> list[str]:
    """Which of the sums do not hold, seen at one moment."""
    if transaction.get_connection().in_atomic_block:
        return [said for (said,) in _rows(WRONG)]
    with transaction.atomic():
        _rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return [said for (said,) in _rows(WRONG)]


def standing(wallets: list[int]) -> dict[int, tuple[int | None, int, dict[str, list[int]], dict[str, list[Any]]]]:
    """The account of what each wallet owes, how much, its lots as [remaining, held], its holds as [amount, state]."""
    return {
        pk: (account, -owed, json.loads(lots or "{}"), json.loads(holds or "{}"))
        for pk, account, owed, lots, holds in _rows(STANDING, [wallets])
    }


def house_sums() -> dict[int, int]:
    """What the house's accounts have got, those that got nothing left out."""
    found = _rows("SELECT account_id, sum(amount)::bigint FROM billing_entry WHERE account_id < 0 GROUP BY account_id")
    return {account: amount for account, amount in found if amount}


def fire_constraints() -> None:
    """Have the database look now at what it otherwise looks at when the transaction commits."""
    _rows("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def _rows(sql: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
