"""What the ledger promises, in the simplest words: lists, no locks, no database. And the sums that must hold.

The model refuses by returning the class of the refusal; what it refuses it leaves as it was.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from billing import ledger

EVER = datetime.max.replace(tzinfo=UTC)

Refusal = type[Exception] | None


@dataclass
class PlainPayment:
    """A purchase: its money, and what of its credits is taken back at this moment."""

    pk: int
    amount: int
    credits: int
    refunded: int = 0
    forgiven: int = 0
    disputed: int = 0
    # How often credits were taken back or restored, how many are gone now, and where they were taken from.
    moves: int = 0
    taken: int = 0
    taken_from: Counter[str] = field(default_factory=Counter)
    taken_as_debt: int = 0

    @property
    def due(self) -> int:
        """How many credits should be taken back."""
        if self.amount == 0:
            return 0
        gone = min(self.amount, self.refunded - self.forgiven + self.disputed)
        whole, rest = divmod(self.credits * gone, self.amount)
        return whole + (1 if rest else 0)


@dataclass
class PlainLot:
    key: str
    source: str
    priority: int
    granted: int
    begins: datetime
    ends: datetime | None
    payment: PlainPayment | None
    remaining: int
    held: int = 0

    def is_over(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return self.ends is not None and self.ends <= now


@dataclass
class PlainHold:
    at: datetime
    parts: Counter[str]
    state: str = "open"

    @property
    def amount(self) -> int:
        return self.parts.total()


@dataclass
class PlainWallet:
    """One wallet. Lots stand in the order in which they came."""

    lots: dict[str, PlainLot] = field(default_factory=dict)
    holds: dict[str, PlainHold] = field(default_factory=dict)
    payments: list[PlainPayment] = field(default_factory=list)
    corrections: dict[str, int] = field(default_factory=dict)
    limit: int | None = None
    owed: int = 0
    # What the house's accounts got of this wallet.
    house: Counter[str] = field(default_factory=Counter)

    def usable(self, now: datetime) -> list[PlainLot]:
        """What can be spent, in the order in which it is: by priority, expiry, what was a present, age."""
        found = [lot for lot in self.lots.values() if lot.remaining and lot.begins <= now and not lot.is_over(now)]
        return sorted(found, key=lambda lot: (lot.priority, lot.ends or EVER, lot.source == "paid", lot.begins))

    def available(self, now: datetime) -> int:
        return sum(lot.remaining for lot in self.usable(now))

    @property
    def held(self) -> int:
        return sum(lot.held for lot in self.lots.values())

    def spent_in_month(self, now: datetime) -> int:
        """Spent or set aside since the first."""
        month = [hold for hold in self.holds.values() if (hold.at.year, hold.at.month) == (now.year, now.month)]
        return sum(hold.amount for hold in month if hold.state != "released")

    def grant(self, lot: PlainLot, now: datetime) -> None:
        self.lots[lot.key] = lot
        self.house["granted"] -= lot.granted
        self._repay([lot.key], now)

    def hold(self, amounts: dict[str, int], now: datetime) -> Refusal:
        for cause, amount in amounts.items():
            if cause in self.holds and self.holds[cause].amount != amount:
                return ledger.KeyReused
        new = {cause: amount for cause, amount in amounts.items() if cause not in self.holds}
        if not new:
            return None
        if self.owed:
            return ledger.OnBillingHold
        if self.limit is not None and self.spent_in_month(now) + sum(new.values()) > self.limit:
            return ledger.SpendingLimitReached
        if sum(new.values()) > self.available(now):
            return ledger.NotEnoughCredits
        for cause, amount in new.items():
            self.holds[cause] = PlainHold(now, self._draw(amount, now))
            for key, part in self.holds[cause].parts.items():
                self.lots[key].held += part
        return None

    def end(self, cause: str, how: str, now: datetime) -> Refusal:
        if cause not in self.holds:
            return ledger.NoSuchHold
        hold = self.holds[cause]
        if hold.state != "open":
            return None if hold.state == how else ledger.HoldClosed
        hold.state = how
        for key, part in hold.parts.items():
            self.lots[key].held -= part
            if how == "captured":
                self.house["revenue"] += part
            else:
                self._give_back(key, part, now)
        if how == "released":
            self._repay(hold.parts, now)
        return None

    def sweep(self, now: datetime) -> int:
        over = [lot for lot in self.lots.values() if lot.is_over(now) and lot.remaining]
        for lot in over:
            self.house["expired"] += lot.remaining
            lot.remaining = 0
        return len(over)

    def correct(self, key: str, amount: int, now: datetime) -> Refusal:
        if key in self.corrections:
            return None if self.corrections[key] == amount else ledger.KeyReused
        if amount > self.available(now):
            return ledger.NotEnoughCredits
        self.corrections[key] = amount
        self.house["corrected"] += self._draw(amount, now).total()
        return None

    def settle(self, payment: PlainPayment, now: datetime) -> int:
        """Take back or restore until the purchase's credits fit its money. Returns how many were taken."""
        change = payment.due - payment.taken
        if change > 0:
            self._take_back(payment, change, now)
        elif change < 0:
            self._restore(payment, -change, now)
        if change:
            payment.moves += 1
            payment.taken += change
            self.house["taken back"] += change
        return change

    def _take_back(self, payment: PlainPayment, amount: int, now: datetime) -> None:
        for lot in self.lots.values():
            if lot.payment is payment and not lot.is_over(now):
                part = min(lot.remaining, amount)
                lot.remaining -= part
                payment.taken_from[lot.key] += part
                amount -= part
        self.owed += amount
        payment.taken_as_debt += amount

    def _restore(self, payment: PlainPayment, amount: int, now: datetime) -> None:
        debt = min(amount, payment.taken_as_debt, self.owed)
        payment.taken_as_debt -= debt
        self.owed -= debt
        amount -= debt
        parts: Counter[str] = Counter()
        for key in [key for key in self.lots if payment.taken_from[key] > 0]:
            parts[key] = min(amount, payment.taken_from[key])
            amount -= parts[key]
            payment.taken_from[key] -= parts[key]
            self._give_back(key, parts[key], now)
        if amount:
            # It was a debt that other credits have paid meanwhile: they come as credits of their own.
            key = f"payment:{payment.pk}:{payment.moves + 1}"
            self.lots[key] = PlainLot(key, "correction", 50, amount, now, None, payment, amount)
            payment.taken_from[key] -= amount
            parts[key] = amount
        self._repay(+parts, now)

    def _give_back(self, key: str, part: int, now: datetime) -> None:
        if self.lots[key].is_over(now):
            self.house["expired"] += part
        else:
            self.lots[key].remaining += part

    def _repay(self, keys: Iterable[str], now: datetime) -> None:
        for lot in self.usable(now):
            if lot.key in keys:
                part = min(lot.remaining, self.owed)
                lot.remaining -= part
                self.owed -= part

    def _draw(self, amount: int, now: datetime) -> Counter[str]:
        parts: Counter[str] = Counter()
        for lot in self.usable(now):
            if part := min(amount, lot.remaining):
                parts[lot.key] = part
                lot.remaining -= part
                amount -= part
        return parts
