"""Invoices: what is owed, line by line, and what became of it."""

from dataclasses import dataclass
from typing import Any

from billing.fakestripe.core.params import Params
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, includes, listing, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, public
from billing.fakestripe.money.intents import new as new_intent
from billing.fakestripe.nouns.amounts import Cost, reckon, taxes

STATES = ("draft", "open", "paid", "uncollectible", "void")


@dataclass
class Draft:
    """One line before it stands on an invoice."""

    amount: int
    description: str
    period: tuple[int, int]
    parent: Obj | None
    price: Obj | None = None
    quantity: int = 1
    # A credit for unused time carries the discount that it was bought with, and takes no new one.
    discountable: bool = True


def item_parent(item: Obj, *, proration: bool = False, invoice_item: str | None = None) -> Obj:
    """The parent of a line that a subscription item brought about."""
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": invoice_item,
            "proration": proration,
            "proration_details": {"credited_items": None} if proration else None,
            "subscription": item["subscription"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }


def _line(world: World, invoice: Obj, draft: Draft, cost: Cost) -> Obj:
    price = draft.price
    return {
        "id": world.id("il"),
        "object": "line_item",
        "amount": draft.amount,
        "currency": invoice["currency"],
        "description": draft.description,
        "discount_amounts": [{"amount": amount, "discount": key} for key, amount in cost.discounts],
        "discountable": draft.discountable,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": dict(invoice["_line_metadata"]),
        "parent": draft.parent,
        "period": {"start": draft.period[0], "end": draft.period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": str(draft.amount // draft.quantity),
        }
        if price
        else None,
        "quantity": draft.quantity,
        "quantity_decimal": str(draft.quantity),
        "subtotal": draft.amount,
        "taxes": taxes(cost),
    }


def new(
    world: World,
    customer: Obj,
    drafts: list[Draft],
    *,
    currency: str,
    reason: str,
    subscription: Obj | None = None,
    discounts: list[Obj] | None = None,
    taxed: bool = False,
    period: tuple[int, int] | None = None,
    metadata: dict[str, str] | None = None,
    proration_date: int | None = None,
    draft_seconds: int = 0,
) -> Obj:
    """A draft invoice with its lines; `finalize` makes it binding. Event: invoice.created."""
    start, end = period or (world.now, world.now)
    parent: Obj | None = None
    if subscription is not None:
        details: Obj = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
        if proration_date is not None:
            details["subscription_proration_date"] = proration_date
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    key = world.id("in")
    invoice: Obj = {
        "id": key,
        "object": "invoice",
        "account_country": world.settings.account_country,
        "account_name": world.settings.account_name,
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": taxed,
            "liability": {"type": "self"} if taxed else None,
            "provider": "stripe" if taxed else None,
            "status": "complete" if taxed else None,
        },
        "automatically_finalizes_at": world.now + draft_seconds if draft_seconds else None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": world.now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [discount["id"] for discount in discounts or []],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": False,
        "metadata": dict(metadata or {}),
        "next_payment_attempt": world.now + draft_seconds if draft_seconds else None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": end,
        "period_start": start,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "test_clock": None,
        "total_pretax_credit_amounts": [],
        "webhooks_delivered_at": world.now,
        "_subscription": subscription["id"] if subscription else None,
        "_line_metadata": dict(subscription["metadata"]) if subscription else {},
        "_token": world.id("x", 40)[2:],
    }
    _enter_lines(world, invoice, drafts, discounts or [], taxed)
    if draft_seconds:
        world.later(invoice, "invoice.finalize", world.now + draft_seconds)
    world.save(invoice, "invoice.created")
    return invoice


def _enter_lines(world: World, invoice: Obj, drafts: list[Draft], discounts: list[Obj], taxed: bool) -> None:
    applied = [(discount["id"], world.store.objects[discount["source"]["coupon"]]) for discount in discounts]
    plain = [draft for draft in drafts if draft.discountable]
    costs = iter(reckon(world, [draft.amount for draft in plain], applied, taxed=taxed))
    bare = iter(reckon(world, [draft.amount for draft in drafts if not draft.discountable], [], taxed=taxed))
    rows = [(draft, next(costs if draft.discountable else bare)) for draft in drafts]
    lines = [_line(world, invoice, draft, cost) for draft, cost in rows]
    all_costs = [cost for _, cost in rows]
    subtotal = sum(draft.amount for draft in drafts)
    off = sum(cost.discounted for cost in all_costs)
    tax = sum(cost.tax for cost in all_costs)
    total = subtotal - off + tax
    whole = Cost(subtotal, [], tax, subtotal - off)
    invoice["lines"] = listing(f"/v1/invoices/{invoice['id']}/lines", lines)
    invoice["subtotal"] = subtotal
    invoice["subtotal_excluding_tax"] = subtotal
    invoice["total"] = total
    invoice["total_excluding_tax"] = total - tax
    invoice["total_taxes"] = taxes(whole)
    invoice["total_discount_amounts"] = [
        {
            "amount": sum(amount for cost in all_costs for key, amount in cost.discounts if key == applied_key),
            "discount": applied_key,
        }
        for applied_key, _ in applied
    ]
    due = max(0, total + min(0, invoice["starting_balance"])) if total > 0 else 0
    invoice["amount_due"] = invoice["amount_remaining"] = due


