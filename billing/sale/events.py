"""Stripe's events: kept first, worked on afterwards. An event says where to look; what is true is fetched.

Duplicates meet their own row, order does not matter because each object is looked at as it stands now, and an event
that was lost is found by asking Stripe for its list.
"""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import stripe
from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from billing.models import Event, Payment
from billing.sale import checkout, notices, payments, subscriptions, till
from billing.sale.customers import alone, note_deleted, person_of
from billing.sale.payments import moment
from journal.failpoints import failpoint
from journal.transactions import step

log = logging.getLogger(__name__)

CHANNEL = "vaglio_till"

# What each kind of event is about: which field of its object names what has to be fetched again.
SUBJECTS = {
    "checkout.session.": ("session", "id"),
    "invoice.": ("invoice", "id"),
    "customer.subscription.": ("subscription", "id"),
    "charge.": ("money", "payment_intent"),
    "refund.": ("money", "payment_intent"),
    "customer.deleted": ("customer", "id"),
}
# Of those, the ones that tell nothing that is not told by another.
OF_NO_CONCERN = {"invoice.upcoming", "invoice.created", "charge.succeeded", "charge.failed", "charge.pending"}

# How long a turn of work has before another may take it; then how often a fault of ours is tried.
TURN = timedelta(seconds=60)
MOST_ATTEMPTS = 10
LONGEST_PAUSE = timedelta(hours=1)
AT_ONCE = 50

# Stripe keeps events for 30 days.
KEPT = timedelta(days=29)


class NotFromStripe(Exception):
    """The letter is not signed by Stripe, is too old, or is for somebody else. Nothing was kept."""


def receive(body: bytes, signature: str) -> bool:
    """Keep an event that Stripe sent. False if it was kept before. Raises NotFromStripe."""
    if not settings.STRIPE_WEBHOOK_SECRET:
        raise NotFromStripe("This installation expects no events: STRIPE_WEBHOOK_SECRET is not set.")
    try:
        stripe.WebhookSignature.verify_header(body.decode("utf-8"), signature, settings.STRIPE_WEBHOOK_SECRET, 300)
        told = json.loads(body)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise NotFromStripe("The signature does not fit, or is older than five minutes.") from error
    if not isinstance(told, dict) or told.get("object") != "event" or not isinstance(told.get("id"), str):
        raise NotFromStripe("This is no event.")
    if told.get("account"):
        raise NotFromStripe(f"This event is for the account {str(told['account'])[:40]}, which is not ours.")
    if bool(told.get("livemode")) != settings.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")):
        raise NotFromStripe("This event is of Stripe's other mode (test or live) than our key.")
    return keep(told)


