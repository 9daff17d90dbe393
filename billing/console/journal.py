"""The accounting journal: what the sums of a day mean in double entry, in money.

What is paid for credits is deferred revenue until they are used. A lot earns its money as its credits are spent, at
what was paid for each; what expires is breakage. Fully used, it has earned exactly what was paid. The balance of
deferred revenue is what the open credits of all lots were bought for.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from billing.console.tallies import COUNTED
from billing.models import Tally, Transfer

DAY = timedelta(days=1)

CLEARING = "1200 Stripe clearing"
RECEIPTS = "1290 Receipts to allocate"
TAX = "2200 Tax payable"
DEFERRED = "2400 Deferred revenue"
EARNED = "4000 Revenue from credits"
AT_ONCE = "4010 Revenue without credits"
BREAKAGE = "4020 Breakage"
SETTLED = "4030 Debts settled with credits"
CORRECTED = "4040 Credits taken by correction"
GONE = "4090 Refunds and disputes"

# What stands against deferred revenue when credits move, by the kind of transfer.
AGAINST = {
    Transfer.Kind.GRANT: (RECEIPTS, "Credits sold"),
    Transfer.Kind.CAPTURE: (EARNED, "Credits spent"),
    Transfer.Kind.EXPIRE: (BREAKAGE, "Credits expired"),
    Transfer.Kind.TAKE_BACK: (GONE, "Unspent credits taken back"),
    Transfer.Kind.RESTORE: (GONE, "Credits restored"),
    Transfer.Kind.REPAY: (SETTLED, "Credits set against a debt"),
    Transfer.Kind.CORRECT: (CORRECTED, "Credits taken by correction"),
}


@dataclass(frozen=True)
class Posting:
    """One line of the journal, in the smallest unit of its currency. One of `debit` and `credit` is nought."""

    day: date
    account: str
    currency: str
    debit: int
    credit: int
    words: str


def journal(since: date, until: date) -> Iterator[Posting]:
    """The postings of each day from `since` to `until`, both included, as far as days were counted.

    Those of a day and a currency sum to nought. A month's rows are read at once.
    """
    start = since
    while start <= until:
        end = min(start + timedelta(days=30), until)
        days: dict[date, dict[tuple[str, str], int]] = defaultdict(dict)
        wanted = ["worth", "paid", "tax", "at_once", "refunded_ever", "refunded_tax_ever", "disputed_ever", COUNTED]
        rows = Tally.objects.filter(day__gte=start - DAY, day__lte=end, name__in=wanted)
        for day, name, label, value in rows.values_list("day", "name", "label", "value"):
            days[day][name, label] = value
        for number in range((end - start).days + 1):
            day = start + timedelta(days=number)
            if (COUNTED, "") in days[day]:
                yield from _of_day(day, days[day], days[day - DAY])
        start = end + DAY


def _of_day(day: date, own: dict[tuple[str, str], int], before: dict[tuple[str, str], int]) -> Iterator[Posting]:
    for (name, label), amount in sorted(own.items()):
        match name:
            case "paid":
                yield from _pair(day, label, amount, CLEARING, RECEIPTS, "Payments received")
            case "tax":
                yield from _pair(day, label, amount, RECEIPTS, TAX, "Tax in payments")
            case "at_once":
                yield from _pair(day, label, amount, RECEIPTS, AT_ONCE, "Paid for without credits, and rounding")
            case "worth":
                currency, _, kind = label.partition(":")
                account, words = AGAINST[Transfer.Kind(kind)]
                yield from _pair(day, currency, amount, account, DEFERRED, words)
    currencies = {label for name, label in [*own, *before] if name.endswith("_ever")}
    for currency in sorted(currencies):
        change = {
            name: own.get((name, currency), 0) - before.get((name, currency), 0)
            for name in ("refunded_ever", "refunded_tax_ever", "disputed_ever")
        }
        tax = change["refunded_tax_ever"]
        yield from _pair(day, currency, change["refunded_ever"] - tax, GONE, CLEARING, "Refunds")
        yield from _pair(day, currency, tax, TAX, CLEARING, "Tax in refunds")
        yield from _pair(day, currency, change["disputed_ever"], GONE, CLEARING, "Disputed payments")


def _pair(day: date, currency: str, amount: int, debit: str, credit: str, words: str) -> Iterator[Posting]:
    """An amount from one account to another; below zero it goes the other way."""
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    if amount:
        yield Posting(day, debit, currency, amount, 0, words)
        yield Posting(day, credit, currency, 0, amount, words)
