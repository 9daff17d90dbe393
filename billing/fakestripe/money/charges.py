"""Charges: what a card was asked for, and what it said."""

from collections.abc import Callable

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, includes, listing, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.money.balance import fee_on, move
from billing.fakestripe.money.cards import sentence
from billing.fakestripe.money.methods import card_of

# Called with every charge that succeeded; disputes enters itself here.
ON_SUCCESS: list[Callable[[World, Obj], None]] = []


def _details(method: Obj, *, authenticated: bool) -> Obj:
    card = method["card"]
    return {
        "card": {
            "amount_authorized": None,
            "authorization_code": None,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "regulated_status": "unregulated",
            "three_d_secure": {
                "authentication_flow": "challenge",
                "electronic_commerce_indicator": "05",
                "exemption_indicator": None,
                "result": "authenticated",
                "result_reason": None,
                "transaction_id": None,
                "version": "2.2.0",
            }
            if authenticated
            else None,
            "wallet": None,
        },
        "type": "card",
    }


def attempt(world: World, intent: Obj, method: Obj, *, authenticated: bool = False) -> Obj:
    """Ask the card. Answers the charge, whose status is succeeded or failed; events are written."""
    card = card_of(method)
    failed = card.code is not None
    charge: Obj = {
        "id": world.id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0 if failed else intent["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        # Filled a moment later, with charge.updated.
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "VAGLIO",
        "captured": not failed,
        "created": world.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": card.code,
        "failure_message": sentence(card.code, card.decline_code) if card.code else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": {
            "advice_code": "try_again_later" if failed else None,
            "network_advice_code": None,
            "network_decline_code": "05" if failed else None,
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": card.decline_code,
            "risk_level": "normal",
            "risk_score": 20,
            "seller_message": "The bank declined the payment." if failed else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        },
        "paid": not failed,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(method, authenticated=authenticated),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{world.base_url}/receipt/{intent['id']}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if failed else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
        "_number": card.number,
    }
    world.save(charge, "charge.failed" if failed else "charge.succeeded")
    return charge


def settle(world: World, charge: Obj) -> None:
    """Enter a succeeded charge in the balance, a moment after it: Stripe tells of it with charge.updated."""
    entry = move(
        world,
        charge["id"],
        amount=charge["amount"],
        currency=charge["currency"],
        type="charge",
        category="charge",
        text=charge["description"],
        fee=fee_on(charge["amount"]),
    )
    charge["balance_transaction"] = entry["id"]
    world.save(charge, "charge.updated")
    for told in ON_SUCCESS:
        told(world, charge)


@due("charge.settle")
def _settle_late(world: World, charge: Obj) -> None:
    settle(world, charge)


@includes("charge", "refunds")
def _refunds(world: World, charge: Obj) -> Obj:
    found = [public(obj) for obj in reversed(world.store.where("refund", "charge", charge["id"]))]
    return listing(f"/v1/charges/{charge['id']}/refunds", found[:10], has_more=len(found) > 10)


@route("GET", "/v1/charges/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One charge."""
    p.end()
    return world.get("charge", key)


@route("POST", "/v1/charges/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change what may be changed of a charge."""
    charge = world.get("charge", key)
    metadata, description = p.metadata(), p.text("description")
    marked = p.below("fraud_details").choice("user_report", ["fraudulent", "safe"])
    p.end()
    charge["metadata"] = merged(charge["metadata"], metadata)
    charge["description"] = description or charge["description"]
    if marked:
        charge["fraud_details"] = {"user_report": marked}
    world.save(charge, "charge.updated")
    return charge


@route("GET", "/v1/charges")
def list_all(world: World, p: Params) -> Obj:
    """Charges, newest first, by payment intent, customer or time."""
    intent, customer, created = p.text("payment_intent"), p.text("customer"), created_filter(p)
    if intent:
        found = reversed(world.store.where("charge", "payment_intent", intent))
    elif customer:
        found = reversed(world.store.where("charge", "customer", customer))
    else:
        found = reversed(world.store.all("charge"))
    return page(
        world, p, "/v1/charges", found, lambda obj: (not customer or obj["customer"] == customer) and created(obj)
    )


@route("POST", "/v1/charges")
def create(world: World, p: Params) -> Obj:
    """Not offered: every payment goes through a payment intent."""
    raise StripeError("The offline Stripe charges cards only through payment intents.", param="amount")
