"""The figures of the first page: read from the sums of days, laid out with what they were in the time before."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Max, Min
from django.utils.safestring import SafeString

from billing.console import plots
from billing.console.counts import STANDINGS
from billing.console.plots import change
from billing.console.tallies import COUNTED
from billing.models import Lot, Tally
from billing.money import money
from billing.sale.plans import shop

# Days that can be asked for, and how many of them one mark of a plot stands for.
SPANS = {30: 1, 90: 1, 365: 5}

FLOWS = """
    SELECT name, label, (day - %s) / %s AS mark, sum(value)::bigint
      FROM billing_tally WHERE name = ANY(%s) AND day >= %s AND day <= %s GROUP BY 1, 2, 3
"""
STOOD = "SELECT name, label, (day - %s) / %s, value FROM billing_tally WHERE name = ANY(%s) AND day = ANY(%s)"
EVER = ["refunded_ever", "disputed_ever"]
FLOW_NAMES = [
    *("granted", "spent", "expired", "taken_back", "restored", "repaid", "corrected", "worth", "earned", "used"),
    *("drawn", "drawn_ms", "first_spent", "revenue", "occasion", "signups", "first_purchases", "checkouts"),
    *("checkouts_paid", "churned", "failed_payments", "purchases"),
]
OCCASIONS = {
    "subscription_create": "Plans begun",
    "subscription_cycle": "Renewals",
    "subscription_update": "Plan changes",
    "once": "Top-ups",
}


@dataclass(frozen=True)
class Figure:
    """One number with its plot. `top` is the value at its upper edge, `behind` the place that tells more."""

    title: str
    value: str
    change: str
    was: str
    plot: SafeString
    top: str
    note: str = ""
    behind: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table: a name, what it shows in each column, the length of its bar, and whether it comes first of
    another way to part the same sum."""

    name: str
    cells: tuple[str, ...]
    share: float = 0.0
    begins_group: bool = False


@dataclass(frozen=True)
class Span:
    """The days a page is about, and as many before them. `until` is the last day that was counted."""

    days: int
    until: date
    step: int

    @property
    def marks(self) -> int:
        return self.days // self.step

    @property
    def start(self) -> date:
        """The first day of the time before."""
        return self.until - timedelta(days=2 * self.days - 1)

    @property
    def since(self) -> date:
        """The first day of its own."""
        return self.until - timedelta(days=self.days - 1)

    def ends(self) -> list[date]:
        """The last day of each mark, those of the time before first; and the day ahead of them all."""
        return [self.start + timedelta(days=self.step * number - 1) for number in range(2 * self.marks + 1)]


def span_of(days: int) -> Span | None:
    """So many days up to the last that was counted. None while none was."""
    last = Tally.objects.filter(name=COUNTED).aggregate(last=Max("day"))["last"]
    return Span(days, last, SPANS[days]) if last else None


class Sums:
    """All sums that the page shows: one list by name and label, as long as there are marks, the time before first."""

    def __init__(self, span: Span) -> None:
        self.span = span
        many = 2 * span.marks
        self.flows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0] * many))
        # These have one more: how it stood ahead of all.
        self.stood: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0] * (many + 1)))
        with connection.cursor() as cursor:
            cursor.execute(FLOWS, [span.start, span.step, FLOW_NAMES, span.start, span.until])
            for name, label, mark, value in cursor.fetchall():
                self.flows[name][label][mark] = value
            ahead = span.start - timedelta(days=span.step)
            names = [*STANDINGS, *EVER, COUNTED]
            cursor.execute(STOOD, [ahead, span.step, names, span.ends()])
            for name, label, mark, value in cursor.fetchall():
                self.stood[name][label][mark] = value

    def flow(self, name: str, wanted: Callable[[str], bool] = lambda label: True) -> list[int]:
        """What happened, over all labels that are wanted."""
        rows = [values for label, values in self.flows[name].items() if wanted(label)]
        return [sum(column) for column in zip(*rows, strict=True)] or [0] * 2 * self.span.marks

    def standing(self, name: str, labels: Collection[str] | None = None) -> list[int]:
        """How it stood at the end of each mark."""
        rows = [values for label, values in self.stood[name].items() if labels is None or label in labels]
        return [sum(column) for column in zip(*rows, strict=True)] or [0] * (2 * self.span.marks + 1)

    def of_currency(self, name: str, currency: str) -> list[int]:
        return self.flow(name, lambda label: label.partition(":")[0] == currency)

    def labels(self, name: str) -> dict[str, tuple[int, int]]:
        """What each label came to, in this time and in the time before."""
        half = self.span.marks
        return {label: (sum(values[half:]), sum(values[:half])) for label, values in self.flows[name].items()}


