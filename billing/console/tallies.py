"""Keeps the sums of each day, so that pages and the accounting journal read hundreds of rows and not millions.

What each name means is told in `counts`. A day's sums are written in one transaction, and "counted" among them says
when. Today and yesterday are counted again each time; an older day stays as it is, unless a purchase of it comes to be
known late: then its money is counted again, and that of the days after it.
"""

from collections import Counter
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from django.db import connection
from django.db.models import Count, Max, Min
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from billing.console import counts
from billing.console.counts import EVER, OF_LEDGER, OF_MONEY, Counts
from billing.models import Payment, Tally, Transfer
from journal.transactions import step

COUNTED = "counted"
OF_CREDITS = frozenset(["outstanding", "owed", "deferred"])
DAY = timedelta(days=1)
# Stripe makes up for lost events of 30 days.
LATE = timedelta(days=35)


def count_days() -> int:
    """Count today, yesterday and every day that was not counted yet. Returns how many days were.

    The first call counts from the first day there is, and may take minutes; one that was cut short goes on with the
    next. Two at once wait for each other, day by day, and write the same.
    """
    today = timezone.now().date()
    known = Tally.objects.filter(name=COUNTED).aggregate(first=Min("day"), last=Max("day"))
    first = max(min(known["last"], today) - DAY, known["first"]) if known["last"] else _first_day(today)
    late = _late_day(first) if known["last"] else None
    days = 0
    if late:
        for day in _days(late, first - DAY):
            with step("till.tally"):
                _alone()
                _write(day, counts.of_money(day), OF_MONEY)
            days += 1
    since, _ = counts.bounds(first)
    opened = counts.open_at(since) if known["last"] else {}
    for day in _days(first, today):
        with step("till.tally"):
            _alone()
            _count(day, opened)
        days += 1
    return days


def counted_at() -> datetime | None:
    """When the newest sums were made. None before the first."""
    newest = Tally.objects.filter(name=COUNTED).order_by("-day").values_list("value", flat=True).first()
    return datetime.fromtimestamp(newest, UTC) if newest is not None else None


def _count(day: date, opened: counts.Open) -> None:
    """All sums of one day. Those of what stood are made from the day before."""
    flows = counts.of_ledger(day, opened)
    before = {
        (name, label): value
        for name, label, value in Tally.objects.filter(day=day - DAY, name__in=OF_CREDITS).values_list(
            "name", "label", "value"
        )
    }
    _write(day, flows, OF_LEDGER)
    _write(day, counts.standing_after(before, flows), OF_CREDITS)
    _write(day, counts.of_money(day), OF_MONEY)
    is_over = counts.bounds(day)[1] <= timezone.now()
    # What was known when the day ended is not looked at again: what changes later belongs to a later day.
    if not (is_over and Tally.objects.filter(day=day, name=COUNTED).exists()):
        _write(day, counts.money_gone(day), EVER)
    _write(day, Counter({(COUNTED, ""): int(timezone.now().timestamp())}), [COUNTED])


def _write(day: date, found: Counts, names: Collection[str]) -> None:
    """Put these sums in the place of what was known under these names. What came to nothing has no row."""
    Tally.objects.filter(day=day, name__in=names).delete()
    Tally.objects.bulk_create(
        Tally(day=day, name=name, label=label, value=value) for (name, label), value in sorted(found.items()) if value
    )


def _first_day(today: date) -> date:
    """The day of whatever came first."""
    firsts = [
        Transfer.objects.order_by("id").values_list("created_at", flat=True).first(),
        Payment.objects.aggregate(first=Min("paid_at"))["first"],
        User.objects.aggregate(first=Min("joined_at"))["first"],
    ]
    days: list[date] = [moment.date() for moment in firsts if moment]
    return min([today, *days])


def _late_day(before: date) -> date | None:
    """The first day of the last weeks whose purchases are not as many as were counted. None if all are."""
    since = max(before - LATE, Tally.objects.filter(name=COUNTED).aggregate(first=Min("day"))["first"])
    own = Payment.objects.filter(paid_at__gte=counts.bounds(since)[0], paid_at__lt=counts.bounds(before)[0])
    paid = dict(own.annotate(day=TruncDate("paid_at", tzinfo=UTC)).values_list("day").annotate(many=Count("pk")))
    counted = dict(Tally.objects.filter(name="purchases", day__gte=since, day__lt=before).values_list("day", "value"))
    return min((day for day in paid if paid[day] != counted.get(day, 0)), default=None)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _alone() -> None:
    """Let no other process count until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('vaglio:tallies', 4))")