def finalize(world: World, invoice: Obj, *, intent: Obj | None = None) -> Obj:
    """Number it and make it binding. Negative totals become the customer's credit. Event: invoice.finalized.

    With an intent that is already paid (Checkout) that one becomes the invoice's payment.
    """
    customer = world.store.objects[invoice["customer"]]
    world.later(invoice, "invoice.finalize", None)
    invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    if invoice["total"] < 0:
        customer["balance"] = invoice["starting_balance"] + invoice["total"]
    elif invoice["starting_balance"] < 0:
        customer["balance"] = min(0, invoice["starting_balance"] + invoice["total"])
    world.save(customer, "customer.updated")
    invoice["ending_balance"] = customer["balance"]
    invoice["status"] = "open"
    invoice["automatically_finalizes_at"] = None
    invoice["effective_at"] = world.now
    invoice["status_transitions"] = {**invoice["status_transitions"], "finalized_at": world.now}
    address = f"{world.base_url}/i/{invoice['_token']}"
    invoice["hosted_invoice_url"] = address
    invoice["invoice_pdf"] = f"{address}/pdf"
    if invoice["amount_due"] > 0:
        _payment(world, invoice, intent)
    world.save(invoice, "invoice.finalized")
    return invoice


def _payment(world: World, invoice: Obj, intent: Obj | None) -> None:
    from_lines = invoice["lines"]["data"]
    if intent is None:
        description = from_lines[0]["description"] if from_lines else None
        intent = new_intent(
            world,
            amount=invoice["amount_due"],
            currency=invoice["currency"],
            customer=invoice["customer"],
            description=description,
            receipt_email=None,
        )
    made: Obj = {
        "id": world.id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": world.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
        "_payment": intent["id"],
    }
    world.save(made)


def intent_of(world: World, invoice: Obj) -> Obj | None:
    """The payment intent that collects this invoice, or None if nothing is due."""
    for payment in world.store.where("invoice_payment", "invoice", invoice["id"]):
        return world.find("payment_intent", payment["_payment"])
    return None


def lines_of_subscription(item: Obj, quantity: int, period: tuple[int, int], description: str) -> Draft:
    """The line of one period of a subscription item."""
    price = item["price"]
    return Draft(
        amount=price["unit_amount"] * quantity,
        description=description,
        period=period,
        parent=item_parent(item),
        price=price,
        quantity=quantity,
    )


@includes("invoice", "payments")
def _payments(world: World, invoice: Obj) -> Obj:
    found = [public(obj) for obj in world.store.where("invoice_payment", "invoice", invoice["id"])]
    return listing(f"/v1/invoices/{invoice['id']}/payments", found)


@includes("invoice", "confirmation_secret")
def _secret(world: World, invoice: Obj) -> Any:
    intent = intent_of(world, invoice)
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


@route("GET", "/v1/invoices/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One invoice."""
    p.end()
    return world.get("invoice", key)


@route("GET", "/v1/invoices")
def list_all(world: World, p: Params) -> Obj:
    """Invoices, newest first, by customer, subscription, status, way of collection or time."""
    customer, subscription = p.text("customer"), p.text("subscription")
    status, created = p.choice("status", STATES), created_filter(p)
    p.choice("collection_method", ["charge_automatically"])
    if subscription:
        found = world.store.where("invoice", "_subscription", subscription)
    elif customer:
        found = world.store.where("invoice", "customer", customer)
    else:
        found = world.store.all("invoice")
    return page(
        world,
        p,
        "/v1/invoices",
        reversed(found),
        lambda obj: (
            (not status or obj["status"] == status) and (not customer or obj["customer"] == customer) and created(obj)
        ),
    )


@route("GET", "/v1/invoices/{}/lines")
def list_lines(world: World, p: Params, key: str) -> Obj:
    """The lines of one invoice, in their order."""
    invoice = world.get("invoice", key)
    return page(world, p, f"/v1/invoices/{key}/lines", invoice["lines"]["data"])


@route("GET", "/v1/invoice_payments/{}")
def retrieve_payment(world: World, p: Params, key: str) -> Obj:
    """One payment of an invoice."""
    p.end()
    return world.get("invoice_payment", key)


@route("GET", "/v1/invoice_payments")
def list_payments(world: World, p: Params) -> Obj:
    """Which payment belongs to which invoice, by either."""
    invoice, status, created = p.text("invoice"), p.choice("status", ["open", "paid", "canceled"]), created_filter(p)
    payment = p.below("payment")
    payment.choice("type", ["payment_intent"])
    intent = payment.text("payment_intent")
    if invoice:
        found = world.store.where("invoice_payment", "invoice", invoice)
    elif intent:
        found = world.store.where("invoice_payment", "_payment", intent)
    else:
        found = world.store.all("invoice_payment")
    return page(
        world,
        p,
        "/v1/invoice_payments",
        reversed(found),
        lambda obj: (
            (not intent or obj["_payment"] == intent) and (not status or obj["status"] == status) and created(obj)
        ),
    )
