"""Refunds: money that goes back, at once, later, or only seemingly."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.money.balance import move
from billing.fakestripe.money.cards import BY_NUMBER

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def _charge_named(world: World, charge: str | None, intent: str | None) -> Obj:
    if charge:
        return world.get("charge", charge, param="charge")
    if not intent:
        raise StripeError(
            "Give the payment_intent or the charge to refund.", code="parameter_missing", param="payment_intent"
        )
    found = world.get("payment_intent", intent, param="payment_intent")
    latest = world.find("charge", found["latest_charge"])
    if latest is None or latest["status"] != "succeeded":
        raise StripeError(
            f"The payment intent {intent} has no successful charge to refund.",
            code="payment_intent_unexpected_state",
            param="payment_intent",
        )
    return latest


@route("POST", "/v1/refunds")
def create(world: World, p: Params) -> Obj:
    """Give money back, all of what is left unless an amount is given."""
    charge = _charge_named(world, p.text("charge"), p.text("payment_intent"))
    amount, reason, metadata = p.integer("amount"), p.choice("reason", REASONS), p.metadata()
    p.end()
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise StripeError(f"Charge {charge['id']} did not succeed and cannot be refunded.", param="charge")
    if left == 0:
        raise StripeError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", param="charge"
        )
    disputes = world.store.where("dispute", "charge", charge["id"])
    # One that was won has given the money back.
    if any(not dispute["is_charge_refundable"] and dispute["status"] != "won" for dispute in disputes):
        raise StripeError(
            f"Charge {charge['id']} has been charged back; its dispute moves the money.", code="charge_disputed"
        )
    asked = left if amount is None else amount
    if asked < 1:
        raise StripeError("Refund amount must be a positive integer.", code="parameter_invalid_integer", param="amount")
    if asked > left:
        raise StripeError(
            f"Refund amount ({asked}) is greater than unrefunded amount on charge ({left}).", param="amount"
        )
    return give_back(world, charge, asked, reason=reason, metadata=merged({}, metadata))


def give_back(world: World, charge: Obj, amount: int, *, reason: str | None, metadata: dict[str, str]) -> Obj:
    """Refund this much of the charge. Events: charge.refunded, refund.created, then refund.updated."""
    behaviour = BY_NUMBER[charge["_number"]].refund
    refund: Obj = {
        "id": world.id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": world.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if behaviour == "pending" else "succeeded",
        "transfer_reversal": None,
    }
    if behaviour == "pending":
        refund["pending_reason"] = "processing"
    entry = move(
        world,
        refund["id"],
        amount=-amount,
        currency=charge["currency"],
        type="refund",
        category="refund",
        text="REFUND FOR CHARGE",
    )
    refund["balance_transaction"] = entry["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    if behaviour:
        world.later(refund, f"refund.{behaviour}", world.now + world.settings.refund_seconds)
    world.save(refund, "refund.created")
    world.save(charge, "charge.refunded")
    if not behaviour:
        refund["destination_details"]["card"]["reference_status"] = "available"
        refund["destination_details"]["card"]["reference"] = refund["id"][-12:]
        world.save(refund, "refund.updated", "charge.refund.updated")
    return refund


@due("refund.pending")
def _succeed(world: World, refund: Obj) -> None:
    refund["status"] = "succeeded"
    refund.pop("pending_reason", None)
    world.save(refund, "refund.updated", "charge.refund.updated")


@due("refund.fails")
def fail(world: World, refund: Obj, reason: str = "expired_or_canceled_card") -> None:
    """The bank could not take the money back: it returns to the balance, and the charge is paid as before."""
    entry = move(
        world,
        refund["id"],
        amount=refund["amount"],
        currency=refund["currency"],
        type="refund_failure",
        category="refund_failure",
        text="REFUND FAILURE",
    )
    refund["status"] = "failed"
    refund["failure_reason"] = reason
    refund["failure_balance_transaction"] = entry["id"]
    charge = world.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    world.save(refund, "refund.updated", "charge.refund.updated")
    world.emit("refund.failed", public(refund))
    world.save(charge, "charge.updated")


@route("GET", "/v1/refunds/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One refund."""
    p.end()
    return world.get("refund", key)


@route("POST", "/v1/refunds/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change its metadata."""
    refund = world.get("refund", key)
    metadata = p.metadata()
    p.end()
    refund["metadata"] = merged(refund["metadata"], metadata)
    world.save(refund, "refund.updated", "charge.refund.updated")
    return refund


@route("GET", "/v1/refunds")
def list_all(world: World, p: Params) -> Obj:
    """Refunds, newest first, by charge, payment intent or time."""
    charge, intent, created = p.text("charge"), p.text("payment_intent"), created_filter(p)
    found = world.store.where("refund", "charge", charge) if charge else world.store.all("refund")
    return page(
        world,
        p,
        "/v1/refunds",
        reversed(found),
        lambda obj: (not intent or obj["payment_intent"] == intent) and created(obj),
    )


@route("GET", "/v1/charges/{}/refunds")
def list_of(world: World, p: Params, charge: str) -> Obj:
    """The refunds of one charge."""
    world.get("charge", charge)
    return page(world, p, f"/v1/charges/{charge}/refunds", reversed(world.store.where("refund", "charge", charge)))
