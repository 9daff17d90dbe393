"""What one day (UTC) of the ledger and of the till comes to. Each function returns sums by name and label.

Flows are what happened in the day; standings are how things stood at its end. Money carries its currency in the label:
"usd", or "usd:creator".
"""

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from billing import causes
from billing.models import Transfer

Counts = Counter[tuple[str, str]]
# Open credits by lot: neither spent, expired nor taken.
Open = MutableMapping[int, int]

# By what happened in the ledger.
OF_LEDGER = frozenset(
    {
        *("granted", "spent", "expired", "taken_back", "restored", "repaid", "corrected", "owed_more"),
        *("worth", "earned", "used", "drawn", "drawn_ms", "first_spent"),
    }
)
# By what was bought, and by whom.
OF_MONEY = frozenset(
    {
        *("paid", "tax", "at_once", "purchases", "revenue", "occasion", "first_purchases", "failed_payments"),
        *("signups", "checkouts", "checkouts_paid", "active", "trials", "mrr", "churned"),
    }
)
# How things stood.
STANDINGS = frozenset(["outstanding", "owed", "deferred", "active", "trials", "mrr"])
# Money that went back, ever, as was known at the end of the day: a refund may fail, and a dispute may be won, later.
EVER = frozenset(["refunded_ever", "refunded_tax_ever", "disputed_ever"])

# The name of what each kind of transfer does to the open credits of a lot.
FLOWS = {
    Transfer.Kind.GRANT: "granted",
    Transfer.Kind.CAPTURE: "spent",
    Transfer.Kind.EXPIRE: "expired",
    Transfer.Kind.TAKE_BACK: "taken_back",
    Transfer.Kind.RESTORE: "restored",
    Transfer.Kind.REPAY: "repaid",
    Transfer.Kind.CORRECT: "corrected",
}

# What was set aside or given back stays with its lots, so those transfers need not be read.
MOVED = """
    SELECT transfer.kind, transfer.cause, entry.lot_id, lot.source, lot.granted, lot.cost_basis, lot.currency,
           sum(entry.amount)::bigint
      FROM billing_transfer transfer
      JOIN billing_entry entry ON entry.transfer_id = transfer.id
      LEFT JOIN billing_lot lot ON lot.id = entry.lot_id
     WHERE transfer.created_at >= %s AND transfer.created_at < %s AND transfer.kind NOT IN ('hold', 'release')
       AND entry.account_id > 0
     GROUP BY transfer.id, entry.lot_id, lot.id
     ORDER BY transfer.id, entry.lot_id
"""

# Where the lots that moved since a moment stood at it: how they stand, less what moved. One statement sees one state.
OPEN_AT = """
    SELECT lot.id, lot.remaining + lot.held - moved.amount
      FROM (SELECT entry.lot_id, sum(entry.amount)::bigint AS amount
              FROM billing_transfer transfer
              JOIN billing_entry entry ON entry.transfer_id = transfer.id
             WHERE transfer.created_at >= %s AND transfer.kind NOT IN ('hold', 'release')
               AND entry.account_id > 0 AND entry.lot_id IS NOT NULL
             GROUP BY entry.lot_id) moved
      JOIN billing_lot lot ON lot.id = moved.lot_id
"""

# Wallets that spent for the first time.
FIRST_SPENT = """
    SELECT count(DISTINCT transfer.wallet_id)
      FROM billing_transfer transfer
     WHERE transfer.created_at >= %s AND transfer.created_at < %s AND transfer.kind = 'capture'
       AND NOT EXISTS (SELECT FROM billing_hold hold
                        WHERE hold.wallet_id = transfer.wallet_id AND hold.state = 'captured'
                          AND hold.closed_at < %s AND hold.opened_at < %s)
"""

# A purchase's money without tax, and how much of it its lots will earn.
PAID = """
    SELECT payment.currency, coalesce(price.offer, ''), payment.occasion, count(*), sum(payment.amount)::bigint,
           sum(payment.tax)::bigint,
           sum(payment.amount - payment.tax - coalesce((SELECT sum(lot.cost_basis) FROM billing_lot lot
                                                         WHERE lot.payment_id = payment.id), 0))::bigint,
           count(*) FILTER (WHERE payment.amount > 0 AND NOT EXISTS (
               SELECT FROM billing_payment earlier
                WHERE earlier.person_id = payment.person_id AND earlier.amount > 0
                  AND (earlier.paid_at, earlier.id) < (payment.paid_at, payment.id)))
      FROM billing_payment payment
      LEFT JOIN billing_price price ON price.id = payment.price_id
     WHERE payment.paid_at >= %s AND payment.paid_at < %s
     GROUP BY 1, 2, 3
"""

