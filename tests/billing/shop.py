"""A shop with an offline Stripe behind it, and what a person does there."""

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from accounts.models import User
from billing import ledger, reversals
from billing.allowances import allow_monthly
from billing.fakestripe import FakeStripe
from billing.models import Checkout, Entry, Lot, Payment, Subscription, Transfer, Wallet
from billing.sale import checkout, events, plans
from billing.sale.plans import current_subscription, price_of
from billing.sale.prices import bring_prices
from billing.verify import differences
from journal.transactions import step
from tests.people import People, cast

SECRET = "whsec_of_the_tests"
# A Tuesday.
BEGAN = int(datetime(2027, 1, 5, 9, 0, tzinfo=UTC).timestamp())


class Shop:
    """Vaglio's till, the offline Stripe, and Alice with fifteen free credits. Time moves by `pass_by` alone."""

    def __init__(self, fake: FakeStripe, people: People) -> None:
        self.fake = fake
        self.people = people
        self.alice = people.alice
        self._keys = itertools.count()
        self._told = 0

    def buy(
        self,
        offer: str,
        interval: str = "once",
        *,
        person: User | None = None,
        card: str = "4242424242424242",
        look: bool = True,
        **how: Any,
    ) -> Checkout:
        """Press the button, pay on Stripe's page, and come back unless the browser dies (`look` false)."""
        visit = self.begin(offer, interval, person=person)
        self.fake.pay(visit.url, card, **how)
        if look:
            checkout.fulfil(visit.stripe_id or "")
        return visit

    def begin(self, offer: str, interval: str = "once", *, person: User | None = None) -> Checkout:
        """Press the button."""
        price = price_of(offer, interval)
        assert price is not None
        return checkout.begin(person or self.alice, price, key=f"form-{next(self._keys):08}")

    def news(self) -> list[dict[str, Any]]:
        """The events since the last time they were asked for."""
        found = self.fake.events()
        new = found[self._told :]
        self._told = len(found)
        return new

    def listen(self) -> None:
        """Let every event since the last time come in and be worked on."""
        for event in self.news():
            events.keep(event)
        self.work()

    def work(self) -> None:
        """Work until nothing is due, passing the time of those that were put off."""
        while events.work():
            pass

    def pass_by(self, **span: float) -> None:
        """Let time go by, here and there, with everything that falls due there, and hear of it."""
        self.fake.advance(**span)
        self.listen()

    @property
    def wallet(self) -> Wallet:
        return ledger.wallet_of(User.objects.get(pk=self.alice.pk))

    @property
    def balance(self) -> tuple[int, int, int]:
        """What Alice can spend, has set aside, and owes."""
        found = ledger.balance(self.wallet)
        return found.available, found.held, found.owed

    @property
    def subscription(self) -> Subscription:
        found = current_subscription(self.alice)
        assert found is not None
        return found

    @property
    def plan(self) -> str:
        return plans.plan_of(self.alice).code

    def spend(self, amount: int) -> None:
        """A picture of that price, released."""
        cause = f"medium:{uuid.uuid4()}"
        with step("tests.spend"):
            ledger.hold(self.wallet, {cause: amount})
            ledger.capture(cause)

    def dispute(self, payment: Payment, **how: Any) -> str:
        """The owner of the card says that it was not them."""
        return str(self.fake.dispute(payment.stripe_charge, **how)["id"])


def whole() -> list[str]:
    return [str(difference) for difference in differences()]


def picture(person: User) -> dict[str, Any]:
    """Where everything of a person stands in the end: what must be the same whatever the order of the events."""
    wallet = ledger.wallet_of(person)
    balance = ledger.balance(wallet)
    return {
        "balance": (balance.available, balance.held, balance.owed),
        "lots": sorted(Lot.objects.filter(wallet=wallet).values_list("source", "granted", "remaining", "expires_at")),
        "granted": sorted(Transfer.objects.filter(wallet=wallet, kind="grant").values_list("key", flat=True)),
        "taken": {each.key: reversals.taken_of(each).total for each in Payment.objects.of(person)},
        "payments": sorted(
            Payment.objects.of(person).values_list("key", "amount", "credits", "refunded", "disputed", "covers_until")
        ),
        "subscriptions": sorted(
            Subscription.objects.of(person).values_list(
                "stripe_id", "status", "price__offer", "paid_price__offer", "paid_until", "ends_at", "is_paused"
            )
        ),
        "checkouts": sorted(Checkout.objects.of(person).values_list("state", flat=True)),
        "house": sorted(
            (account, sum(Entry.objects.filter(account_id=account).values_list("amount", flat=True)))
            for account in (-1, -2, -3, -4, -5)
        ),
    }


@contextmanager
def open_shop(settings: Any, monkeypatch: Any, *, prices: bool = True) -> Iterator[Shop]:
    """Start the offline Stripe, bring the prices there, and let this process live by its clock."""
    with FakeStripe(frozen_at=BEGAN, key="sk_test_tests", webhook_secret=SECRET) as fake:
        settings.STRIPE_API_BASE = fake.url
        settings.STRIPE_SECRET_KEY = fake.key
        settings.STRIPE_WEBHOOK_SECRET = SECRET
        settings.STRIPE_RETRIES = 0
        settings.BASE_URL = "http://testserver"
        monkeypatch.setattr(timezone, "now", lambda: datetime.fromtimestamp(fake.now, UTC))
        people = _people()
        if prices:
            bring_prices()
        shop = Shop(fake, people)
        shop.news()
        yield shop


def _people() -> People:
    people = cast(credits=1)
    with step("tests.free"):
        allow_monthly(ledger.wallet_of(people.alice), plans.shop().offers["free"].credits)
    return people
