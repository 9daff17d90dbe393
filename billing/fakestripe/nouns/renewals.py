"""What happens to a subscription by itself: trials end, periods end, and notes come before."""

from billing.fakestripe.core.clock import period_after
from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.money.methods import default_for
from billing.fakestripe.nouns import invoices
from billing.fakestripe.nouns.collection import finalize_and_collect
from billing.fakestripe.nouns.invoices import Draft
from billing.fakestripe.nouns.subscriptions import (
    RUNNING,
    discounts_of,
    drafts,
    end_now,
    period,
    plan,
    set_period,
    use_up_discounts,
)


def bill(
    world: World,
    subscription: Obj,
    lines: list[Draft],
    *,
    reason: str,
    span: tuple[int, int] | None = None,
    draft_seconds: int = 0,
    proration_date: int | None = None,
) -> Obj:
    """A draft invoice of this subscription with what waits for the next one; it becomes the latest invoice."""
    pending = world.store.where("invoiceitem", "_subscription", subscription["id"])
    waiting = [_pending_draft(world, item) for item in pending if item["invoice"] is None]
    discounts = discounts_of(world, subscription)
    invoice = invoices.new(
        world,
        world.store.objects[subscription["customer"]],
        [*waiting, *lines],
        currency=subscription["currency"],
        reason=reason,
        subscription=subscription,
        discounts=discounts,
        taxed=subscription["automatic_tax"]["enabled"],
        period=span,
        draft_seconds=draft_seconds,
        proration_date=proration_date,
    )
    for item in pending:
        if item["invoice"] is None:
            item["invoice"] = invoice["id"]
            world.save(item)
    subscription["latest_invoice"] = invoice["id"]
    if any(draft.amount > 0 for draft in lines):
        use_up_discounts(world, subscription)
    return invoice


def _pending_draft(world: World, item: Obj) -> Draft:
    parent = {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": item["id"],
            "proration": True,
            "proration_details": {"credited_items": None},
            "subscription": item["_subscription"],
            "subscription_item": item["_item"],
        },
        "type": "subscription_item_details",
    }
    return Draft(
        amount=item["amount"],
        description=item["description"],
        period=(item["period"]["start"], item["period"]["end"]),
        parent=parent,
        price=world.store.get(item["_price"]),
        quantity=item["quantity"],
        discountable=False,
    )


def next_period(subscription: Obj) -> tuple[int, int]:
    """The period after the present one."""
    start = period(subscription)[1]
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    anchor = subscription["billing_cycle_anchor"]
    return start, period_after(anchor, start, recurring["interval"], recurring["interval_count"])


@due("subscription.period_end")
def _renew(world: World, subscription: Obj) -> None:
    """The period is over: the subscription ends if that was planned, else a new period begins and is billed."""
    if subscription["status"] not in RUNNING:
        return
    if subscription["cancel_at_period_end"]:
        end_now(world, subscription)
        return
    before, span = period(subscription), next_period(subscription)
    was_trial = subscription["status"] == "trialing"
    if was_trial and default_for(world, subscription["customer"], subscription) is None:
        behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if behaviour == "cancel":
            end_now(world, subscription)
            return
        if behaviour == "pause":
            subscription["status"] = "paused"
            plan(world, subscription)
            world.save(subscription, "customer.subscription.updated")
            world.emit("customer.subscription.paused", public(subscription))
            return
    if was_trial:
        subscription["status"] = "active"
    set_period(world, subscription, *span)
    draft_seconds = world.settings.draft_seconds
    invoice = bill(
        world,
        subscription,
        drafts(subscription, span),
        reason="subscription_cycle",
        span=before,
        draft_seconds=draft_seconds,
    )
    world.save(subscription, "customer.subscription.updated")
    if subscription["status"] == "unpaid":
        invoice["auto_advance"] = False
        world.later(invoice, "invoice.finalize", None)
        world.save(invoice, "invoice.updated")
    elif draft_seconds == 0:
        finalize_and_collect(world, invoice)


@due("subscription.upcoming")
def _upcoming(world: World, subscription: Obj) -> None:
    """A renewal is near: invoice.upcoming, whose invoice has no id because there is none yet."""
    if subscription["status"] not in RUNNING or subscription["cancel_at_period_end"]:
        return
    with world.attempt(keep=False):
        world.save(subscription)
        before, span = period(subscription), next_period(subscription)
        invoice = bill(world, subscription, drafts(subscription, span), reason="upcoming", span=before)
        shown = public(invoice)
    shown.pop("id")
    world.save(subscription)
    world.emit("invoice.upcoming", {**shown, "next_payment_attempt": period(subscription)[1]})


@due("subscription.trial_warning")
def _trial_warning(world: World, subscription: Obj) -> None:
    if subscription["status"] != "trialing":
        return
    subscription["_was_warned"] = True
    world.save(subscription)
    world.emit("customer.subscription.trial_will_end", public(subscription))


@due("subscription.unpause")
def _unpause(world: World, subscription: Obj) -> None:
    subscription["pause_collection"] = None
    world.save(subscription, "customer.subscription.updated")


def begin_now(world: World, subscription: Obj, *, reason: str) -> Obj:
    """A whole new period from this moment, billed at once. Answers the invoice, finalised and tried."""
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    subscription["billing_cycle_anchor"] = world.now
    end = period_after(world.now, world.now, recurring["interval"], recurring["interval_count"])
    set_period(world, subscription, world.now, end)
    span = (world.now, end)
    invoice = bill(world, subscription, drafts(subscription, span), reason=reason, span=span)
    world.save(subscription)
    finalize_and_collect(world, invoice)
    return invoice


@route("POST", "/v1/subscriptions/{}/resume")
def resume(world: World, p: Params, key: str) -> Obj:
    """Wake a paused subscription: a new period begins and is charged."""
    subscription = world.get("subscription", key)
    p.choice("billing_cycle_anchor", ["now"])
    p.choice("proration_behavior", ["none", "create_prorations", "always_invoice"])
    p.end()
    if subscription["status"] != "paused":
        raise StripeError(f"Only a paused subscription is resumed; this one is {subscription['status']}.")
    subscription["status"] = "active"
    begin_now(world, subscription, reason="subscription_update")
    world.save(subscription)
    world.emit("customer.subscription.resumed", public(subscription))
    return subscription
