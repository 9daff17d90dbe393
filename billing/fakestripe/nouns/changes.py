"""Changing a subscription: another price, with or without prorations; planned ends; pauses."""

from dataclasses import dataclass
from typing import Any

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.nouns import collection, coupons
from billing.fakestripe.nouns.invoices import Draft, item_parent
from billing.fakestripe.nouns.renewals import begin_now, bill, next_period
from billing.fakestripe.nouns.subscriptions import drafts, period, plan

PRORATIONS = ("none", "create_prorations", "always_invoice")
PAYMENTS = ("allow_incomplete", "error_if_incomplete", "default_incomplete", "pending_if_incomplete")


@dataclass
class Change:
    """One item that gets another price or another quantity."""

    item: str
    price: Obj
    quantity: int


def read_changes(world: World, subscription: Obj, rows: list[Params]) -> list[Change]:
    """The item changes that a call asks for."""
    changes = []
    known = {item["id"]: item for item in subscription["items"]["data"]}
    for row in rows:
        key = row.need("id")
        if key not in known:
            raise StripeError(f"No such subscription item: '{key}'", code="resource_missing", param=row.name("id"))
        wanted, quantity = row.text("price"), row.integer("quantity")
        if row.flag("deleted"):
            raise StripeError("The offline Stripe does not remove items.", param=row.name("deleted"))
        item = known[key]
        price = world.get("price", wanted, param=row.name("price")) if wanted else item["price"]
        if price["type"] != "recurring":
            raise StripeError(f"Price {price['id']} is not recurring.", param=row.name("price"))
        changes.append(Change(key, price, quantity if quantity is not None else item["quantity"]))
    return changes


def _prorations(world: World, subscription: Obj, changes: list[Change], at: int, *, whole: bool) -> list[Draft]:
    """Credit the unused time of the old prices and, unless a whole new period begins, charge the new ones for it."""
    start, end = period(subscription)
    if subscription["status"] == "trialing" or end <= start:
        return []
    share = max(0, end - at) / (end - start)
    made = []
    by_key = {item["id"]: item for item in subscription["items"]["data"]}
    for change in changes:
        item = by_key[change.item]
        old = item["price"]
        for sign, price, quantity, words in (
            (-1, old, item["quantity"], "Unused time on"),
            (1, change.price, change.quantity, "Remaining time on"),
        ):
            if sign > 0 and whole:
                continue
            amount = sign * round(price["unit_amount"] * quantity * share)
            name = price["nickname"] or _product_name(world, price)
            made.append(
                Draft(
                    amount=amount,
                    description=f"{words} {quantity} × {name}",
                    period=(at, end),
                    parent=item_parent(item, proration=True, invoice_item=world.id("ii")),
                    price=price,
                    quantity=quantity,
                    discountable=False,
                )
            )
    return made


def _product_name(world: World, price: Obj) -> str:
    return str((world.store.get(price["product"]) or {}).get("name", "the plan"))


def apply(world: World, subscription: Obj, changes: list[Change]) -> None:
    """Put the new prices in place. The caller saves the subscription."""
    wanted = {change.item: change for change in changes}
    for item in subscription["items"]["data"]:
        change = wanted.get(item["id"])
        if change is not None:
            item["price"] = public(change.price)
            item["quantity"] = change.quantity


