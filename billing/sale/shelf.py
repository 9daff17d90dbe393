"""What is on sale, laid out for a page."""

import secrets
from dataclasses import dataclass

from accounts.models import User
from billing.models import Price, Subscription
from billing.money import money
from billing.sale.plans import FREE, Offer, current_subscription, price_of, shop


@dataclass(frozen=True)
class Ticket:
    """One price of an offer. `price` is None where Stripe does not know it yet: then there is no button."""

    interval: str
    amount: int
    currency: str
    credits: int
    price: Price | None
    # "buy", "change", "current" or nothing.
    act: str
    # For its form: sent twice, it takes effect once.
    key: str

    @property
    def money(self) -> str:
        return money(self.amount, self.currency)

    @property
    def per(self) -> str:
        """After the amount: how often."""
        return {"month": "a month", "year": "a year"}.get(self.interval, "once")


@dataclass(frozen=True)
class Place:
    """One offer on the shelf with its prices."""

    offer: Offer
    tickets: list[Ticket]
    is_current: bool
    has_trial: bool
    # The first plan above the person's own: what the page would have them press.
    is_next: bool


def shelf(person: User | None = None) -> list[Place]:
    """Plans, then top-ups, with what this person could do about each."""
    own = current_subscription(person) if person else None
    is_first = person is None or not Subscription.objects.of(person).exists()
    code = own.price.offer if own and own.price else FREE
    codes = [offer.code for offer in shop().plans]
    following = codes[codes.index(code) + 1 :][:1] if code in codes else []
    return [
        Place(
            offer,
            [_ticket(offer, interval, amount, own) for interval, amount in offer.prices.items()],
            is_current=code == offer.code and person is not None,
            has_trial=bool(offer.trial_days) and is_first,
            is_next=offer.code in following,
        )
        for offer in [*shop().plans, *shop().top_ups]
    ]


def _ticket(offer: Offer, interval: str, amount: int, own: Subscription | None) -> Ticket:
    price = price_of(offer.code, interval)
    if price is None:
        act = ""
    elif not offer.is_plan or own is None or own.status == "incomplete":
        act = "buy"
    elif own.price == price:
        act = "current"
    else:
        act = "change"
    return Ticket(interval, amount, shop().currency, offer.credits_for(interval), price, act, new_key())


def new_key() -> str:
    """For a form: sent twice, it takes effect once."""
    return secrets.token_urlsafe(16)
