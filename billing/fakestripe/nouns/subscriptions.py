"""Subscriptions: retrieving, ending and pausing them, and what their invoices do to them."""

from billing.fakestripe.core.clock import period_after
from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, listing, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.nouns import collection
from billing.fakestripe.nouns.amounts import every, words
from billing.fakestripe.nouns.invoices import Draft, lines_of_subscription

STATES = (
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
)
RUNNING = ("active", "trialing", "past_due", "unpaid")


def new(
    world: World,
    customer: Obj,
    lines: list[tuple[Obj, int]],
    *,
    trial_days: int | None = None,
    trial_end: int | None = None,
    metadata: dict[str, str] | None = None,
    method: Obj | None = None,
    taxed: bool = False,
    description: str | None = None,
    missing_payment_method: str = "create_invoice",
) -> Obj:
    """A subscription to these prices; it is incomplete until its first invoice is paid. The caller saves it."""
    key = world.id("sub")
    ends = trial_end or (world.now + trial_days * 86_400 if trial_days else None)
    subscription: Obj = {
        "id": key,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": taxed,
            "liability": {"type": "self"} if taxed else None,
        },
        "billing_cycle_anchor": ends or world.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": world.now,
        "currency": lines[0][0]["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": method["id"] if method else None,
        "default_source": None,
        "default_tax_rates": [],
        "description": description,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "latest_invoice": None,
        "livemode": False,
        "metadata": dict(metadata or {}),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": world.now,
        "status": "trialing" if ends else "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": ends,
        "trial_settings": {"end_behavior": {"missing_payment_method": missing_payment_method}},
        "trial_start": world.now if ends else None,
    }
    items = [item_of(world, subscription, price, quantity) for price, quantity in lines]
    subscription["items"] = listing(f"/v1/subscription_items?subscription={key}", items)
    first = lines[0][0]["recurring"]
    end = ends or period_after(world.now, world.now, first["interval"], first["interval_count"])
    set_period(world, subscription, world.now, end)
    return subscription


def item_of(world: World, subscription: Obj, price: Obj, quantity: int) -> Obj:
    """One item: a price and how many of it."""
    return {
        "id": world.id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now,
        "current_period_end": world.now,
        "current_period_start": world.now,
        "discounts": [],
        "metadata": {},
        "price": public(price),
        "quantity": quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
    }


def set_period(world: World, subscription: Obj, start: int, end: int) -> None:
    """Let the present period be this one, and plan what happens at its end."""
    for item in subscription["items"]["data"]:
        item["current_period_start"] = start
        item["current_period_end"] = end
    plan(world, subscription)


def period(subscription: Obj) -> tuple[int, int]:
    """The present period; since 2025 it stands on the items, not on the subscription."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def plan(world: World, subscription: Obj) -> None:
    """Enter what is due for this subscription: its period's end, the notes before it, its planned end."""
    runs = subscription["status"] in RUNNING
    end = period(subscription)[1] if runs else None
    is_trial = subscription["status"] == "trialing"
    notice, warning = world.settings.upcoming_days * 86_400, world.settings.trial_warning_days * 86_400
    world.later(subscription, "subscription.period_end", end)
    early = end - notice if end and end - notice > world.now and not subscription["cancel_at_period_end"] else None
    world.later(subscription, "subscription.upcoming", early)
    warn = max(world.now, end - warning) if end and is_trial and not subscription.get("_was_warned") else None
    world.later(subscription, "subscription.trial_warning", warn)
    cancel_at = subscription["cancel_at"] if runs and not subscription["cancel_at_period_end"] else None
    world.later(subscription, "subscription.cancel_at", cancel_at)


def drafts(subscription: Obj, span: tuple[int, int], *, is_trial: bool = False) -> list[Draft]:
    """The lines of one whole period."""
    made = []
    for item in subscription["items"]["data"]:
        price, quantity = item["price"], item["quantity"]
        name = price["nickname"] or "Subscription"
        if is_trial:
            text = f"Free trial for {quantity} × {name}"
        else:
            text = f"{quantity} × {name} (at {words(price['unit_amount'], price['currency'])} {every(price)})"
        draft = lines_of_subscription(item, quantity, span, text)
        if is_trial:
            draft.amount = 0
        made.append(draft)
    return made


def discounts_of(world: World, subscription: Obj) -> list[Obj]:
    """The discounts that still run; a coupon for once is used up by the first invoice."""
    running = []
    for key in subscription["discounts"]:
        discount = world.store.objects[key]
        if discount["end"] is None or discount["end"] > world.now:
            running.append(discount)
    return running


def use_up_discounts(world: World, subscription: Obj) -> None:
    """Take away the discounts that were for once or are over. The caller saves the subscription."""
    kept = []
    for discount in discounts_of(world, subscription):
        if world.store.objects[discount["source"]["coupon"]]["duration"] != "once":
            kept.append(discount["id"])
    subscription["discounts"] = kept


