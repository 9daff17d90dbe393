"""Payment intents: one purchase, through as many cards as it takes."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, public
from billing.fakestripe.money import charges
from billing.fakestripe.money.cards import sentence
from billing.fakestripe.money.methods import card_of, named


def new(
    world: World,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    receipt_email: str | None = None,
    setup_future_usage: str | None = None,
) -> Obj:
    """A payment intent that waits for a card."""
    key = world.id("pi")
    intent: Obj = {
        "id": key,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{key}_secret_{world.id('x', 16)[2:]}",
        "confirmation_method": "automatic",
        "created": world.now,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": dict(metadata or {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": receipt_email,
        "review": None,
        "setup_future_usage": setup_future_usage,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    world.save(intent, "payment_intent.created")
    return intent


def confirm(
    world: World, intent: Obj, method: Obj, *, off_session: bool, return_url: str | None = None, late: bool = False
) -> Obj:
    """Ask this card for the money. Answers the intent: succeeded, requires_action or requires_payment_method.

    With `late` a success is not yet entered in the balance; the caller does so with `charges.settle`.
    """
    card = card_of(method)
    intent["payment_method"] = method["id"]
    asks = card.asks == "always" or (card.asks == "unless_saved" and not method["_is_set_up"])
    if asks:
        intent["status"] = "requires_action"
        intent["last_payment_error"] = None
        intent["next_action"] = {
            "redirect_to_url": {"return_url": return_url, "url": f"{world.base_url}/3ds/{intent['id']}"},
            "type": "redirect_to_url",
        }
        if off_session:
            intent["last_payment_error"] = _error("card_declined", "authentication_required", method, None)
        world.save(intent, "payment_intent.requires_action")
        return intent
    return _charge(world, intent, method, authenticated=False, late=late)


def _charge(world: World, intent: Obj, method: Obj, *, authenticated: bool, late: bool) -> Obj:
    charge = charges.attempt(world, intent, method, authenticated=authenticated)
    intent["latest_charge"] = charge["id"]
    intent["next_action"] = None
    if charge["status"] == "failed":
        card = card_of(method)
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        intent["last_payment_error"] = _error(card.code or "card_declined", card.decline_code, method, charge["id"])
        world.save(intent, "payment_intent.payment_failed")
        return intent
    intent["status"] = "succeeded"
    intent["amount_received"] = intent["amount"]
    intent["last_payment_error"] = None
    world.save(intent, "payment_intent.succeeded")
    if not late:
        charges.settle(world, charge)
    return intent


def _error(code: str, decline_code: str | None, method: Obj, charge: str | None) -> Obj:
    error: Obj = {"code": code, "message": sentence(code, decline_code), "type": "card_error"}
    if decline_code and code == "card_declined":
        error["decline_code"] = decline_code
    if charge:
        error["charge"] = charge
    error["payment_method"] = public(method)
    return error


def authenticate(world: World, intent: Obj, *, passed: bool, late: bool = False) -> Obj:
    """What the bank's page answers: the card is charged, or the intent waits for another card."""
    method = world.get("payment_method", intent["payment_method"])
    if passed:
        return _charge(world, intent, method, authenticated=True, late=late)
    intent["status"] = "requires_payment_method"
    intent["next_action"] = None
    intent["payment_method"] = None
    intent["last_payment_error"] = {
        "code": "payment_intent_authentication_failure",
        "message": sentence("payment_intent_authentication_failure", None),
        "payment_method": public(method),
        "type": "invalid_request_error",
    }
    world.save(intent, "payment_intent.payment_failed")
    return intent


def cancel(world: World, intent: Obj, reason: str | None) -> None:
    """Close an intent that is not needed any more; one that succeeded stays."""
    if intent["status"] in ("succeeded", "canceled"):
        return
    intent["status"] = "canceled"
    intent["canceled_at"] = world.now
    intent["cancellation_reason"] = reason
    intent["next_action"] = None
    world.save(intent, "payment_intent.canceled")


@route("POST", "/v1/payment_intents")
def create(world: World, p: Params) -> Obj:
    """Create one, and with confirm=true charge a saved card at once."""
    amount, currency = p.integer("amount"), p.need("currency")
    if amount is None or amount < 1:
        raise StripeError("Missing required param: amount.", code="parameter_missing", param="amount")
    customer = p.text("customer")
    if customer:
        world.get("customer", customer, param="customer")
    method_key, confirms = p.text("payment_method"), p.flag("confirm")
    off_session, description, metadata = p.flag("off_session"), p.text("description"), p.metadata()
    p.texts("payment_method_types")
    automatic = p.below("automatic_payment_methods")
    automatic.flag("enabled"), automatic.text("allow_redirects")
    receipt_email, return_url = p.text("receipt_email"), p.text("return_url")
    usage = p.choice("setup_future_usage", ["off_session", "on_session"])
    p.end()
    intent = new(
        world,
        amount=amount,
        currency=currency,
        customer=customer,
        description=description,
        metadata=merged({}, metadata),
        receipt_email=receipt_email,
        setup_future_usage=usage,
    )
    if confirms and method_key:
        _confirmed(world, intent, named(world, method_key), off_session, return_url)
    return intent


def _confirmed(world: World, intent: Obj, method: Obj, off_session: bool, return_url: str | None) -> Obj:
    confirm(world, intent, method, off_session=off_session, return_url=return_url)
    error = intent["last_payment_error"]
    if error and intent["status"] in ("requires_payment_method", "requires_action"):
        more = {name: error.get(name) for name in ("decline_code", "charge", "payment_method")}
        raise StripeError(
            error["message"], status=402, type="card_error", code=error["code"], payment_intent=public(intent), **more
        )
    return intent


@route("POST", "/v1/payment_intents/{}/confirm")
def confirm_by_call(world: World, p: Params, key: str) -> Obj:
    """Charge a card for an open intent."""
    intent = world.get("payment_intent", key)
    method, return_url, off_session = p.need("payment_method"), p.text("return_url"), p.flag("off_session")
    p.end()
    if intent["status"] != "requires_payment_method":
        raise StripeError(
            f"This payment intent cannot be confirmed: its status is {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
    return _confirmed(world, intent, named(world, method), off_session, return_url)


@route("POST", "/v1/payment_intents/{}/cancel")
def cancel_by_call(world: World, p: Params, key: str) -> Obj:
    """Close an open intent."""
    intent = world.get("payment_intent", key)
    reason = p.choice("cancellation_reason", ["abandoned", "duplicate", "fraudulent", "requested_by_customer"])
    p.end()
    if intent["status"] in ("succeeded", "canceled"):
        raise StripeError(
            f"This payment intent cannot be canceled: its status is {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
    cancel(world, intent, reason)
    return intent


@route("GET", "/v1/payment_intents/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One payment intent."""
    p.end()
    return world.get("payment_intent", key)


@route("POST", "/v1/payment_intents/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change its description or metadata."""
    intent = world.get("payment_intent", key)
    metadata, description = p.metadata(), p.text("description")
    p.end()
    intent["metadata"] = merged(intent["metadata"], metadata)
    intent["description"] = description or intent["description"]
    world.save(intent)
    return intent


@route("GET", "/v1/payment_intents")
def list_all(world: World, p: Params) -> Obj:
    """Payment intents, newest first, by customer or time."""
    customer, created = p.text("customer"), created_filter(p)
    found = world.store.where("payment_intent", "customer", customer) if customer else world.store.all("payment_intent")
    return page(world, p, "/v1/payment_intents", reversed(found), created)
