"""Subscriptions: our copy follows Stripe's, and what people change about theirs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from accounts.models import User
from billing.models import Payment, Price, Subscription
from billing.sale import till
from billing.sale.customers import alone, person_of
from billing.sale.payments import fetch_invoice, id_of, moment, record_invoice
from billing.sale.plans import shop
from journal.transactions import step


class NotPossible(Exception):
    """What was asked of a subscription does not fit its state. The message says what would."""


@dataclass(frozen=True)
class Change:
    """What a change of plan would mean: what is due at once, or that it waits for the renewal."""

    price: Price
    due_now: int
    currency: str
    waits_until: datetime | None


def follow(stripe_id: str) -> Subscription | None:
    """Fetch a subscription and what it was last billed for, and bring our copy in line. None when it is not ours.

    Call it within `alone` of its customer.
    """
    found: Any = till.fetch(lambda c: c.v1.subscriptions.retrieve(stripe_id, {"expand": ["latest_invoice"]}))
    person = person_of(id_of(found.customer))
    if person is None:
        return None
    if (latest := found.latest_invoice) and latest.status == "paid":
        record_invoice(fetch_invoice(latest.id))
    item = found["items"].data[0] if found["items"].data else None
    is_unpaid = found.status in Subscription.UNPAID
    open_invoice = latest if latest and latest.status == "open" else None
    ends = found.cancel_at or (item.current_period_end if found.cancel_at_period_end and item else None)
    with step("till.subscription"):
        subscription, _ = Subscription.objects.update_or_create(
            stripe_id=found.id,
            defaults={
                "person": person,
                "price": Price.objects.filter(stripe_price=item.price.id).first() if item else None,
                "stripe_item": item.id if item else "",
                "status": found.status,
                "period_end": moment(item.current_period_end) if item else None,
                "trial_end": moment(found.trial_end) if found.trial_end else None,
                "ends_at": moment(ends) if ends else None,
                "is_paused": bool(found.pause_collection) or found.status == "paused",
                "failing_since": moment(latest.status_transitions.finalized_at or latest.created)
                if is_unpaid and open_invoice
                else None,
                "action_url": (open_invoice.hosted_invoice_url or "") if open_invoice else "",
                "started_at": moment(found.start_date),
                "ended_at": moment(found.ended_at) if found.ended_at else None,
                "fetched_at": timezone.now(),
            },
        )
        note_paid(subscription)
    return subscription


def note_paid(subscription: Subscription) -> None:
    """Say what a subscription was last paid for, from the purchases that are recorded and were not taken back."""
    paid = (
        Payment.objects.filter(stripe_subscription=subscription.stripe_id, covers_until__isnull=False)
        .exclude(amount__gt=0, amount__lte=F("refunded") + F("disputed"))
        .order_by("-covers_until", "-paid_at", "-id")
        .first()
    )
    subscription.paid_price = paid.price if paid else None
    subscription.paid_until = paid.covers_until if paid else None
    subscription.save(update_fields=["paid_price", "paid_until"])


def preview(subscription: Subscription, price: Price) -> Change:
    """What changing to `price` would cost now. Raises NotPossible, StripeAway or StripeRefused."""
    _refuse_unless_changeable(subscription, price)
    if not _is_upgrade(subscription, price):
        return Change(price, 0, price.currency, subscription.period_end)
    params: Any = {
        "customer": id_of_customer(subscription.person),
        "subscription": subscription.stripe_id,
        "subscription_details": {
            "items": [{"id": subscription.stripe_item, "price": price.stripe_price}],
            "proration_behavior": "always_invoice",
        },
    }
    found = till.fetch(lambda c: c.v1.invoices.create_preview(params))
    return Change(price, max(found.amount_due, 0), found.currency, None)


def change(subscription: Subscription, price: Price, *, key: str) -> Subscription:
    """Change the plan: at once against payment of the difference if it costs more, at the renewal if it costs less.

    What a person may do follows what was paid, so a payment that fails changes nothing but the note on the page.
    Raises NotPossible, StripeAway or StripeRefused.
    """
    _refuse_unless_changeable(subscription, price)
    params = {
        "items": [{"id": subscription.stripe_item, "price": price.stripe_price}],
        "proration_behavior": "none",
    }
    if _is_upgrade(subscription, price):
        params |= {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    return _update(subscription, "subscription.change", key, params)


def cancel(subscription: Subscription, *, key: str) -> Subscription:
    """End it when what was paid for is over."""
    if subscription.status in Subscription.OVER:
        raise NotPossible("This subscription is over already.")
    return _update(subscription, "subscription.cancel", key, {"cancel_at_period_end": True})


def keep(subscription: Subscription, *, key: str) -> Subscription:
    """Take a cancellation back before it takes effect."""
    if subscription.status in Subscription.OVER:
        raise NotPossible("This subscription is over. Choose a plan to begin anew.")
    return _update(subscription, "subscription.keep", key, {"cancel_at_period_end": False})


def pause(subscription: Subscription, *, key: str) -> Subscription:
    """Ask for no more payments, and grant nothing, until it is resumed. What was paid for lasts until its end."""
    if subscription.status not in {"active", "trialing"}:
        raise NotPossible("Only a subscription in good order can be paused.")
    return _update(subscription, "subscription.pause", key, {"pause_collection": {"behavior": "void"}})


def resume(subscription: Subscription, *, key: str) -> Subscription:
    """Go on from the next period."""
    return _update(subscription, "subscription.resume", key, {"pause_collection": ""})


def end_now(subscription: Subscription, *, key: str) -> Subscription:
    """End it at once. For billing admins, and for people who leave."""
    till.ask(
        "subscription.end",
        f"{subscription.stripe_id}:{key}",
        {},
        lambda c, params, options: c.v1.subscriptions.cancel(subscription.stripe_id, params, options),
        person=subscription.person,
    )
    return _followed(subscription)


def _update(subscription: Subscription, kind: str, key: str, params: dict[str, Any]) -> Subscription:
    till.ask(
        kind,
        f"{subscription.stripe_id}:{key}",
        params,
        lambda c, params, options: c.v1.subscriptions.update(subscription.stripe_id, params, options),
        person=subscription.person,
    )
    return _followed(subscription)


def _followed(subscription: Subscription) -> Subscription:
    with alone(id_of_customer(subscription.person)):
        followed = follow(subscription.stripe_id)
    assert followed is not None
    return followed


def id_of_customer(person: User) -> str:
    """Stripe's id for somebody who has bought before."""
    return person.customer.stripe_id


def _refuse_unless_changeable(subscription: Subscription, price: Price) -> None:
    if subscription.status not in {"active", "trialing"} or subscription.is_paused:
        raise NotPossible("The plan can be changed once the subscription is paid and not paused.")
    if subscription.price and subscription.price.stripe_price == price.stripe_price:
        raise NotPossible("This is your plan already.")
    if subscription.price and (subscription.price.interval, price.interval) == ("year", "month"):
        raise NotPossible("Your year is paid. Cancel at its end, then choose a monthly plan.")


def _is_upgrade(subscription: Subscription, price: Price) -> bool:
    """Whether it brings more credits than what is paid for now; a trial has paid for nothing yet."""
    if subscription.status == "trialing" or subscription.price is None:
        return False
    return price.credits > subscription.price.credits


def worth_a_month(price: Price) -> float:
    """What a price brings in a month, in the smallest unit."""
    return price.amount / (12 if price.interval == Price.Interval.YEAR else 1)


def plans_for(subscription: Subscription | None) -> list[str]:
    """The codes of the plans that can be bought or changed to."""
    return [offer.code for offer in shop().plans if offer.prices]