def end_now(world: World, subscription: Obj, *, reason: str = "cancellation_requested") -> None:
    """The subscription ends at this moment. Event: customer.subscription.deleted."""
    subscription["status"] = "canceled"
    subscription["ended_at"] = world.now
    subscription["canceled_at"] = subscription["canceled_at"] or world.now
    subscription["cancellation_details"] = {**subscription["cancellation_details"], "reason": reason}
    subscription["pending_update"] = None
    subscription["_due"] = {}
    world.save(subscription, "customer.subscription.deleted")
    # Stripe stops collecting what is still open of it, and drops what was never finalized.
    for invoice in world.store.where("invoice", "_subscription", subscription["id"]):
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            invoice["auto_advance"] = False
            invoice["next_payment_attempt"] = None
            world.later(invoice, "invoice.retry", None)
            world.later(invoice, "invoice.finalize", None)
            world.save(invoice, "invoice.updated")


def _subscription_of(world: World, invoice: Obj) -> Obj | None:
    found = world.find("subscription", invoice["_subscription"])
    return found if found is not None and found["status"] not in ("canceled", "incomplete_expired") else None


def _paid(world: World, invoice: Obj) -> None:
    subscription = _subscription_of(world, invoice)
    if subscription is None:
        return
    if (
        subscription["status"] in ("incomplete", "past_due", "unpaid")
        and subscription["latest_invoice"] == invoice["id"]
    ):
        subscription["status"] = "active"
        world.later(subscription, "subscription.incomplete", None)
        plan(world, subscription)
        world.save(subscription, "customer.subscription.updated")


def _failed(world: World, invoice: Obj) -> None:
    subscription = _subscription_of(world, invoice)
    if subscription is not None and subscription["status"] in ("active", "trialing") and not invoice.get("_is_pending"):
        subscription["status"] = "past_due"
        plan(world, subscription)
        world.save(subscription, "customer.subscription.updated")


def _given_up(world: World, invoice: Obj) -> None:
    subscription = _subscription_of(world, invoice)
    if subscription is None or subscription["status"] != "past_due":
        return
    if world.settings.after_retries == "cancel":
        end_now(world, subscription, reason="payment_failed")
    elif world.settings.after_retries == "unpaid":
        subscription["status"] = "unpaid"
        world.save(subscription, "customer.subscription.updated")


collection.ON_PAID.append(_paid)
collection.ON_FAILED.append(_failed)
collection.ON_GIVEN_UP.append(_given_up)


@due("subscription.cancel_at")
def _cancel_at(world: World, subscription: Obj) -> None:
    end_now(world, subscription)


@due("subscription.incomplete")
def _expire(world: World, subscription: Obj) -> None:
    """Nobody paid the first invoice within 23 hours."""
    if subscription["status"] != "incomplete":
        return
    subscription["status"] = "incomplete_expired"
    subscription["ended_at"] = world.now
    subscription["_due"] = {}
    world.save(subscription, "customer.subscription.updated")
    invoice = world.find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        collection.void(world, invoice)


@route("GET", "/v1/subscriptions/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One subscription, canceled ones too."""
    p.end()
    return world.get("subscription", key)


@route("GET", "/v1/subscriptions")
def list_all(world: World, p: Params) -> Obj:
    """Subscriptions, newest first; without a status all that are not canceled."""
    customer, price, status = p.text("customer"), p.text("price"), p.choice("status", STATES)
    created = created_filter(p)
    p.choice("collection_method", ["charge_automatically"])
    found = world.store.where("subscription", "customer", customer) if customer else world.store.all("subscription")

    def fits(obj: Obj) -> bool:
        if status is None and obj["status"] == "canceled":
            return False
        if status == "ended" and obj["status"] not in ("canceled", "incomplete_expired"):
            return False
        if status not in (None, "all", "ended", obj["status"]):
            return False
        if price and all(item["price"]["id"] != price for item in obj["items"]["data"]):
            return False
        return created(obj)

    return page(world, p, "/v1/subscriptions", reversed(found), fits)


@route("DELETE", "/v1/subscriptions/{}")
def cancel(world: World, p: Params, key: str) -> Obj:
    """End it now."""
    subscription = world.get("subscription", key)
    details = p.below("cancellation_details")
    comment, feedback = details.text("comment"), details.text("feedback")
    if p.flag("invoice_now") or p.flag("prorate"):
        raise StripeError("The offline Stripe ends subscriptions without a final invoice.", param="invoice_now")
    p.end()
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise StripeError(f"No such subscription: '{key}'", status=404, code="resource_missing", param="id")
    subscription["cancellation_details"].update(comment=comment, feedback=feedback)
    end_now(world, subscription)
    return subscription


@route("DELETE", "/v1/customers/{}")
def delete_customer(world: World, p: Params, key: str) -> Obj:
    """Forget a customer; every subscription of theirs ends."""
    customer = world.get("customer", key)
    p.end()
    for subscription in world.store.where("subscription", "customer", key):
        if subscription["status"] in (*RUNNING, "incomplete", "paused"):
            end_now(world, subscription)
    customer["deleted"] = True
    world.save(customer)
    world.emit("customer.deleted", {name: value for name, value in public(customer).items() if name != "deleted"})
    return {"id": key, "object": "customer", "deleted": True}
