"""Sheets to take along: rows as CSV, some thousand at a time, so that memory stays flat however long they are.

Each part is a query of its own that goes on where the last one ended: no transaction is held while somebody's line is
slow. What is written meanwhile belongs to the next sheet.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

from django.db import connection

from billing.console import counts
from billing.console.journal import journal
from billing.money import WHOLE

AT_ONCE = 2000
# A program that opens the sheet would take a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Row = list[Any]

# Where a time lies among the transfers. The sum keeps the planner from walking the primary key from one end.
BETWEEN = """
    SELECT coalesce(min(id + 0), 0), coalesce(max(id + 0), -1)
      FROM billing_transfer WHERE created_at >= %s AND created_at < %s
"""
ENTRIES = """
    SELECT transfer.id, transfer.created_at, transfer.kind, transfer.cause, transfer.reason, person.email,
           CASE entry.account_id WHEN wallet.available_id THEN 'available' WHEN wallet.held_id THEN 'held'
                                 WHEN wallet.owed_id THEN 'owed' WHEN -1 THEN 'house: granted'
                                 WHEN -2 THEN 'house: revenue' WHEN -3 THEN 'house: expired'
                                 WHEN -4 THEN 'house: taken back' ELSE 'house: corrected' END,
           entry.lot_id, lot.source, entry.amount, entry.balance_after, actor.email, entry.id
      FROM (SELECT * FROM billing_transfer
             WHERE id > %s AND id <= %s AND created_at >= %s AND created_at < %s ORDER BY id LIMIT %s) transfer
      JOIN billing_entry entry ON entry.transfer_id = transfer.id
      JOIN billing_wallet wallet ON wallet.id = transfer.wallet_id
      JOIN accounts_user person ON person.id = wallet.person_id
      LEFT JOIN billing_lot lot ON lot.id = entry.lot_id
      LEFT JOIN accounts_user actor ON actor.id = transfer.actor_id
     ORDER BY transfer.id, entry.id
"""
PAYMENTS = """
    SELECT payment.id, payment.paid_at, person.email, payment.number, payment.occasion, coalesce(price.offer, ''),
           payment.currency, payment.amount, payment.tax, payment.refunded, payment.disputed, payment.credits,
           payment.card_brand, payment.card_last4, payment.stripe_invoice, payment.stripe_charge
      FROM billing_payment payment
      JOIN accounts_user person ON person.id = payment.person_id
      LEFT JOIN billing_price price ON price.id = payment.price_id
     WHERE (payment.paid_at, payment.id) > (%s, %s) AND payment.paid_at < %s
     ORDER BY payment.paid_at, payment.id LIMIT %s
"""
# How lots stood at the end of a day: as they stand, less what moved since.
LOTS = """
    SELECT lot.id, person.email, lot.source, lot.effective_at, lot.expires_at, lot.granted,
           lot.remaining + lot.held - coalesce((
               SELECT sum(entry.amount) FROM billing_entry entry
                 JOIN billing_transfer transfer ON transfer.id = entry.transfer_id
                WHERE entry.lot_id = lot.id AND entry.account_id > 0 AND transfer.created_at >= %s
                  AND transfer.kind NOT IN ('hold', 'release')), 0)::bigint,
           lot.cost_basis, lot.currency, lot.payment_id
      FROM billing_lot lot
      JOIN billing_wallet wallet ON wallet.id = lot.wallet_id
      JOIN accounts_user person ON person.id = wallet.person_id
     WHERE lot.id > %s AND lot.created_at < %s
     ORDER BY lot.id LIMIT %s
"""


def entries(since: date, until: date) -> Iterator[Row]:
    """Every entry of the ledger of some days."""
    head = ("transfer", "at", "kind", "cause", "reason", "person", "account", "lot", "source", "amount", "balance")
    yield [*head, "by"]
    start, end = counts.bounds(since)[0], counts.bounds(until)[1]
    ((first, last),) = _rows(BETWEEN, [start, end])
    after = first - 1
    while found := _rows(ENTRIES, [after, last, start, end, AT_ONCE]):
        yield from (list(row[:-1]) for row in found)
        after = found[-1][0]


def payments(since: date, until: date) -> Iterator[Row]:
    """Purchases that were paid on some days."""
    yield [
        *("payment", "paid_at", "person", "invoice", "occasion", "offer", "currency", "amount", "tax", "refunded"),
        *("disputed", "credits", "card", "last4", "stripe_invoice", "stripe_charge"),
    ]
    start, end = counts.bounds(since)[0], counts.bounds(until)[1]
    after: tuple[Any, int] = (start, 0)
    while found := _rows(PAYMENTS, [*after, end, AT_ONCE]):
        for row in found:
            told = list(row)
            told[7:11] = [_amount(each, row[6]) for each in row[7:11]]
            yield told
        after = (found[-1][1], found[-1][0])


def lots(since: date, until: date) -> Iterator[Row]:
    """Lots that were open at the end of the last day, with what their open credits were bought for."""
    yield ["lot", "person", "source", "from", "until", "granted", "open", "currency", "cost", "deferred", "payment"]
    end = counts.bounds(until)[1]
    after = 0
    while found := _rows(LOTS, [end, after, end, AT_ONCE]):
        for pk, email, source, begins, ends, granted, left, cost, currency, payment in found:
            if left:
                worth = None if cost is None else counts.worth(left, of=granted, cost=cost)
                both = [None if each is None else _amount(each, currency) for each in (cost, worth)]
                yield [pk, email, source, begins, ends, granted, left, currency, *both, payment]
        after = found[-1][0]


def postings(since: date, until: date) -> Iterator[Row]:
    """The accounting journal of some days."""
    yield ["day", "account", "currency", "debit", "credit", "words"]
    for each in journal(since, until):
        both = [_amount(amount, each.currency) if amount else "" for amount in (each.debit, each.credit)]
        yield [each.day, each.account, each.currency.upper(), *both, each.words]


SHEETS: dict[str, tuple[str, str, Callable[[date, date], Iterator[Row]]]] = {
    "journal": (
        "Accounting journal",
        "Postings of each day in double entry: receipts, deferred revenue, what was earned, breakage, refunds, "
        "disputes, tax.",
        postings,
    ),
    "payments": ("Payments", "Each purchase with its tax, card, and what went back of it.", payments),
    "entries": ("Ledger entries", "Each entry of each movement of credits, with its lot and cause.", entries),
    "lots": (
        "Lots and liability",
        "Lots that were open at the end of the last day, and the money that is still to be earned with them.",
        lots,
    ),
}


def as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """Rows as CSV, in parts of some thousand. What a program could take for a formula is made plain text."""
    part = io.StringIO()
    writer = csv.writer(part)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_safe(cell) for cell in row])
        if number % AT_ONCE == 0:
            yield part.getvalue().encode()
            part.seek(0)
            part.truncate()
    yield part.getvalue().encode()


def _safe(cell: object) -> object:
    """Numbers are numbers; of words none begins like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").replace(".", "", 1).isdecimal() and cell.isascii()


def _amount(amount: int, currency: str) -> str:
    """Money as a number with its places: -7.50."""
    if currency.lower() in WHOLE:
        return str(amount)
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02}"


def _rows(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