def change_items(
    world: World, subscription: Obj, changes: list[Change], *, prorations: str, payment: str, at: int | None = None
) -> Obj | None:
    """Change prices. Answers the invoice that this brought about at once, or None.

    A price of another interval begins a whole new period, which is always billed at once.
    """
    moment = at or world.now
    if all(
        (change.price["id"], change.quantity) == (item["price"]["id"], item["quantity"])
        for change in changes
        for item in subscription["items"]["data"]
        if item["id"] == change.item
    ):
        return None
    before = subscription["items"]["data"][0]["price"]["recurring"]
    after = changes[0].price["recurring"]
    whole = (before["interval"], before["interval_count"]) != (after["interval"], after["interval_count"])
    trialing = subscription["status"] == "trialing"
    lines = [] if prorations == "none" else _prorations(world, subscription, changes, moment, whole=whole)
    kept = [(item, item["price"], item["quantity"]) for item in subscription["items"]["data"]]
    apply(world, subscription, changes)
    if whole and not trialing:
        for line in lines:
            _keep_for_next(world, subscription, line)
        invoice = begin_now(world, subscription, reason="subscription_update")
    elif prorations == "always_invoice" and lines:
        span = period(subscription)
        invoice = bill(world, subscription, lines, reason="subscription_update", span=span, proration_date=moment)
        invoice["_is_pending"] = payment == "pending_if_incomplete"
        world.save(subscription)
        collection.finalize_and_collect(world, invoice)
    else:
        for line in lines:
            _keep_for_next(world, subscription, line)
        plan(world, subscription)
        return None
    if invoice["status"] == "paid":
        return invoice
    if payment == "error_if_incomplete":
        raise collection.refusal(world, invoice)
    if payment == "pending_if_incomplete":
        for item, price, quantity in kept:
            item["price"], item["quantity"] = price, quantity
        subscription["pending_update"] = {
            "billing_cycle_anchor": None,
            "expires_at": world.now + 23 * 3600,
            "subscription_items": [
                {**public(item), "price": public(change.price), "quantity": change.quantity}
                for change in changes
                for item in subscription["items"]["data"]
                if item["id"] == change.item
            ],
            "trial_end": None,
            "trial_from_plan": None,
        }
        subscription["_pending_invoice"] = invoice["id"]
        world.later(subscription, "subscription.pending_expires", world.now + 23 * 3600)
    return invoice


def _keep_for_next(world: World, subscription: Obj, line: Draft) -> None:
    """A proration that waits for the next invoice."""
    assert line.parent is not None
    assert line.price is not None
    details = line.parent["subscription_item_details"]
    item: dict[str, Any] = {
        "id": details["invoice_item"],
        "object": "invoiceitem",
        "amount": line.amount,
        "created": world.now,
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "description": line.description,
        "invoice": None,
        "period": {"start": line.period[0], "end": line.period[1]},
        "quantity": line.quantity,
        "_subscription": subscription["id"],
        "_item": details["subscription_item"],
        "_price": line.price["id"],
    }
    world.save(item)


@due("subscription.pending_expires")
def _pending_expires(world: World, subscription: Obj) -> None:
    if subscription["pending_update"] is None:
        return
    subscription["pending_update"] = None
    invoice = world.find("invoice", subscription.get("_pending_invoice"))
    if invoice is not None and invoice["status"] == "open":
        collection.void(world, invoice)
    world.save(subscription, "customer.subscription.updated")
    world.emit("customer.subscription.pending_update_expired", public(subscription))


def _pending_paid(world: World, invoice: Obj) -> None:
    subscription = world.find("subscription", invoice["_subscription"])
    if subscription is None or subscription.get("_pending_invoice") != invoice["id"]:
        return
    wanted = subscription["pending_update"]
    if wanted is None:
        return
    items = wanted["subscription_items"]
    apply(world, subscription, [Change(item["id"], item["price"], item["quantity"]) for item in items])
    subscription["pending_update"] = None
    world.later(subscription, "subscription.pending_expires", None)
    world.save(subscription, "customer.subscription.updated")
    world.emit("customer.subscription.pending_update_applied", public(subscription))


collection.ON_PAID.append(_pending_paid)


