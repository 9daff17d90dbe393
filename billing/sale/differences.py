"""Where Stripe and the ledger do not agree, thing by thing, and what to do about each.

Reads everything that Stripe made since `since`, one page after another, and our rows beside it: the cost grows with
the purchases of that time, and with all customers and subscriptions there are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Sum
from django.utils import timezone

from billing import reversals
from billing.models import (
    Checkout,
    Customer,
    Event,
    Lot,
    Operation,
    Payment,
    Subscription,
)
from billing.money import money
from billing.sale import payments, till
from billing.sale.plans import price_of, shop

# What takes longer than this was left lying.
LATE = timedelta(minutes=10)
# Disputes come up to 120 days after a payment; Stripe is asked about purchases of this long.
LOOKS_BACK = timedelta(days=130)
# Clocks differ, and a visit begins before its session: so much more of ours is read than of Stripe's.
EARLIER = timedelta(days=2)


@dataclass(frozen=True)
class Difference:
    """One place where Stripe and we do not agree. What its kind has in `mending.REMEDIES` does what `remedy` says."""

    kind: str
    about: str
    what: str
    remedy: str


def differences(since: datetime | None = None) -> Iterator[Difference]:
    """Every difference there is. Raises StripeAway when Stripe cannot be asked."""
    since = since or timezone.now() - LOOKS_BACK
    newer = {"created": {"gte": int(since.timestamp())}, "limit": 100}
    yield from _sessions(since, newer)
    yield from _invoices(since, newer)
    yield from _payments(since, newer)
    yield from _ledger(since)
    yield from _subscriptions()
    yield from _customers()
    yield from _prices()
    yield from _left_lying()


def _all(call: Callable[[Any], Any]) -> list[Any]:
    return till.fetch(lambda c: list(call(c).auto_paging_iter()))


def _sessions(since: datetime, newer: dict[str, Any]) -> Iterator[Difference]:
    """Top-ups that were paid and not granted, and visits that ended without our notice."""
    own = Payment.objects.filter(key__startswith="checkout:", paid_at__gte=since - EARLIER)
    known = set(own.values_list("key", flat=True))
    begun = Checkout.objects.filter(created_at__gte=since - EARLIER)
    ours = {str(pk): state for pk, state in begun.values_list("pk", "state")}
    for session in _all(lambda c: c.v1.checkout.sessions.list(newer)):
        state = ours.get(session.client_reference_id or "")
        if state is None:
            continue
        is_paid = session.status == "complete" and session.payment_status in {"paid", "no_payment_required"}
        if is_paid and session.mode == "payment" and f"checkout:{session.id}" not in known:
            yield Difference(
                "paid_not_granted",
                session.id,
                f"{_money(session.amount_total, session.currency)} were paid at Checkout and no credits were granted.",
                "Grant what was paid for.",
            )
        elif (is_paid and state != Checkout.State.PAID) or (session.status == "expired" and state == "open"):
            yield Difference(
                "checkout_left_open",
                session.id,
                f"Stripe says {session.status}, our checkout is {state}.",
                "Look at the session again.",
            )


def _invoices(since: datetime, newer: dict[str, Any]) -> Iterator[Difference]:
    """Invoices that were paid and not granted, or granted as something else."""
    customers = set(Customer.objects.values_list("stripe_id", flat=True))
    own = Payment.objects.filter(key__startswith="invoice:", paid_at__gte=since - EARLIER)
    known = {payment.key: payment for payment in own}
    for invoice in _all(lambda c: c.v1.invoices.list({**newer, "status": "paid"})):
        customer = payments.id_of(invoice.customer)
        if not payments.subscription_of(invoice) or customer not in customers:
            continue
        payment = known.get(f"invoice:{invoice.id}")
        if payment is None:
            yield Difference(
                "paid_not_granted",
                invoice.id,
                f"Invoice {invoice.number or invoice.id} over {_money(invoice.amount_paid, invoice.currency)} was paid "
                "and no credits were granted.",
                "Grant what was paid for.",
            )
        elif (payment.amount, payment.currency) != (invoice.amount_paid, invoice.currency):
            yield Difference(
                "amount_differs",
                invoice.id,
                f"Stripe was paid {_money(invoice.amount_paid, invoice.currency)}, we noted "
                f"{_money(payment.amount, payment.currency)}.",
                "Find out which is right, and correct the person's credits in the console.",
            )


def _payments(since: datetime, newer: dict[str, Any]) -> Iterator[Difference]:
    """Purchases whose money went back without their credits, or that Stripe knows nothing of."""
    refunded: dict[str, int] = {}
    forgiven: dict[str, int] = {}
    for refund in _all(lambda c: c.v1.refunds.list(newer)):
        if refund.status in payments.GOING:
            intent = payments.id_of(refund.payment_intent)
            refunded[intent] = refunded.get(intent, 0) + refund.amount
            if payments.keeps_credits(refund):
                forgiven[intent] = forgiven.get(intent, 0) + refund.amount
    disputed: dict[str, int] = {}
    for dispute in _all(lambda c: c.v1.disputes.list(newer)):
        intent = payments.id_of(dispute.payment_intent)
        disputed[intent] = disputed.get(intent, 0) + payments.withdrawn_by(dispute)
    charged = {
        payments.id_of(charge.payment_intent): charge
        for charge in _all(lambda c: c.v1.charges.list(newer))
        if charge.paid
    }
    own = Payment.objects.filter(paid_at__gte=since + timedelta(hours=1)).exclude(stripe_intent="")
    for payment in own.select_related("person__customer"):
        intent = payment.stripe_intent
        says = (refunded.get(intent, 0), forgiven.get(intent, 0), disputed.get(intent, 0))
        if intent not in charged:
            yield Difference(
                "unknown_to_stripe",
                payment.key,
                f"We noted {_money(payment.amount, payment.currency)} as paid; Stripe has no such charge.",
                "Ask Stripe what became of it. If it was never paid, correct the person's credits in the console.",
            )
        elif payment.key.startswith("checkout:") and charged[intent].amount != payment.amount:
            yield Difference(
                "amount_differs",
                payment.key,
                f"Stripe charged {_money(charged[intent].amount, charged[intent].currency)}, we noted "
                f"{_money(payment.amount, payment.currency)}.",
                "Find out which is right, and correct the person's credits in the console.",
            )
        elif says != (payment.refunded, payment.forgiven, payment.disputed):
            yield Difference(
                "money_went_back",
                payment.key,
                f"Stripe says {says[0]} refunded ({says[1]} of it credits kept) and {says[2]} disputed; we say "
                f"{payment.refunded}, {payment.forgiven} and {payment.disputed}.",
                "Look at its refunds and disputes again, and bring the credits in line.",
            )


def _ledger(since: datetime) -> Iterator[Difference]:
    """Purchases whose credits do not fit what we ourselves noted of them."""
    granted = dict(
        Lot.objects.filter(payment__paid_at__gte=since)
        .exclude(source=Lot.Source.CORRECTION)
        .values_list("payment")
        .annotate(total=Sum("granted"))
    )
    for payment in Payment.objects.filter(paid_at__gte=since).select_related("person", "price"):
        if granted.get(payment.pk, 0) != payment.credits:
            yield Difference(
                "granted_otherwise",
                payment.key,
                f"It was to grant {payment.credits} credits and its lots hold {granted.get(payment.pk, 0)}.",
                "Run `manage.py ledger verify` and `audit verify`, then correct the person's credits in the console.",
            )
        elif (due := reversals.due_back(payment)) != (taken := reversals.taken_of(payment).total):
            yield Difference(
                "not_taken_back",
                payment.key,
                f"By its money {due} credits should be taken back, and {taken} are.",
                "Bring the credits in line with the money.",
            )
        elif payment.currency != shop().currency:
            yield Difference(
                "other_currency",
                payment.key,
                f"It was paid in {payment.currency.upper()}, and the shop sells in {shop().currency.upper()}.",
                "Nothing is wrong with its credits. See to it in Stripe that prices have one currency.",
            )


def _subscriptions() -> Iterator[Difference]:
    """Subscriptions that we know otherwise, twice, or not at all."""
    ours = {each.stripe_id: each for each in Subscription.objects.select_related("price", "person__customer")}
    customers = {customer.stripe_id: customer.person for customer in Customer.objects.select_related("person")}
    seen = set()
    for found in _all(lambda c: c.v1.subscriptions.list({"status": "all", "limit": 100})):
        person = customers.get(payments.id_of(found.customer))
        if person is None:
            continue
        seen.add(found.id)
        own = ours.get(found.id)
        if own is None:
            yield Difference(
                "subscription_unknown",
                found.id,
                f"Stripe has it as {found.status}; we do not know it.",
                "Look at it again.",
            )
            continue
        item = found["items"].data[0]
        ends = found.cancel_at or (item.current_period_end if found.cancel_at_period_end else None)
        says = (
            found.status,
            item.price.id,
            payments.moment(item.current_period_end),
            payments.moment(ends) if ends else None,
            bool(found.pause_collection) or found.status == "paused",
        )
        said = (
            own.status,
            own.price.stripe_price if own.price else item.price.id,
            own.period_end,
            own.ends_at,
            own.is_paused,
        )
        if says != said:
            yield Difference(
                "subscription_differs",
                found.id,
                f"Stripe says {_told(says)}; we say {_told(said)}.",
                "Look at it again.",
            )
        elif not person.is_active and found.status not in Subscription.OVER:
            yield Difference(
                "gone_and_charged",
                found.id,
                f"{person.email} cannot sign in any more and is still charged.",
                "End the subscription in the console, and refund what was not used.",
            )
        elif own.price is None:
            yield Difference(
                "price_unknown",
                found.id,
                f"It is at the price {item.price.id}, which plans.toml never had.",
                "Change it to a price of ours in the console, or bring the price into plans.toml.",
            )
    for own in ours.values():
        if own.stripe_id not in seen and own.status not in Subscription.OVER:
            yield Difference(
                "unknown_to_stripe",
                own.stripe_id,
                f"We have it as {own.status}; Stripe does not know it.",
                "Find out in Stripe whether it was another account's. It brings no credits until then.",
            )
    twice = Subscription.objects.live().values("person", "person__email").annotate(many=Count("pk")).filter(many__gt=1)
    for each in twice:
        yield Difference(
            "subscribed_twice",
            f"person:{each['person']}",
            f"{each['person__email']} pays {each['many']} subscriptions.",
            "Ask which one they meant; end the other in the console and refund it.",
        )


def _customers() -> Iterator[Difference]:
    """Customers that Stripe has deleted, or has twice."""
    found = _all(lambda c: c.v1.customers.list({"limit": 100}))
    there = {customer.id for customer in found}
    ours = {str(each.person_id): each for each in Customer.objects.filter(deleted_at__isnull=True)}
    for each in ours.values():
        if each.stripe_id not in there:
            yield Difference(
                "customer_deleted",
                each.stripe_id,
                "Stripe does not have this customer any more.",
                "Note that it is gone; the next purchase makes a new one.",
            )
    for customer in found:
        own = ours.get((customer.metadata.to_dict() if customer.metadata else {}).get("person", ""))
        if own and own.stripe_id != customer.id and own.created_at.timestamp() < customer.created:
            yield Difference(
                "customer_twice",
                customer.id,
                f"It is a second customer of person {own.person_id}.",
                "Look in Stripe whether it paid for anything. If not, delete it there.",
            )


def _prices() -> Iterator[Difference]:
    """What is sold here and cannot be bought there."""
    there = {price.id: price for price in _all(lambda c: c.v1.prices.list({"limit": 100}))}
    for offer in shop().offers.values():
        for interval in offer.prices:
            price = price_of(offer.code, interval)
            name = f"{offer.code}:{interval}"
            if price is None:
                yield Difference(
                    "price_missing",
                    name,
                    f"{offer.title} has no price at Stripe as plans.toml says.",
                    "Make it there: `manage.py till prices`.",
                )
                continue
            found = there.get(price.stripe_price)
            if found is None or not found.active:
                yield Difference(
                    "price_removed",
                    name,
                    f"{price.stripe_price} {'is gone from' if found is None else 'was switched off at'} Stripe.",
                    "Switch it on again in Stripe, or change its amount in plans.toml for a new one.",
                )
            elif (found.unit_amount, found.currency) != (price.amount, price.currency):
                yield Difference(
                    "price_differs",
                    name,
                    f"Stripe sells it at {_money(found.unit_amount, found.currency)}, we at "
                    f"{_money(price.amount, price.currency)}.",
                    "Prices at Stripe do not change by themselves: find out whose it is.",
                )


def _left_lying() -> Iterator[Difference]:
    """Events that were given up or wait, and things asked of Stripe that never came to an end."""
    late = timezone.now() - LATE
    for event in Event.objects.filter(state=Event.State.FAILED).defer("payload"):
        yield Difference(
            "event_given_up",
            event.stripe_id,
            f"{event.type} could not be taken in: {event.error}",
            "Mend the cause, then take it up again: `manage.py till retry`.",
        )
    for event in Event.objects.filter(state=Event.State.WAITING, received_at__lt=late).defer("payload")[:100]:
        yield Difference(
            "event_waits",
            event.stripe_id,
            f"{event.type} waits since {event.received_at:%H:%M}. {event.error}",
            "See whether `manage.py till` runs, and whether Stripe answers.",
        )
    for operation in Operation.objects.filter(state=Operation.State.BEGUN, begun_at__lt=late)[:100]:
        yield Difference(
            "operation_unfinished",
            str(operation.pk),
            f"{operation.kind} for {operation.subject} was begun at {operation.begun_at:%H:%M} and has no end.",
            "Whoever asked for it asks again and meets the same key. If nobody does, look in Stripe for what it made.",
        )


def _money(amount: int | None, currency: str | None) -> str:
    return money(amount or 0, currency or "?")


def _told(state: tuple[Any, ...]) -> str:
    status, price, period_end, ends_at, is_paused = state
    parts = [str(status), str(price), f"until {period_end:%Y-%m-%d %H:%M}" if period_end else "without end"]
    if ends_at:
        parts.append(f"ending {ends_at:%Y-%m-%d}")
    if is_paused:
        parts.append("paused")
    return ", ".join(parts)