def keep(told: dict[str, Any]) -> bool:
    """Write an event down, once, and wake whoever works on them. False if it was there."""
    kind, object_id, customer = _about(told)
    state = Event.State.WAITING if kind else Event.State.IGNORED
    now = timezone.now()
    with step("till.event"), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_event (stripe_id, type, object_id, customer, created_at, received_at, payload, state,
                                       attempts, due_at, error)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, '')
            ON CONFLICT DO NOTHING
            """,
            [
                told["id"][:100],
                str(told.get("type"))[:80],
                object_id[:255],
                customer[:100],
                moment(told.get("created")),
                now,
                json.dumps(told),
                state.value,
                now,
            ],
        )
        is_new = bool(cursor.rowcount == 1)
        if is_new and kind:
            cursor.execute(f"NOTIFY {CHANNEL}")
    return is_new


def work(most: int = 1000) -> int:
    """Work on events that wait, one customer's after another, until none is due. Returns how many were ended.

    A customer's events are taken together, and each object they name is fetched once. Any number of processes may.
    """
    ended = 0
    while ended < most and (events := _claim()):
        ended += _work_on(events)
    return ended


def backfill() -> int:
    """Keep the events that Stripe could not deliver, or that it made since the newest that we know of."""
    newest = Event.objects.aggregate(newest=Max("created_at"))["newest"]
    # An hour of overlap: events are not listed in the order in which they were made known.
    since = max(newest - timedelta(hours=1), timezone.now() - KEPT) if newest else timezone.now() - KEPT
    found = 0
    for params in (
        {"created": {"gte": int(since.timestamp())}, "limit": 100},
        {"delivery_success": False, "limit": 100},
    ):
        listed = till.fetch(lambda c, params=params: list(c.v1.events.list(params).auto_paging_iter()))  # type: ignore[misc]
        known = set(Event.objects.filter(pk__in=[event.id for event in listed]).values_list("stripe_id", flat=True))
        for event in reversed(listed):
            if event.id not in known:
                found += keep(json.loads(str(event)))
    if found:
        log.warning("%d events of Stripe's had not reached us", found)
    return found


def retry_failed(only: str = "") -> int:
    """Take up again what was given up: all of it, or one event by its id. For a person who has mended the cause."""
    failed = Event.objects.filter(state=Event.State.FAILED)
    if only:
        failed = failed.filter(stripe_id=only)
    return failed.update(state=Event.State.WAITING, attempts=0, due_at=timezone.now())


def _about(told: dict[str, Any]) -> tuple[str, str, str]:
    """Kind and id of what an event is about, and its customer. An empty kind: of no concern."""
    told_type = str(told.get("type"))
    data = told.get("data")
    thing = data.get("object") if isinstance(data, dict) else None
    if not isinstance(thing, dict):
        return "", "", ""
    customer = thing["id"] if thing.get("object") == "customer" else thing.get("customer")
    for start, (kind, field) in SUBJECTS.items():
        if told_type.startswith(start) and told_type not in OF_NO_CONCERN and thing.get(field):
            return kind, str(thing[field]), str(customer or "")
    return "", str(thing.get("id") or ""), str(customer or "")


def _claim() -> list[Event]:
    """The events of one customer that are due, ours for a turn. Those without a customer come by their object."""
    with step("till.claim"), connection.cursor() as cursor:
        cursor.execute(
            """
            WITH head AS (
                SELECT customer, object_id FROM billing_event
                 WHERE state = 'waiting' AND due_at <= %s
                 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
            ), own AS (
                SELECT stripe_id FROM billing_event event JOIN head USING (customer)
                 WHERE state = 'waiting' AND due_at <= %s
                   AND (head.customer <> '' OR event.object_id = head.object_id)
                 ORDER BY due_at LIMIT %s FOR UPDATE OF event SKIP LOCKED
            )
            UPDATE billing_event SET due_at = %s, attempts = attempts + 1
              FROM own WHERE billing_event.stripe_id = own.stripe_id
            RETURNING billing_event.stripe_id
            """,
            [timezone.now(), timezone.now(), AT_ONCE, timezone.now() + TURN],
        )
        taken = [row[0] for row in cursor.fetchall()]
    return list(Event.objects.filter(pk__in=taken).defer("payload").order_by("created_at", "stripe_id"))


def _work_on(events: list[Event]) -> int:
    """Look at each thing that these events name, once, and end the events that named it."""
    ended = 0
    about: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        about.setdefault((_kind(event), event.object_id), []).append(event)
    for (kind, object_id), those in about.items():
        try:
            known = LOOKS[kind](object_id, those[0].customer)
        except till.StripeAway as error:
            _put_off(those, str(error.why))
        except Exception as error:
            # A missing object is an end; any other fault is ours, is said, and is tried again.
            if isinstance(error, till.StripeRefused) and error.code == "resource_missing":
                ended += _end(those, Event.State.IGNORED, error="Stripe does not have it any more.")
                continue
            log.exception("%s: what %s says could not be taken in", those[0].stripe_id, those[0].type)
            _put_off(those, f"{type(error).__name__}: {error}", counted=True)
        else:
            ended += _end(those, Event.State.DONE if known else Event.State.IGNORED)
            for event in those:
                notices.after(event)
    failpoint("till.worked")
    return ended


def _kind(event: Event) -> str:
    return next(kind for start, (kind, _) in SUBJECTS.items() if event.type.startswith(start))


def _end(events: Iterable[Event], state: Event.State, *, error: str = "") -> int:
    with step("till.event_end"):
        return Event.objects.filter(pk__in=[event.pk for event in events], state=Event.State.WAITING).update(
            state=state, done_at=timezone.now(), error=error
        )


def _put_off(events: list[Event], why: str, *, counted: bool = False) -> None:
    """Try again later, later each time. `counted`: a fault of ours, given up after a while and shown to a person."""
    tried = max(event.attempts for event in events)
    own = Event.objects.filter(pk__in=[event.pk for event in events], state=Event.State.WAITING)
    with step("till.put_off"):
        if counted and tried >= MOST_ATTEMPTS:
            own.update(state=Event.State.FAILED, error=why[:300])
            log.error("%s was given up: %s", events[0].stripe_id, why)
            return
        pause = min(timedelta(seconds=2 ** min(tried, 12)), LONGEST_PAUSE)
        own.update(due_at=timezone.now() + pause, error=why[:300])


def _session(object_id: str, customer: str) -> bool:
    return checkout.fulfil(object_id) is not None


def _invoice(object_id: str, customer: str) -> bool:
    """An invoice and the subscription that it is of."""
    with alone(customer):
        if person_of(customer) is None:
            return False
        invoice = payments.fetch_invoice(object_id)
        payments.record_invoice(invoice)
        subscription = payments.subscription_of(invoice)
        if subscription:
            subscriptions.follow(subscription)
    return True


def _subscription(object_id: str, customer: str) -> bool:
    with alone(customer):
        return subscriptions.follow(object_id) is not None


def _money(object_id: str, customer: str) -> bool:
    """What became of the money of a payment. Where the purchase is not noted yet, it is, by its own invoice."""
    payment = Payment.objects.filter(stripe_intent=object_id).first()
    if payment is None:
        payment = _found_by_intent(object_id)
    if payment is None:
        return False
    with alone(payment.person.customer.stripe_id):
        payment = payments.refresh(payment)
        if payment.stripe_subscription:
            subscriptions.follow(payment.stripe_subscription)
    return True


def _found_by_intent(intent: str) -> Payment | None:
    """A refund or dispute may be told before the purchase itself: then look that up first."""
    sessions = till.fetch(lambda c: c.v1.checkout.sessions.list({"payment_intent": intent})).data
    if sessions:
        checkout.fulfil(sessions[0].id)
    else:
        paid = till.fetch(
            lambda c: c.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent}})
        ).data
        for each in paid:
            invoice = payments.fetch_invoice(payments.id_of(each.invoice))
            with alone(payments.id_of(invoice.customer)):
                payments.record_invoice(invoice)
    return Payment.objects.filter(stripe_intent=intent).first()


def _customer(object_id: str, customer: str) -> bool:
    with alone(object_id):
        if person_of(object_id) is None:
            return False
        note_deleted(object_id)
    return True


LOOKS: dict[str, Callable[[str, str], bool]] = {
    "session": _session,
    "invoice": _invoice,
    "subscription": _subscription,
    "money": _money,
    "customer": _customer,
}