@route("POST", "/v1/subscriptions/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change a subscription; if a payment must succeed and does not, nothing is changed."""
    subscription = world.get("subscription", key)
    changes = read_changes(world, subscription, p.each("items"))
    prorations = p.choice("proration_behavior", PRORATIONS) or "create_prorations"
    payment = p.choice("payment_behavior", PAYMENTS) or "allow_incomplete"
    at = p.integer("proration_date")
    at_end = p.flag("cancel_at_period_end", subscription["cancel_at_period_end"])
    cancel_at = None if p.was_emptied("cancel_at") else p.integer("cancel_at") if p.has("cancel_at") else 0
    ends_trial = p.text("trial_end")
    pauses, unpauses = p.has("pause_collection"), p.was_emptied("pause_collection")
    pause = p.below("pause_collection")
    behaviour = pause.choice("behavior", ["keep_as_draft", "mark_uncollectible", "void"])
    resumes_at = pause.integer("resumes_at")
    method, metadata, description = p.text("default_payment_method"), p.metadata(), p.text("description")
    details = p.below("cancellation_details")
    comment, feedback = details.text("comment"), details.text("feedback")
    coupon_rows = [(row.text("coupon"), row.text("promotion_code")) for row in p.each("discounts")]
    if method:
        world.get("payment_method", method, param="default_payment_method")
    if ends_trial not in (None, "now"):
        raise StripeError("The offline Stripe ends a trial only now.", param="trial_end")
    p.end()
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise StripeError(f"A subscription that is {subscription['status']} cannot be changed.")
    with world.attempt():
        world.save(subscription)
        if at_end != subscription["cancel_at_period_end"]:
            plan_end(subscription, at_end, now=world.now)
        if cancel_at != 0:
            subscription["cancel_at"] = cancel_at
            subscription["canceled_at"] = world.now if cancel_at else None
        if comment or feedback:
            subscription["cancellation_details"].update(comment=comment, feedback=feedback)
        if pauses:
            if not unpauses and behaviour is None:
                raise StripeError(
                    "Missing required param: pause_collection[behavior].",
                    code="parameter_missing",
                    param="pause_collection[behavior]",
                )
            subscription["pause_collection"] = None if unpauses else {"behavior": behaviour, "resumes_at": resumes_at}
            world.later(subscription, "subscription.unpause", None if unpauses else resumes_at)
        subscription["default_payment_method"] = method or subscription["default_payment_method"]
        subscription["description"] = description or subscription["description"]
        subscription["metadata"] = merged(subscription["metadata"], metadata)
        for coupon_key, code_key in coupon_rows:
            _discount(world, subscription, coupon_key, code_key)
        if changes:
            change_items(world, subscription, changes, prorations=prorations, payment=payment, at=at)
        if ends_trial and subscription["status"] == "trialing":
            subscription["trial_end"] = world.now
            subscription["status"] = "active"
            begin_now(world, subscription, reason="subscription_update")
        plan(world, subscription)
        world.save(subscription, "customer.subscription.updated")
    return subscription


def plan_end(subscription: Obj, at_end: bool, *, now: int) -> None:
    """Let it end with its period, or go on after all. The caller plans and saves."""
    subscription["cancel_at_period_end"] = at_end
    subscription["cancel_at"] = period(subscription)[1] if at_end else None
    subscription["canceled_at"] = now if at_end else None
    subscription["cancellation_details"] = {
        **subscription["cancellation_details"],
        "reason": "cancellation_requested" if at_end else None,
    }


def _discount(world: World, subscription: Obj, coupon_key: str | None, code_key: str | None) -> None:
    promotion = world.get("promotion_code", code_key, param="discounts") if code_key else None
    key = promotion["promotion"]["coupon"] if promotion else coupon_key
    coupon = world.get("coupon", key or "", param="discounts")
    made = coupons.discount(
        world, coupon, promotion=promotion, customer=subscription["customer"], subscription=subscription["id"]
    )
    subscription["discounts"] = [made["id"]]


@route("POST", "/v1/invoices/create_preview")
def preview(world: World, p: Params) -> Obj:
    """What the next invoice would be, or the one that a change of price would bring about. Nothing is kept."""
    customer, key = p.text("customer"), p.text("subscription")
    details = p.below("subscription_details")
    if key is None:
        raise StripeError("Missing required param: subscription.", code="parameter_missing", param="subscription")
    subscription = world.get("subscription", key, param="subscription")
    changes = read_changes(world, subscription, details.each("items"))
    prorations = details.choice("proration_behavior", PRORATIONS) or "create_prorations"
    at = details.integer("proration_date")
    ends = details.flag("cancel_at_period_end")
    p.choice("preview_mode", ["next"])
    p.end()
    if customer and subscription["customer"] != customer:
        raise StripeError(f"Subscription {key} belongs to another customer.", param="customer")
    if ends or subscription["cancel_at_period_end"] or subscription["status"] == "canceled":
        raise StripeError(
            "There is no upcoming invoice: the subscription ends.", status=404, code="invoice_upcoming_none"
        )
    with world.attempt(keep=False):
        world.save(subscription)
        invoice = None
        if changes:
            invoice = change_items(
                world, subscription, changes, prorations=prorations, payment="allow_incomplete", at=at
            )
        if invoice is None:
            before, span = period(subscription), next_period(subscription)
            invoice = bill(world, subscription, drafts(subscription, span), reason="upcoming", span=before)
        shown = public(invoice)
    shown.update(
        id=f"upcoming_{invoice['id']}",
        status="draft",
        number=None,
        billing_reason="upcoming",
        hosted_invoice_url=None,
        invoice_pdf=None,
        attempted=False,
        attempt_count=0,
        amount_paid=0,
        amount_remaining=shown["amount_due"],
        auto_advance=False,
    )
    return shown
