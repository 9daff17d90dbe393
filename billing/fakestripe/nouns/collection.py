"""Collecting an invoice: a card is asked, asked again after some days, and in the end nobody asks any more."""

from collections.abc import Callable

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.money import charges, intents
from billing.fakestripe.money.methods import default_for, named
from billing.fakestripe.nouns.invoices import finalize, intent_of

# What a subscription does when its invoice was paid, failed, or was given up. Subscriptions enter themselves here.
ON_PAID: list[Callable[[World, Obj], None]] = []
ON_FAILED: list[Callable[[World, Obj], None]] = []
ON_GIVEN_UP: list[Callable[[World, Obj], None]] = []


def mark_paid(world: World, invoice: Obj) -> None:
    """The invoice is paid. Events: invoice.paid, invoice.payment_succeeded, invoice_payment.paid."""
    world.later(invoice, "invoice.retry", None)
    invoice["status"] = "paid"
    invoice["attempted"] = True
    invoice["amount_paid"] = invoice["amount_due"]
    invoice["amount_remaining"] = 0
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": world.now}
    world.save(invoice, "invoice.updated", "invoice.paid", "invoice.payment_succeeded")
    for payment in world.store.where("invoice_payment", "invoice", invoice["id"]):
        if payment["status"] == "open":
            payment["status"] = "paid"
            payment["amount_paid"] = payment["amount_requested"]
            payment["status_transitions"] = {"canceled_at": None, "paid_at": world.now}
            world.save(payment, "invoice_payment.paid")
    for told in ON_PAID:
        told(world, invoice)


def collect(
    world: World,
    invoice: Obj,
    *,
    method: Obj | None = None,
    off_session: bool = True,
    retries: bool = True,
    return_url: str | None = None,
) -> bool:
    """Ask a card for an open invoice: the given one, or the subscription's or the customer's default.

    True if it is paid now. False if the card failed or its bank wants the holder present; then, with
    `retries`, the next attempt is planned.
    """
    if invoice["amount_due"] == 0:
        mark_paid(world, invoice)
        return True
    intent = intent_of(world, invoice)
    assert intent is not None
    subscription = world.find("subscription", invoice["_subscription"])
    chosen = method or default_for(world, invoice["customer"], subscription)
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if chosen is None:
        _failed(world, invoice, retries=retries)
        return False
    intents.confirm(world, intent, chosen, off_session=off_session, return_url=return_url, late=True)
    if intent["status"] == "succeeded":
        mark_paid(world, invoice)
        charges.settle(world, world.get("charge", intent["latest_charge"]))
        return True
    if intent["status"] == "requires_action":
        world.save(invoice, "invoice.payment_action_required")
        if not off_session:
            return False
    _failed(world, invoice, retries=retries)
    return False


def after_authentication(world: World, invoice: Obj, intent: Obj) -> bool:
    """Go on with an invoice when the bank's page has answered. True if it is paid now."""
    if intent["status"] == "succeeded":
        mark_paid(world, invoice)
        charges.settle(world, world.get("charge", intent["latest_charge"]))
        return True
    return False


def _failed(world: World, invoice: Obj, *, retries: bool) -> None:
    days = world.settings.retry_days
    done = invoice["attempt_count"]
    plans = retries and invoice["auto_advance"] and done <= len(days)
    at = world.now + days[done - 1] * 86_400 if plans else None
    invoice["next_payment_attempt"] = at
    world.later(invoice, "invoice.retry", at)
    world.save(invoice, "invoice.payment_failed", "invoice.updated")
    for told in ON_FAILED:
        told(world, invoice)
    if retries and at is None and invoice["auto_advance"]:
        invoice["auto_advance"] = False
        world.save(invoice, "invoice.updated")
        for told in ON_GIVEN_UP:
            told(world, invoice)


@due("invoice.retry")
def _retry(world: World, invoice: Obj) -> None:
    if invoice["status"] == "open":
        collect(world, invoice)


@due("invoice.finalize")
def finalize_and_collect(world: World, invoice: Obj) -> None:
    """The draft's hour is over."""
    if invoice["status"] != "draft":
        return
    subscription = world.find("subscription", invoice["_subscription"])
    pause = (subscription or {}).get("pause_collection")
    if pause and pause["behavior"] == "keep_as_draft":
        invoice["auto_advance"] = False
        world.save(invoice, "invoice.updated")
        return
    finalize(world, invoice)
    if pause and pause["behavior"] == "void":
        void(world, invoice)
    elif pause:
        mark_uncollectible(world, invoice)
    else:
        collect(world, invoice)


