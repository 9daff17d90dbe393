"""A random history of a small house: what was granted, bought, spent, refunded, disputed and corrected, day by day."""

import random
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from billing import causes, ledger, reversals
from billing.models import Checkout, Dispute, Event, Hold, Payment, Price, Refund, Subscription
from journal.transactions import step

BEGAN = datetime(2027, 3, 1, 6, 30, tzinfo=UTC)
MODELS = ["house-painter", "fast", "film"]


class Clock:
    """The time of a test. It moves by `pass_by` alone."""

    def __init__(self, now: datetime = BEGAN) -> None:
        self.now = now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)

    def __call__(self) -> datetime:
        return self.now


class Told:
    """An explainer that knows a model for every medium but some, and what was drawn on each day."""

    def explain(self, asked: Sequence[str]) -> dict[str, causes.Explanation]:
        return {}

    def outline(self, asked: Sequence[str]) -> dict[str, causes.Outline]:
        return {}

    def matter_of(self, reference: str) -> causes.Matter | None:
        return None

    def models_of(self, asked: Collection[str]) -> dict[str, str]:
        return {cause: MODELS[number % 3] for cause in asked if (number := int(cause.partition(":")[2])) % 7}

    def work(self, since: datetime, until: datetime) -> Sequence[causes.ModelWork]:
        return [causes.ModelWork("fast", since.day, since.day * 1.5), causes.ModelWork("film", 1, 60.25)]