def currencies() -> list[str]:
    """Those that money was ever counted in, the shop's own first."""
    known = Tally.objects.filter(name="mrr").order_by("label").values_list("label", flat=True).distinct()
    paid = Tally.objects.filter(name="paid").order_by("label").values_list("label", flat=True).distinct()
    own = shop().currency
    return [own, *sorted({*known, *paid} - {own})]


class Overview:
    """Everything the first page says, in one currency."""

    def __init__(self, span: Span, currency: str) -> None:
        self.span = span
        self.currency = currency
        self.sums = Sums(span)
        self.half = span.marks
        self.days = span.ends()[span.marks + 1 :]

    def money(self, amount: float) -> str:
        return money(round(amount), self.currency)

    def figures(self) -> list[Figure]:
        """The numbers with plots, most asked for first."""
        sums, cur = self.sums, self.currency
        revenue = sums.of_currency("revenue", cur)
        gone = [
            sum(each)
            for each in zip(
                plots.rises(sums.standing("refunded_ever", [cur])),
                plots.rises(sums.standing("disputed_ever", [cur])),
                strict=True,
            )
        ]
        active, trials, churned = sums.standing("active"), sums.standing("trials"), sums.flow("churned")
        began = active[self.half]
        lost = sum(churned[self.half :])
        deferred = sums.standing("deferred", [cur])
        breakage = [-value for value in sums.flow("worth", lambda label: label == f"{cur}:expire")]
        cost, earned = self._cost(), sums.of_currency("earned", cur)
        margin = [int(gain - paid) for gain, paid in zip(earned, cost, strict=True)]
        owed = sums.standing("owed")[-1]
        return [
            self._flow("Revenue", revenue, self.money, "Paid, without tax", "revenue"),
            self._stood("MRR", sums.standing("mrr", [cur]), self.money, "What plans bring in a month"),
            self._stood("Subscriptions", active[:], _count, f"and {_count(trials[-1])} on trial"),
            self._flow("Churn", churned, _count, f"{100 * lost / began:.1f} % of {_count(began)}" if began else ""),
            self._flow("Refunds and disputes", gone, self.money, "What went back, less what was won"),
            self._flow("Failed payments", sums.flow("failed_payments"), _count, "Renewals that were refused", "failed"),
            self._flow("Credits spent", sums.flow("spent"), _count, "On what was released", "credits"),
            self._stood(
                "Credit liability",
                sums.standing("outstanding"),
                _count,
                f"bought for {self.money(deferred[-1])}" + (f"; {_count(owed)} are owed to us" if owed else ""),
                "credits",
            ),
            self._flow("Breakage", breakage, self.money, f"{_count(sum(sums.flow('expired')[self.half :]))} expired"),
            self._flow("Margin of drawing", margin, self.money, "Revenue from credits, less machine time", "models"),
        ]

    def _flow(
        self, title: str, values: Sequence[int], said: Callable[[float], str], note: str, behind: str = ""
    ) -> Figure:
        before, own = list(values[: self.half]), list(values[self.half :])
        total, was = sum(own), sum(before)
        drawn = plots.bars(self.days, own, before, said)
        return Figure(title, said(total), change(total, was), said(was), drawn, said(max([1, *own])), note, behind)

    def _stood(
        self, title: str, values: Sequence[int], said: Callable[[float], str], note: str, behind: str = ""
    ) -> Figure:
        before, own = list(values[1 : self.half + 1]), list(values[self.half + 1 :])
        drawn = plots.line(self.days, own, before, said)
        now, was = own[-1], before[-1]
        return Figure(title, said(now), change(now, was), said(was), drawn, said(max([1, *own, *before])), note, behind)

    def _cost(self) -> list[float]:
        """What the machines' time cost, in the shop's currency; in another one it is not told."""
        if self.currency != shop().currency:
            return [0.0] * 2 * self.half
        return [value / 3_600_000 * settings.DRAWING_HOUR_COST for value in self.sums.flow("drawn_ms")]

    def revenue(self) -> list[Row]:
        """By what was bought, then by the occasion."""
        rows: list[tuple[str, int, int, bool]] = []
        for name, told in (("revenue", _offer), ("occasion", _occasion)):
            found = {
                label.partition(":")[2]: both
                for label, both in self.sums.labels(name).items()
                if label.partition(":")[0] == self.currency and any(both)
            }
            for label, (own, was) in sorted(found.items(), key=lambda item: -item[1][0]):
                rows.append((told(label), own, was, name != "revenue" and not any(row[3] for row in rows)))
        lengths = plots.shares([own for _, own, _, _ in rows])
        return [
            Row(name, (self.money(own), self.money(was), change(own, was)), share, begins)
            for (name, own, was, begins), share in zip(rows, lengths, strict=True)
        ]

    def sources(self) -> list[Row]:
        """By where they came from: what was granted, spent, expired and taken, and what is left."""
        flows = {name: self.sums.labels(name) for name in ("granted", "spent", "expired", "taken_back", "restored")}
        flows |= {name: self.sums.labels(name) for name in ("corrected", "repaid")}
        rows = []
        for source in Lot.Source:
            own = {name: found.get(source.value, (0, 0))[0] for name, found in flows.items()}
            left = self.sums.standing("outstanding", [source.value])[-1]
            if left or any(own.values()):
                taken = own["taken_back"] - own["restored"] + own["corrected"] + own["repaid"]
                cells = (own["granted"], own["spent"], own["expired"], taken, left)
                rows.append(Row(str(source.label).capitalize(), tuple(map(_count, cells))))
        return rows

    def models(self) -> list[Row]:
        """What each model earned, and what its drawing cost."""
        used, drawn = self.sums.labels("used"), self.sums.labels("drawn")
        seconds = self.sums.labels("drawn_ms")
        earned = {
            label.partition(":")[2]: both[0]
            for label, both in self.sums.labels("earned").items()
            if label.partition(":")[0] == self.currency
        }
        rows: list[tuple[str, Any, int, float, float]] = []
        for model in {*used, *drawn, *earned}:
            hours = seconds.get(model, (0, 0))[0] / 3_600_000
            cost = hours * settings.DRAWING_HOUR_COST if self.currency == shop().currency else 0.0
            rows.append((model, drawn.get(model, (0, 0))[0], used.get(model, (0, 0))[0], hours, cost))
        rows.sort(key=lambda row: -earned.get(row[0], 0))
        told = []
        for model, media, credits, hours, cost in rows:
            gain = earned.get(model, 0)
            part = f"{100 * (gain - cost) / gain:.0f} %".replace("-", "−") if gain else ""
            cells = (_count(media), _count(credits), f"{hours:,.1f}", self.money(cost), self.money(gain))
            told.append(Row(model, (*cells, self.money(gain - cost), part)))
        return told

    def funnel(self) -> list[Row]:
        """From signing up to paying, with how many of the step before."""
        steps = [
            ("Signed up", "signups"),
            ("Drew something, for the first time", "first_spent"),
            ("Went to the checkout", "checkouts"),
            ("Paid there", "checkouts_paid"),
            ("Paid, for the first time", "first_purchases"),
        ]
        amounts = [sum(self.sums.flow(name)[self.half :]) for _, name in steps]
        was = [sum(self.sums.flow(name)[: self.half]) for _, name in steps]
        shares = plots.shares(amounts)
        return [
            Row(
                words,
                (
                    _count(amount),
                    f"{100 * amount / amounts[0]:.0f} %" if number and amounts[0] else "",
                    change(amount, was[number]),
                ),
                shares[number],
            )
            for number, ((words, _), amount) in enumerate(zip(steps, amounts, strict=True))
        ]


def first_counted() -> date | None:
    """The first day that was counted."""
    first: date | None = Tally.objects.filter(name=COUNTED).aggregate(first=Min("day"))["first"]
    return first


def _count(number: float) -> str:
    return f"{round(number):,}".replace("-", "−")


def _offer(code: str) -> str:
    offer = shop().offers.get(code)
    return offer.title if offer else code.capitalize()


def _occasion(code: str) -> str:
    return OCCASIONS.get(code, code.replace("_", " ").capitalize())
