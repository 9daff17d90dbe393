"""Brings Stripe's products and prices in line with plans.toml."""

from typing import Any

import stripe

from billing.models import Operation, Price
from billing.sale import till
from billing.sale.plans import Offer, price_of, shop
from journal.transactions import step


def bring_prices() -> list[Price]:
    """Make what is missing at Stripe, and note it here. Safe to run again; returns the prices that are new.

    A price never changes: another amount is another price. The old one stays for whoever bought at it, and takes no
    new customers.
    """
    made = []
    for offer in shop().offers.values():
        for interval, amount in offer.prices.items():
            if price_of(offer.code, interval) is None:
                made.append(_make(offer, interval, amount))
    return made


def _make(offer: Offer, interval: str, amount: int) -> Price:
    number = Price.objects.filter(offer=offer.code, interval=interval).count() + 1
    subject = f"{offer.code}:{interval}:{number}:{amount}{shop().currency}:{offer.credits_for(interval)}"
    product = _product(offer)
    params: dict[str, Any] = {
        "product": product,
        "currency": shop().currency,
        "unit_amount": amount,
        "lookup_key": f"vaglio-{offer.code}-{interval}",
        "transfer_lookup_key": True,
        "tax_behavior": "exclusive",
        "metadata": {"offer": offer.code, "credits": str(offer.credits_for(interval))},
    }
    if offer.is_plan:
        params["recurring"] = {"interval": interval}
    operation = till.ask(
        "price.create", subject, params, lambda c, params, options: c.v1.prices.create(params, options), find=_find
    )
    with step("till.price"):
        price, _ = Price.objects.get_or_create(
            stripe_price=operation.stripe_id,
            defaults={
                "offer": offer.code,
                "interval": interval,
                "amount": amount,
                "currency": shop().currency,
                "credits": offer.credits_for(interval),
                "stripe_product": product,
            },
        )
    return price


def _product(offer: Offer) -> str:
    """The product of an offer, by an id of our own."""
    name = f"vaglio-{offer.code}"
    params = {"id": name, "name": offer.title, "metadata": {"offer": offer.code}}
    try:
        made = till.ask(
            "product.create", offer.code, params, lambda c, params, options: c.v1.products.create(params, options)
        )
    except till.StripeRefused:
        # Made before, by another installation or for another database: then it is the same.
        return till.fetch(lambda c: c.v1.products.retrieve(name)).id
    return made.stripe_id


def _find(client: stripe.StripeClient, operation: Operation) -> str | None:
    listed = client.v1.prices.list({"lookup_keys": [operation.params["lookup_key"]], "active": True})
    return next((price.id for price in listed.data if price.unit_amount == operation.params["unit_amount"]), None)
