"""From the button to Stripe's page and back."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing.models import Checkout, Operation, Price, Subscription
from billing.sale import till
from billing.sale.customers import alone, customer_of
from billing.sale.payments import fetch_invoice, id_of, record_invoice, record_top_up, refresh
from billing.sale.plans import current_subscription, shop
from billing.sale.subscriptions import follow
from journal.transactions import step

# Visits that a person may begin within an hour: each makes rows here and an object at Stripe.
MOST_AN_HOUR = 30
HOUR = timedelta(hours=1)


class TooManyVisits(Exception):
    """Somebody opens one checkout after the other."""

    def __init__(self) -> None:
        super().__init__("You have opened many checkouts within the hour. Nothing was charged; wait a little.")


class AlreadySubscribed(Exception):
    """One subscription at a time: the other plan is a change of this one."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__("You have a plan already. Change it in your wallet.")
        self.subscription = subscription


def begin(person: User, price: Price, *, key: str, return_to: str = "") -> Checkout:
    """Open Stripe's page for a purchase; `url` of what is returned leads there.

    A double click, and the back button, find the same page again; a page for another plan that is still open is closed,
    so that nobody comes to pay two. Raises AlreadySubscribed, TooManyVisits, StripeAway or StripeRefused; then nothing
    was charged.
    """
    is_plan = price.interval != Price.Interval.ONCE
    if is_plan:
        _refuse_if_subscribed(person)
    now = timezone.now()
    begun = Checkout.objects.of(person).filter(created_at__gt=now - HOUR).exclude(key=key)
    if begun.count() >= MOST_AN_HOUR:
        raise TooManyVisits
    with step("till.checkout"):
        checkout, _ = Checkout.objects.get_or_create(
            person=person, key=key, defaults={"price": price, "return_to": return_to, "created_at": now}
        )
    if checkout.stripe_id:
        return checkout
    if is_plan:
        _close_others(checkout)
        _refuse_if_subscribed(person)
    customer = customer_of(person)
    made = till.ask(
        "checkout.create",
        f"checkout:{checkout.pk}",
        _params(checkout, customer.stripe_id),
        lambda c, params, options: c.v1.checkout.sessions.create(params, options),
        person=person,
        find=_find,
    )
    session = till.fetch(lambda c: c.v1.checkout.sessions.retrieve(made.stripe_id))
    with step("till.checkout"):
        Checkout.objects.filter(pk=checkout.pk).update(stripe_id=session.id, url=session.url or "")
    checkout.refresh_from_db()
    return checkout


def _refuse_if_subscribed(person: User) -> None:
    if (known := current_subscription(person)) and known.status != "incomplete":
        raise AlreadySubscribed(known)


def _close_others(checkout: Checkout) -> None:
    """Close this person's other pages on which a plan could be paid. One that was paid meanwhile is granted."""
    others = Checkout.objects.of(checkout.person).filter(state=Checkout.State.OPEN, stripe_id__isnull=False)
    for other in others.exclude(pk=checkout.pk).exclude(price__interval=Price.Interval.ONCE):
        # One that is over already is refused; looking at it tells how it ended.
        with suppress(till.StripeRefused):
            till.ask("checkout.expire", f"checkout:{other.pk}", {}, _expire(other), person=checkout.person)
        fulfil(other.stripe_id or "")


def _expire(checkout: Checkout) -> Callable[..., Any]:
    return lambda client, params, options: client.v1.checkout.sessions.expire(checkout.stripe_id, params, options)


def fulfil(session_id: str) -> Checkout | None:
    """Give what was paid for on one visit to Stripe's page. None for a session that is not of this installation.

    The landing page and the webhook both call it, in any order and at once; what they grant is keyed by what was paid.
    """
    session: Any = till.fetch(lambda c: c.v1.checkout.sessions.retrieve(session_id))
    checkout = _checkout_of(session)
    if checkout is None:
        return None
    with alone(id_of(session.customer) or session.id):
        # Once more: whoever had the lock before us may have taken a while.
        session = till.fetch(lambda c: c.v1.checkout.sessions.retrieve(session_id))
        if session.status == "expired":
            _end(checkout, Checkout.State.EXPIRED)
        elif session.status == "complete" and session.payment_status in {"paid", "no_payment_required"}:
            if session.mode == "subscription":
                if session.invoice:
                    record_invoice(fetch_invoice(id_of(session.invoice)))
                follow(id_of(session.subscription))
            elif payment := record_top_up(checkout, session):
                refresh(payment)
            _end(checkout, Checkout.State.PAID)
    checkout.refresh_from_db()
    return checkout


def portal(person: User, *, back: str) -> str:
    """The address of Stripe's portal for a person: cards, invoices, address. Raises StripeAway or StripeRefused."""
    params: Any = {"customer": customer_of(person).stripe_id, "return_url": settings.BASE_URL + back}
    return till.fetch(lambda c: c.v1.billing_portal.sessions.create(params)).url


def _params(checkout: Checkout, customer: str) -> dict[str, Any]:
    price, sold = checkout.price, shop()
    offer = sold.offers.get(price.offer)
    back = settings.BASE_URL + reverse("checkout", args=[checkout.pk])
    told = {"checkout": str(checkout.pk), "person": str(checkout.person_id)}
    params: dict[str, Any] = {
        "customer": customer,
        "client_reference_id": str(checkout.pk),
        "line_items": [{"price": price.stripe_price, "quantity": 1}],
        "success_url": back,
        "cancel_url": f"{back}?left",
        "metadata": told,
    }
    if sold.promotion_codes:
        params["allow_promotion_codes"] = True
    if sold.automatic_tax:
        params |= {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}
    if price.interval == Price.Interval.ONCE:
        return params | {
            "mode": "payment",
            "invoice_creation": {"enabled": True},
            "payment_intent_data": {"metadata": told},
        }
    details: dict[str, Any] = {"metadata": told}
    if offer and offer.trial_days and not Subscription.objects.of(checkout.person).exists():
        details["trial_period_days"] = offer.trial_days
    return params | {"mode": "subscription", "subscription_data": details}


def _checkout_of(session: Any) -> Checkout | None:
    try:
        named = uuid.UUID(session.client_reference_id or "")
    except ValueError:
        return None
    checkout = Checkout.objects.filter(pk=named).select_related("person", "price").first()
    if checkout and not checkout.stripe_id:
        # We died after Stripe had made it and before we noted so.
        Checkout.objects.filter(pk=checkout.pk, stripe_id__isnull=True).update(
            stripe_id=session.id, url=session.url or ""
        )
    return checkout


def _end(checkout: Checkout, state: Checkout.State) -> None:
    with step("till.checkout_end"):
        before = (
            [Checkout.State.OPEN] if state == Checkout.State.EXPIRED else [Checkout.State.OPEN, Checkout.State.EXPIRED]
        )
        Checkout.objects.filter(pk=checkout.pk, state__in=before).update(state=state, url="", ended_at=timezone.now())


def _find(client: Any, operation: Operation) -> str | None:
    """The session that an earlier attempt made, by our own number in it."""
    wanted = operation.params["client_reference_id"]
    listed = client.v1.checkout.sessions.list({"customer": operation.params["customer"], "limit": 100})
    return next((session.id for session in listed.data if session.client_reference_id == wanted), None)
