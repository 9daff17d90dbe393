"""What the remedies of differences do, by kind. Each looks at the one thing it is about, and may be done again."""

from collections.abc import Callable
from typing import Any

from billing import reversals
from billing.models import Payment
from billing.sale import checkout, events, payments, prices, subscriptions, till
from billing.sale.customers import alone, note_deleted
from journal.transactions import step


def _grant(about: str) -> None:
    """Grant what a session at Checkout, or an invoice, was paid for."""
    if about.startswith("cs_"):
        checkout.fulfil(about)
        return
    with alone(payments.id_of(payments.fetch_invoice(about).customer)):
        # Fetched once more: whoever had the lock before us may have taken a while.
        payments.record_invoice(payments.fetch_invoice(about))


def _refresh(key: str) -> None:
    """Look at a purchase's refunds and disputes again."""
    payment = Payment.objects.select_related("person__customer").get(key=key)
    with alone(payment.person.customer.stripe_id):
        payments.refresh(payment)


def _settle(key: str) -> None:
    """Bring a purchase's credits in line with its money."""
    with step("till.money"):
        reversals.settle(Payment.objects.select_for_update(no_key=True).get(key=key))


def _follow(stripe_id: str) -> None:
    """Look at a subscription again."""
    found: Any = till.fetch(lambda c: c.v1.subscriptions.retrieve(stripe_id))
    with alone(payments.id_of(found.customer)):
        subscriptions.follow(stripe_id)


def _forget_customer(stripe_id: str) -> None:
    """Note that a customer is gone, if Stripe says so still."""
    try:
        found: Any = till.fetch(lambda c: c.v1.customers.retrieve(stripe_id))
    except till.StripeRefused:
        note_deleted(stripe_id)
        return
    if getattr(found, "deleted", False):
        note_deleted(stripe_id)


REMEDIES: dict[str, Callable[[str], object]] = {
    "paid_not_granted": _grant,
    "checkout_left_open": checkout.fulfil,
    "money_went_back": _refresh,
    "not_taken_back": _settle,
    "subscription_unknown": _follow,
    "subscription_differs": _follow,
    "customer_deleted": _forget_customer,
    "price_missing": lambda about: prices.bring_prices(),
    "event_given_up": events.retry_failed,
}