class House:
    """What can happen in a day."""

    def __init__(self, clock: Clock, seed: int, people: int = 6) -> None:
        self.clock = clock
        self.chance = random.Random(seed)
        self.number = 0
        self.prices = [
            Price.objects.create(
                offer=offer,
                interval=interval,
                amount=amount,
                currency="usd",
                credits=credits,
                stripe_price=f"price_{offer}_{interval}",
                stripe_product=f"prod_{offer}",
            )
            for offer, interval, amount, credits in (
                ("creator", "month", 1500, 1200),
                ("creator", "year", 15000, 14400),
                ("studio", "month", 4900, 5000),
                ("pack-500", "once", 900, 500),
            )
        ]
        self.people = [self.sign_up() for _ in range(people)]

    def next(self) -> int:
        self.number += 1
        return self.number

    def sign_up(self) -> User:
        return User.objects.create(email=f"person{self.next()}@example.org", joined_at=self.clock.now)

    def day(self, operations: int = 25) -> None:
        """So many things at random, spread over a day."""
        acts: list[tuple[Callable[[], object], int]] = [
            (self.give, 3),
            (self.buy, 4),
            (self.subscribe, 2),
            (self.draw, 12),
            (self.end_holds, 9),
            (self.refund, 2),
            (self.dispute, 2),
            (self.win, 2),
            (self.correct, 2),
            (self.expire, 2),
            (self.sign_up, 1),
            (self.leave, 1),
            (self.fail, 1),
        ]
        for _ in range(operations):
            (act,) = self.chance.choices([each for each, _ in acts], [weight for _, weight in acts])
            try:
                with step("tests.house"):
                    act()
            except (ledger.NotEnoughCredits, ledger.OnBillingHold):
                pass
            self.clock.pass_by(seconds=86_400 / operations)

    def anybody(self) -> User:
        return self.chance.choice(self.people)

    def give(self) -> None:
        wallet = ledger.wallet_of(self.anybody())
        life = self.chance.choice([None, 2, 5])
        ledger.grant(
            wallet,
            self.chance.randrange(5, 60),
            source=self.chance.choice(["grant", "promotion", "correction"]),
            key=f"give:{self.next()}",
            expires_at=self.clock.now + timedelta(days=life) if life else None,
            reason="for the tests",
        )

    def buy(self, price: Price | None = None, **more: Any) -> Payment:
        """A purchase in one to three lots; its money is odd on purpose, and some is tax."""
        number = self.next()
        person = self.anybody()
        amount = self.chance.choice([0, 900, 997, 1501, 4901])
        credits = self.chance.randrange(7, 120)
        payment = Payment.objects.create(
            **{
                "person": person,
                "key": f"checkout:cs_{number}",
                "price": price or self.prices[3],
                "occasion": "once",
                "amount": amount,
                "tax": amount * self.chance.choice([0, 22]) // 122,
                "currency": self.chance.choice(["usd", "usd", "eur"]),
                "credits": credits,
                "paid_at": self.clock.now,
                "stripe_intent": f"pi_{number}",
            }
            | more
        )
        parts = [payment.credits]
        if payment.credits > 30:
            parts = [payment.credits // 3, payment.credits - payment.credits // 3]
        is_paid = payment.amount > 0
        for turn, part in enumerate(parts):
            ledger.grant(
                ledger.wallet_of(payment.person),
                part,
                source="paid" if is_paid else "promotion",
                key=f"{payment.key}:{turn}",
                expires_at=self.clock.now + timedelta(days=self.chance.choice([1, 4, 30])),
                reason="bought",
                cost_basis=(payment.amount - payment.tax) * part // payment.credits if is_paid else None,
                currency=payment.currency if is_paid else "",
                payment=payment,
            )
        Checkout.objects.create(
            person=payment.person,
            price=payment.price,
            key=f"form-{number}",
            state=self.chance.choice(["paid", "expired"]),
            created_at=self.clock.now,
        )
        return payment

    def subscribe(self) -> None:
        number = self.next()
        price = self.chance.choice(self.prices[:3])
        person = self.anybody()
        days = self.chance.choice([3, 31, 365])
        subscription = Subscription.objects.create(
            person=person,
            stripe_id=f"sub_{number}",
            price=price,
            paid_price=price,
            stripe_item=f"si_{number}",
            status="active",
            started_at=self.clock.now,
        )
        self.buy(
            price,
            person=person,
            key=f"invoice:in_{number}",
            occasion=self.chance.choice(["subscription_create", "subscription_cycle"]),
            currency="usd",
            stripe_subscription=subscription.stripe_id,
            covers_until=self.clock.now + timedelta(days=days),
        )

    def leave(self) -> None:
        if subscription := Subscription.objects.filter(ended_at__isnull=True).order_by("id").first():
            Subscription.objects.filter(pk=subscription.pk).update(status="canceled", ended_at=self.clock.now)

    def fail(self) -> None:
        Event.objects.create(
            stripe_id=f"evt_{self.next()}",
            type="invoice.payment_failed",
            payload={},
            created_at=self.clock.now,
            received_at=self.clock.now,
            state="ignored",
        )

    def draw(self) -> None:
        wallet = ledger.wallet_of(self.anybody())
        ledger.hold(wallet, {f"medium:{self.next()}": self.chance.randrange(1, 40) for _ in range(2)})

    def end_holds(self) -> None:
        for hold in Hold.objects.open().order_by("id")[:3]:
            if self.chance.random() < 0.7:
                ledger.capture(hold.cause)
            else:
                ledger.release(hold.cause, reason="refused")

    def expire(self) -> None:
        for person in self.people:
            ledger.expire(ledger.wallet_of(person), self.clock.now)

    def correct(self) -> None:
        person = self.anybody()
        reversals.correct(
            ledger.wallet_of(person), self.chance.randrange(1, 9), key=f"c:{self.next()}", reason="odd", actor=person
        )

    def refund(self) -> None:
        payment = self._money_left()
        if payment is None:
            return
        left = payment.amount - payment.refunded - payment.disputed
        amount = self.chance.choice([left, max(left // 3, 1)])
        keeps = self.chance.random() < 0.3
        Refund.objects.create(
            stripe_id=f"re_{self.next()}",
            payment=payment,
            amount=amount,
            status="succeeded",
            keeps_credits=keeps,
            created_at=self.clock.now,
        )
        payment.refunded += amount
        payment.forgiven += amount if keeps else 0
        payment.save()
        reversals.settle(payment)

    def dispute(self) -> None:
        payment = self._money_left()
        if payment is None:
            return
        left = payment.amount - payment.refunded - payment.disputed
        Dispute.objects.create(
            stripe_id=f"du_{self.next()}",
            payment=payment,
            amount=left,
            withdrawn=left,
            reason="fraudulent",
            status="needs_response",
            created_at=self.clock.now,
        )
        payment.disputed += left
        payment.save()
        reversals.settle(payment)

    def win(self) -> None:
        dispute = Dispute.objects.filter(withdrawn__gt=0).first()
        if dispute is None:
            return
        payment = dispute.payment
        payment.disputed -= dispute.withdrawn
        payment.save()
        Dispute.objects.filter(pk=dispute.pk).update(withdrawn=0, status="won")
        reversals.settle(payment)

    def _money_left(self) -> Payment | None:
        found = Payment.objects.filter(amount__gt=0).order_by("id")[:5]
        return next((each for each in found if each.amount > each.refunded + each.disputed), None)


def at(clock: Clock, monkeypatch: Any) -> None:
    """Let this process live by a clock of the test's."""
    monkeypatch.setattr(timezone, "now", clock)
