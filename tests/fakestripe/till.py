"""Against what the tests run: the offline Stripe, or the real one with STRIPE_LIVE_TEST_KEY.

A test asks for the fixture `till` and gets `client` and `driver`. What needs a hosted page, a clock or a knob
asks the driver for it, and the driver of the real Stripe skips the test with a sentence.
"""

import os
import secrets
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest
import stripe

from billing.fakestripe import FakeStripe
from tests.fakestripe.spec import Checked

VERSION = "2026-10-28.endive"
LIVE_KEY = os.environ.get("STRIPE_LIVE_TEST_KEY", "")
# 31 January 2026, 09:00 UTC: the day that February does not have.
JANUARY_31 = 1769850000


def client_for(url: str, key: str, checked: Checked | None, *, retries: int = 0) -> stripe.StripeClient:
    """The real SDK, unmodified, speaking to this address."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        stripe_version=VERSION,
        max_network_retries=retries,
        http_client=checked,
    )


class Offline:
    """Drives the offline Stripe: everything can be done."""

    def __init__(self, fake: FakeStripe) -> None:
        self.fake = fake

    def pay(self, session: Any, card: str = "4242424242424242", **how: Any) -> str:
        """What a person does in the hosted page."""
        return self.fake.pay(session.url, card, **how)

    def advance(self, **span: float) -> None:
        """Let time pass."""
        self.fake.advance(**span)

    def offline(self, why: str) -> FakeStripe:
        """The fake itself, for what no real Stripe does on demand."""
        return self.fake


class Live:
    """Drives the real Stripe in test mode: no page, no clock, no knobs."""

    def pay(self, session: Any, card: str = "4242424242424242", **how: Any) -> NoReturn:
        pytest.skip("The real Stripe's Checkout page wants a person.")

    def advance(self, **span: float) -> NoReturn:
        pytest.skip("The real Stripe's clock cannot be moved for subscriptions that Checkout made.")

    def offline(self, why: str) -> NoReturn:
        pytest.skip(f"Only the offline Stripe can do this: {why}")


@dataclass
class Till:
    """One shop: a client, who drives it, and the goods."""

    client: stripe.StripeClient
    driver: Offline | Live
    mark: str = field(default_factory=lambda: secrets.token_hex(6))

    @property
    def v1(self) -> Any:
        """The API."""
        return self.client.v1

    def product(self, name: str = "Credits") -> Any:
        return self.v1.products.create(params={"name": name})

    def top_up(self, amount: int = 500) -> Any:
        """A price that is paid once."""
        return self.v1.prices.create(
            params={"product": self.product().id, "currency": "usd", "unit_amount": amount, "nickname": "Top-up"}
        )

    def plan(self, amount: int = 1500, interval: str = "month", name: str = "Plan") -> Any:
        """A price that is paid again and again."""
        return self.v1.prices.create(
            params={
                "product": self.product(name).id,
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": interval},
                "nickname": name,
            }
        )

    def customer(self, **more: Any) -> Any:
        return self.v1.customers.create(params={"email": f"{self.mark}@example.com", **more})

    def session(self, price: Any, mode: str = "payment", **more: Any) -> Any:
        """An open Checkout session for one of this price."""
        params = {
            "mode": mode,
            "line_items": [{"price": price.id, "quantity": 1}],
            "success_url": "http://shop.example/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.example/",
            **more,
        }
        return self.v1.checkout.sessions.create(params=params)

    def bought(self, price: Any, card: str = "4242424242424242", **more: Any) -> Any:
        """A paid session of a top-up, with its payment intent and charge."""
        session = self.session(price, **more)
        self.driver.pay(session, card)
        return self.v1.checkout.sessions.retrieve(session.id, params={"expand": ["payment_intent.latest_charge"]})

    def subscribed(self, price: Any, card: str = "4242424242424242", **more: Any) -> Any:
        """A subscription that was bought in Checkout."""
        session = self.session(price, "subscription", **more)
        self.driver.pay(session, card)
        return self.v1.checkout.sessions.retrieve(session.id, params={"expand": ["subscription"]}).subscription