# The last purchase of each subscription that lasts beyond a moment and was not taken back. A year is the longest.
SUBSCRIBED = """
    SELECT DISTINCT ON (payment.stripe_subscription) price.offer, price.interval, price.amount, price.currency,
           payment.amount = 0
      FROM billing_payment payment
      JOIN billing_price price ON price.id = payment.price_id
      JOIN billing_subscription subscription ON subscription.stripe_id = payment.stripe_subscription
     WHERE payment.paid_at <= %s AND payment.paid_at > %s AND payment.covers_until > %s
       AND (subscription.ended_at IS NULL OR subscription.ended_at > %s)
       AND NOT (payment.amount > 0 AND payment.amount <= payment.refunded + payment.disputed)
     ORDER BY payment.stripe_subscription, payment.covers_until DESC, payment.paid_at DESC, payment.id DESC
"""
LONGEST_PERIOD = timedelta(days=400)

# Subscriptions that ended, of those that were ever paid for.
CHURNED = """
    SELECT coalesce(paid.offer, price.offer, ''), count(*)
      FROM billing_subscription subscription
      LEFT JOIN billing_price paid ON paid.id = subscription.paid_price_id
      LEFT JOIN billing_price price ON price.id = subscription.price_id
     WHERE subscription.ended_at >= %s AND subscription.ended_at < %s
       AND EXISTS (SELECT FROM billing_payment payment
                    WHERE payment.stripe_subscription = subscription.stripe_id AND payment.amount > 0)
     GROUP BY 1
"""

PEOPLE = """
    SELECT (SELECT count(*) FROM accounts_user WHERE joined_at >= %(since)s AND joined_at < %(until)s),
           (SELECT count(*) FROM billing_checkout WHERE created_at >= %(since)s AND created_at < %(until)s),
           (SELECT count(*) FROM billing_checkout
             WHERE created_at >= %(since)s AND created_at < %(until)s AND state = 'paid'),
           (SELECT count(*) FROM billing_event WHERE received_at >= %(since)s AND received_at < %(until)s
               AND type = 'invoice.payment_failed')
"""

# By purchase, as Stripe says now; and for days that nobody counted, by when each refund and dispute was made.
GONE_NOW = """
    SELECT currency, sum(refunded)::bigint, sum(CASE WHEN amount > 0 THEN tax * refunded / amount ELSE 0 END)::bigint,
           sum(disputed)::bigint
      FROM billing_payment WHERE refunded > 0 OR disputed > 0 GROUP BY currency
"""
GONE_BY = """
    SELECT payment.currency, sum(gone.refunded)::bigint,
           sum(CASE WHEN payment.amount > 0 THEN payment.tax * gone.refunded / payment.amount ELSE 0 END)::bigint,
           sum(gone.disputed)::bigint
      FROM (SELECT payment_id, sum(refunded)::bigint AS refunded, sum(disputed)::bigint AS disputed
              FROM (SELECT payment_id, amount AS refunded, 0 AS disputed FROM billing_refund
                     WHERE created_at < %s AND status IN ('pending', 'requires_action', 'succeeded')
                    UNION ALL
                    SELECT payment_id, 0, withdrawn FROM billing_dispute WHERE created_at < %s) each
             GROUP BY payment_id) gone
      JOIN billing_payment payment ON payment.id = gone.payment_id
     GROUP BY payment.currency
"""

CAUSES_AT_ONCE = 5000


def bounds(day: date) -> tuple[datetime, datetime]:
    """The moments between which a day lies."""
    since = datetime.combine(day, time(), UTC)
    return since, since + timedelta(days=1)


def worth(credits: int, *, of: int, cost: int) -> int:
    """The part of a lot's money that so many of its credits stand for; what was used is rounded down.

    What is used up step by step comes to exactly the cost: each step is the difference between two of these.
    """
    return cost - cost * (of - credits) // of


def open_at(moment: datetime) -> dict[int, int]:
    """Open credits, at a moment, of the lots that moved since. Reads what happened since."""
    return dict(_rows(OPEN_AT, [moment]))