def void(world: World, invoice: Obj) -> None:
    """Nobody owes this any more."""
    _close_payment(world, invoice, "void_invoice")
    invoice["status"] = "void"
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"] = {**invoice["status_transitions"], "voided_at": world.now}
    world.save(invoice, "invoice.voided", "invoice.updated")


def mark_uncollectible(world: World, invoice: Obj) -> None:
    """Nobody expects this money any more; it may still be paid."""
    invoice["status"] = "uncollectible"
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    world.later(invoice, "invoice.retry", None)
    invoice["status_transitions"] = {**invoice["status_transitions"], "marked_uncollectible_at": world.now}
    world.save(invoice, "invoice.marked_uncollectible", "invoice.updated")


def _close_payment(world: World, invoice: Obj, reason: str) -> None:
    world.later(invoice, "invoice.retry", None)
    for payment in world.store.where("invoice_payment", "invoice", invoice["id"]):
        if payment["status"] == "open":
            payment["status"] = "canceled"
            payment["status_transitions"] = {"canceled_at": world.now, "paid_at": None}
            world.save(payment)
            intent = world.find("payment_intent", payment["_payment"])
            if intent is not None:
                intents.cancel(world, intent, reason)


def refusal(world: World, invoice: Obj) -> StripeError:
    """Why the card of this invoice was not charged, as the API tells it."""
    intent = intent_of(world, invoice)
    error = (intent or {}).get("last_payment_error")
    if intent is None or not error:
        if intent is not None and intent["status"] == "requires_action":
            return StripeError(
                "This invoice needs its holder's confirmation.",
                status=402,
                type="card_error",
                code="invoice_payment_intent_requires_action",
                payment_intent=public(intent),
            )
        return StripeError("There is no card to charge for this customer.", code="missing")
    more = {name: error.get(name) for name in ("decline_code", "charge", "payment_method")}
    return StripeError(error["message"], status=402, type="card_error", code=error["code"], **more)


@route("POST", "/v1/invoices/{}/pay")
def pay(world: World, p: Params, key: str) -> Obj:
    """Charge the card now."""
    invoice = world.get("invoice", key)
    method, off_session = p.text("payment_method"), p.flag("off_session", True)
    p.end()
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "draft":
        finalize(world, invoice)
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError(f"This invoice is {invoice['status']} and cannot be paid.", code="invoice_not_editable")
    chosen = named(world, method) if method else None
    if not collect(world, invoice, method=chosen, off_session=off_session, retries=False):
        raise refusal(world, invoice)
    return invoice


@route("POST", "/v1/invoices/{}/finalize")
def finalize_now(world: World, p: Params, key: str) -> Obj:
    """End the draft before its hour is over."""
    invoice = world.get("invoice", key)
    advance = p.flag("auto_advance", invoice["auto_advance"])
    p.end()
    if invoice["status"] != "draft":
        raise StripeError(
            f"This invoice is {invoice['status']}: only a draft is finalized.", code="invoice_not_editable"
        )
    finalize(world, invoice)
    if advance:
        world.later(invoice, "invoice.retry", world.now + 3600)
        invoice["next_payment_attempt"] = world.now + 3600
        world.save(invoice)
    return invoice


@route("POST", "/v1/invoices/{}/void")
def void_now(world: World, p: Params, key: str) -> Obj:
    """Void an open invoice."""
    invoice = world.get("invoice", key)
    p.end()
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError(f"This invoice is {invoice['status']} and cannot be voided.", code="invoice_not_editable")
    void(world, invoice)
    return invoice


@route("POST", "/v1/invoices/{}/mark_uncollectible")
def give_up_now(world: World, p: Params, key: str) -> Obj:
    """Write an open invoice off."""
    invoice = world.get("invoice", key)
    p.end()
    if invoice["status"] != "open":
        raise StripeError(
            f"This invoice is {invoice['status']} and cannot be written off.", code="invoice_not_editable"
        )
    mark_uncollectible(world, invoice)
    return invoice
