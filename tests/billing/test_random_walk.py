"""A few hundred random acts, on the ledger and on a plain model of what it promises."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from billing import ledger
from billing.models import Entry, House, Lot, Wallet
from billing.verify import differences
from tests.billing.test_ledger import wallet_with

DAY = timedelta(days=1)


@dataclass
class PlainLot:
    granted: int
    expires_at: datetime | None
    paid: bool
    number: int
    remaining: int
    held: int = 0


@dataclass
class Plain:
    """The promise, in the simplest words: lists, no locks, no database."""

    lots: dict[str, PlainLot] = field(default_factory=dict)
    holds: dict[str, dict[str, int]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    spent: int = 0
    expired: int = 0

    def usable(self, now: datetime) -> list[str]:
        alive = [
            key for key, lot in self.lots.items() if lot.remaining and (not lot.expires_at or lot.expires_at > now)
        ]
        last = datetime.max.replace(tzinfo=now.tzinfo)
        return sorted(alive, key=lambda k: (self.lots[k].expires_at or last, self.lots[k].paid, self.lots[k].number))

    def available(self, now: datetime) -> int:
        return sum(self.lots[key].remaining for key in self.usable(now))

    def hold(self, cause: str, amount: int, now: datetime) -> bool:
        if cause in self.holds:
            return True
        if amount > self.available(now):
            return False
        parts: dict[str, int] = {}
        for key in self.usable(now):
            part = min(amount, self.lots[key].remaining)
            if part:
                parts[key] = part
                self.lots[key].remaining -= part
                self.lots[key].held += part
                amount -= part
        self.holds[cause] = parts
        return True

    def end(self, cause: str, how: str, now: datetime) -> bool:
        if cause in self.ended:
            return self.ended[cause] == how
        self.ended[cause] = how
        for key, part in self.holds[cause].items():
            lot = self.lots[key]
            lot.held -= part
            if how == "captured":
                self.spent += part
            elif lot.expires_at and lot.expires_at <= now:
                self.expired += part
            else:
                lot.remaining += part
        return True

    def sweep(self, now: datetime) -> None:
        for lot in self.lots.values():
            if lot.expires_at and lot.expires_at <= now:
                self.expired += lot.remaining
                lot.remaining = 0


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_ledger_does_what_a_plain_model_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    wallet = wallet_with()
    plain = Plain()
    clock = [timezone.now()]
    monkeypatch.setattr(timezone, "now", lambda: clock[0])
    for number in range(150):
        clock[0] += timedelta(hours=dice.choice([0, 0, 1, 5]))
        act = dice.choices(["grant", "hold", "capture", "release", "sweep"], [2, 5, 3, 3, 1])[0]
        step(act, number, dice, wallet, plain, clock[0])
        compare(wallet, plain, clock[0])
    assert [str(difference) for difference in differences()] == []


def step(act: str, number: int, dice: random.Random, wallet: Wallet, plain: Plain, now: datetime) -> None:
    match act:
        case "grant":
            amount, source = dice.randint(1, 20), dice.choice(["grant", "paid", "promotion"])
            expires_at = dice.choice([None, now + DAY, now + dice.randint(1, 5) * DAY])
            key = f"lot:{number}"
            ledger.grant(wallet, amount, source=source, key=key, expires_at=expires_at, reason="")
            plain.lots[key] = PlainLot(amount, expires_at, source == "paid", number, amount)
        case "hold":
            # Now and then one that exists already.
            cause = dice.choice([*plain.holds, f"medium:{number}"]) if dice.random() < 0.2 else f"medium:{number}"
            amount = sum(plain.holds[cause].values()) if cause in plain.holds else dice.randint(1, 12)
            refused_at = None
            try:
                ledger.hold(wallet, {cause: amount})
            except ledger.NotEnoughCredits as error:
                refused_at = error.available
            assert refused_at in (None, plain.available(now))
            assert (refused_at is None) == plain.hold(cause, amount, now)
        case "capture" | "release" if plain.holds:
            cause = dice.choice(list(plain.holds))
            try:
                if act == "capture":
                    ledger.capture(cause)
                else:
                    ledger.release(cause, reason="by chance")
                done = True
            except ledger.HoldClosed:
                done = False
            assert done == plain.end(cause, {"capture": "captured", "release": "released"}[act], now)
        case "sweep":
            ledger.expire(wallet, now)
            plain.sweep(now)


def compare(wallet: Wallet, plain: Plain, now: datetime) -> None:
    found = {lot.key: (lot.remaining, lot.held) for lot in Lot.objects.filter(wallet=wallet)}
    assert found == {key: (lot.remaining, lot.held) for key, lot in plain.lots.items()}
    balance = ledger.balance(wallet)
    assert (balance.available, balance.held) == (plain.available(now), sum(lot.held for lot in plain.lots.values()))
    sums = {house: 0 for house in House}
    for account, amount in Entry.objects.filter(account__in=House.values).values_list("account", "amount"):
        sums[House(account)] += amount
    assert sums == {
        House.GRANTED: -sum(lot.granted for lot in plain.lots.values()),
        House.REVENUE: plain.spent,
        House.EXPIRED: plain.expired,
    }