def of_ledger(day: date, opened: Open) -> Counts:
    """Credits that moved, and the money they stand for. `opened` is how lots stood before, and is brought up to date.

    A lot that is not in it has not moved before.
    """
    since, until = bounds(day)
    counts: Counts = Counter()
    captured: dict[str, Counter[str]] = {}
    for kind, cause, lot, source, granted, cost, currency, change in _rows(MOVED, [since, until]):
        if lot is None:
            counts["owed_more", ""] -= change
            continue
        name = FLOWS[kind]
        counts[name, source] += change if name in {"granted", "restored"} else -change
        if name == "spent":
            captured.setdefault(cause, Counter())["used"] -= change
        if cost is not None:
            before = opened.get(lot, 0)
            opened[lot] = before + change
            value = worth(before + change, of=granted, cost=cost) - worth(before, of=granted, cost=cost)
            counts["worth", f"{currency}:{kind}"] += value
            if name == "spent":
                captured[cause][currency] -= value
    for cause, model in _models(captured):
        for what, amount in captured[cause].items():
            if what == "used":
                counts["used", model[:64]] += amount
            else:
                counts["earned", f"{what}:{model}"[:64]] += amount
    for work in causes.registered().work(since, until):
        counts["drawn", work.model[:64]] += work.media
        counts["drawn_ms", work.model[:64]] += round(work.seconds * 1000)
    counts["first_spent", ""] = _rows(FIRST_SPENT, [since, until, since, since])[0][0]
    return counts


def standing_after(before: Mapping[tuple[str, str], int], flows: Counts) -> Counts:
    """How credits and their money stand after a day, by how they stood before it."""
    after: Counts = Counter(dict(before))
    for (name, label), amount in flows.items():
        match name:
            case "granted" | "restored":
                after["outstanding", label] += amount
            case "spent" | "expired" | "taken_back" | "repaid" | "corrected":
                after["outstanding", label] -= amount
            case "owed_more":
                after["owed", ""] += amount
            case "worth":
                after["deferred", label.partition(":")[0]] += amount
    return after


def of_money(day: date) -> Counts:
    """Purchases, people, and how subscriptions stood at the end of the day, or stand now."""
    since, until = bounds(day)
    counts: Counts = Counter()
    for currency, offer, occasion, many, amount, tax, at_once, first in _rows(PAID, [since, until]):
        counts["purchases", ""] += many
        counts["first_purchases", ""] += first
        counts["paid", currency] += amount
        counts["tax", currency] += tax
        counts["at_once", currency] += at_once
        counts["revenue", f"{currency}:{offer or 'other'}"] += amount - tax
        counts["occasion", f"{currency}:{occasion}"] += amount - tax
    ((signups, checkouts, paid, failed),) = _rows(PEOPLE, {"since": since, "until": until})
    counts["signups", ""] = signups
    counts["checkouts", ""] = checkouts
    counts["checkouts_paid", ""] = paid
    counts["failed_payments", ""] = failed
    for offer, many in _rows(CHURNED, [since, until]):
        counts["churned", offer or "other"] += many
    moment = min(until, timezone.now())
    twelfths: Counter[str] = Counter()
    for offer, interval, amount, currency, is_free in _rows(
        SUBSCRIBED, [moment, moment - LONGEST_PERIOD, moment, moment]
    ):
        counts["trials" if is_free else "active", offer] += 1
        if not is_free:
            twelfths[currency] += amount if interval == "year" else amount * 12
    for currency, amount in twelfths.items():
        counts["mrr", currency] = (amount + 6) // 12
    return counts


def money_gone(day: date) -> Counts:
    """Money that has ever gone back by the end of a day: by purchase for today, by its papers for a day before."""
    _, until = bounds(day)
    rows = _rows(GONE_NOW, []) if until > timezone.now() else _rows(GONE_BY, [until, until])
    counts: Counts = Counter()
    for currency, refunded, tax, disputed in rows:
        counts["refunded_ever", currency] += refunded
        counts["refunded_tax_ever", currency] += tax
        counts["disputed_ever", currency] += disputed
    return counts


def _models(captured: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """The model of each cause, some thousand at once."""
    asked = list(captured)
    for start in range(0, len(asked), CAUSES_AT_ONCE):
        part = asked[start : start + CAUSES_AT_ONCE]
        known = causes.registered().models_of(part)
        yield from ((cause, known.get(cause, "unknown")) for cause in part)


def _rows(sql: str, params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
