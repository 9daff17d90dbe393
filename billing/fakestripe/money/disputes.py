"""Disputes: a cardholder asks the bank for the money, the bank takes it, and evidence may bring it back."""

from typing import Any

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.money import charges
from billing.fakestripe.money.balance import move
from billing.fakestripe.money.cards import BY_NUMBER

EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
OVER = ("won", "lost", "warning_closed", "prevented")


def open_one(
    world: World, charge: Obj, *, reason: str = "fraudulent", inquiry: bool = False, amount: int | None = None
) -> Obj:
    """Open a dispute on a charge. An inquiry moves no money; anything else takes it at once."""
    days = world.settings.inquiry_days if inquiry else world.settings.evidence_days
    brand = charge["payment_method_details"]["card"]["brand"]
    dispute: Obj = {
        "id": world.id("du"),
        "object": "dispute",
        "amount": amount or charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": world.now + days * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": brand,
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": brand,
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    world.later(dispute, "dispute.overdue", dispute["evidence_details"]["due_by"])
    charge["disputed"] = True
    if not inquiry:
        _withdraw(world, dispute)
    world.save(dispute, "charge.dispute.created")
    world.save(charge, "charge.updated")
    if not inquiry:
        world.emit("charge.dispute.funds_withdrawn", public(dispute))
    return dispute


def _withdraw(world: World, dispute: Obj) -> None:
    entry = move(
        world,
        dispute["id"],
        amount=-dispute["amount"],
        currency=dispute["currency"],
        type="adjustment",
        category="dispute",
        text=f"Chargeback withdrawal for {dispute['charge']}",
        fee=world.settings.dispute_fee,
    )
    dispute["balance_transactions"].append(public(entry))


def _reinstate(world: World, dispute: Obj, amount: int | None = None) -> None:
    entry = move(
        world,
        dispute["id"],
        amount=amount or dispute["amount"],
        currency=dispute["currency"],
        type="adjustment",
        category="dispute_reversal",
        text=f"Chargeback reversal for {dispute['charge']}",
    )
    dispute["balance_transactions"].append(public(entry))


def move_to(world: World, dispute: Obj, status: str) -> Obj:
    """Move a dispute on as the bank does, with the money and the events that belong to it."""
    was = dispute["status"]
    allowed = {
        "needs_response": ("under_review", "won", "lost"),
        "under_review": ("won", "lost", "needs_response"),
        "warning_needs_response": ("warning_under_review", "warning_closed", "needs_response"),
        "warning_under_review": ("warning_closed", "needs_response"),
        # A bank changes its mind, rarely: a lost dispute may be won after all, months later.
        "lost": ("won",),
    }
    if status not in allowed.get(was, ()):
        raise StripeError(f"A dispute that is {was} does not become {status}.", param="to")
    dispute["status"] = status
    if status in OVER:
        world.later(dispute, "dispute.overdue", None)
        world.later(dispute, "dispute.decide", None)
        dispute["_decision"] = None
    if was.startswith("warning") and status == "needs_response":
        dispute["is_charge_refundable"] = False
        dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
        dispute["evidence_details"]["due_by"] = world.now + world.settings.evidence_days * 86_400
        world.later(dispute, "dispute.overdue", dispute["evidence_details"]["due_by"])
        _withdraw(world, dispute)
        world.save(dispute, "charge.dispute.updated")
        world.emit("charge.dispute.funds_withdrawn", public(dispute))
        return dispute
    if status == "won":
        _reinstate(world, dispute)
    world.save(dispute, "charge.dispute.updated")
    if status == "won":
        world.emit("charge.dispute.funds_reinstated", public(dispute))
    if status in OVER and was != "lost":
        world.emit("charge.dispute.closed", public(dispute))
    return dispute


def reinstate_late(world: World, dispute: Obj, amount: int) -> Obj:
    """Give back part of a lost dispute's money without winning it."""
    if dispute["status"] != "lost":
        raise StripeError("Only a lost dispute is reinstated without being won.", param="reinstate")
    _reinstate(world, dispute, amount)
    world.save(dispute, "charge.dispute.updated")
    world.emit("charge.dispute.funds_reinstated", public(dispute))
    return dispute


def _of_card(world: World, charge: Obj) -> None:
    """Some test cards are disputed as soon as they were charged."""
    kind = BY_NUMBER[charge["_number"]].dispute
    if kind in ("fraudulent", "product_not_received"):
        open_one(world, charge, reason=kind)
    elif kind == "inquiry":
        open_one(world, charge, reason="fraudulent", inquiry=True)
    elif kind == "warning":
        warning: Obj = {
            "id": world.id("issfr"),
            "object": "radar.early_fraud_warning",
            "actionable": True,
            "charge": charge["id"],
            "created": world.now,
            "fraud_type": "made_with_stolen_card",
            "livemode": False,
            "payment_intent": charge["payment_intent"],
        }
        world.save(warning, "radar.early_fraud_warning.created")


charges.ON_SUCCESS.append(_of_card)


@due("dispute.overdue")
def _overdue(world: World, dispute: Obj) -> None:
    """Nobody answered in time: a dispute is lost, an inquiry is closed."""
    if dispute["status"] in OVER or dispute["status"].endswith("under_review"):
        return
    dispute["evidence_details"]["past_due"] = True
    move_to(world, dispute, "warning_closed" if dispute["status"].startswith("warning") else "lost")


@due("dispute.decide")
def _decide(world: World, dispute: Obj) -> None:
    decision = dispute.get("_decision")
    if dispute["status"] in OVER or decision is None:
        return
    move_to(world, dispute, decision)


def _submit(world: World, dispute: Obj) -> None:
    """Hand the evidence in. Stripe's two test sentences decide; anything else waits for a person's hand."""
    is_inquiry = dispute["status"].startswith("warning")
    details = dispute["evidence_details"]
    details["submission_count"] += 1
    text = (dispute["evidence"]["uncategorized_text"] or "").strip()
    move_to(world, dispute, "warning_under_review" if is_inquiry else "under_review")
    if text == "winning_evidence":
        dispute["_decision"] = "warning_closed" if is_inquiry else "won"
    elif text == "losing_evidence":
        dispute["_decision"] = "needs_response" if is_inquiry else "lost"
    if dispute.get("_decision"):
        world.later(dispute, "dispute.decide", world.now)
        world.save(dispute)


@route("POST", "/v1/disputes/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Add evidence, and hand it in unless submit=false."""
    dispute = world.get("dispute", key)
    given = p.below("evidence")
    evidence: dict[str, Any] = {name: given.text(name) for name in EVIDENCE if given.has(name)}
    submits = p.flag("submit", default=bool(evidence))
    metadata = p.metadata()
    p.end()
    if dispute["status"] in OVER and (evidence or submits):
        raise StripeError(f"This dispute is over: it is {dispute['status']}.", code="dispute_already_closed")
    dispute["evidence"].update(evidence)
    dispute["metadata"] = merged(dispute["metadata"], metadata)
    dispute["evidence_details"]["has_evidence"] = any(dispute["evidence"][name] for name in EVIDENCE)
    if submits and dispute["status"] in ("needs_response", "warning_needs_response"):
        _submit(world, dispute)
    else:
        world.save(dispute, "charge.dispute.updated")
    return dispute


@route("POST", "/v1/disputes/{}/close")
def close(world: World, p: Params, key: str) -> Obj:
    """Give up: the dispute is lost, and there is no way back."""
    dispute = world.get("dispute", key)
    p.end()
    if dispute["status"] in OVER:
        raise StripeError(f"This dispute is over: it is {dispute['status']}.", code="dispute_already_closed")
    is_inquiry = dispute["status"].startswith("warning")
    return move_to(world, dispute, "warning_closed" if is_inquiry else "lost")


@route("GET", "/v1/disputes/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One dispute."""
    p.end()
    return world.get("dispute", key)


@route("GET", "/v1/disputes")
def list_all(world: World, p: Params) -> Obj:
    """Disputes, newest first, by charge, payment intent or time."""
    charge, intent, created = p.text("charge"), p.text("payment_intent"), created_filter(p)
    found = world.store.where("dispute", "charge", charge) if charge else world.store.all("dispute")
    return page(
        world,
        p,
        "/v1/disputes",
        reversed(found),
        lambda obj: (not intent or obj["payment_intent"] == intent) and created(obj),
    )


@route("GET", "/v1/radar/early_fraud_warnings")
def list_warnings(world: World, p: Params) -> Obj:
    """Early fraud warnings, newest first."""
    charge, created = p.text("charge"), created_filter(p)
    return page(
        world,
        p,
        "/v1/radar/early_fraud_warnings",
        world.store.newest_first("radar.early_fraud_warning"),
        lambda obj: (not charge or obj["charge"] == charge) and created(obj),
    )


@route("GET", "/v1/radar/early_fraud_warnings/{}")
def retrieve_warning(world: World, p: Params, key: str) -> Obj:
    """One early fraud warning."""
    p.end()
    return world.get("radar.early_fraud_warning", key)
