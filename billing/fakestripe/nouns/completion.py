"""Completing a session: the card is asked, and only when it said yes is anything sold."""

from dataclasses import dataclass

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.money import charges, intents, methods
from billing.fakestripe.money.cards import read, sentence
from billing.fakestripe.nouns import coupons, customers, invoices, sessions, subscriptions
from billing.fakestripe.nouns.collection import mark_paid
from billing.fakestripe.nouns.invoices import Draft
from billing.fakestripe.nouns.renewals import bill


@dataclass
class Typed:
    """What a person typed into the page."""

    email: str
    name: str
    number: str
    exp_month: int
    exp_year: int


def needs_card(session: Obj) -> bool:
    """Whether a card must be typed: not for an order that costs nothing, unless it is to be kept for later."""
    return bool(session["amount_total"] > 0 or session["payment_method_collection"] == "always")


def pay(world: World, session: Obj, typed: Typed) -> str | None:
    """Do what the Pay button does. Answers the 3-D Secure page's address, or None when the session is complete.

    A card that fails raises a card_error; the session stays open and the person may try another.
    """
    if session["status"] != "open":
        raise StripeError(f"This session is {session['status']}.", code="checkout_session_closed")
    session["_typed"] = {"email": typed.email, "name": typed.name}
    if not needs_card(session):
        complete(world, session, None, None)
        return None
    card = read(typed.number)
    method = methods.new(
        world, card, exp=(typed.exp_month, typed.exp_year), name=typed.name or None, email=typed.email or None
    )
    world.save(method)
    session["_method"] = method["id"]
    if session["amount_total"] == 0:
        if card.code and not card.attaches:
            raise StripeError(
                sentence(card.code, card.decline_code),
                status=402,
                type="card_error",
                code=card.code,
                decline_code=card.decline_code,
            )
        # A card that is to be kept for later and asks: its holder is present now, so it is asked now.
        if card.asks:
            session["_awaits"] = "setup"
            world.save(session)
            return f"{world.base_url}/3ds/{session['id']}"
        complete(world, session, method, None)
        return None
    intent = _intent(world, session)
    intents.confirm(world, intent, method, off_session=False, return_url=session["url"], late=True)
    return _went_on(world, session, intent, method)


def _intent(world: World, session: Obj) -> Obj:
    """The payment intent of this session; a second card goes on with the same one."""
    data = session["_payment_data"]
    known = world.find("payment_intent", session.get("_intent"))
    if known is not None:
        known["amount"] = session["amount_total"]
        return known
    intent = intents.new(
        world,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        description=data["description"] or ("Subscription creation" if session["mode"] == "subscription" else None),
        metadata=data["metadata"],
        receipt_email=data["receipt_email"],
        setup_future_usage="off_session" if session["mode"] == "subscription" else data["setup_future_usage"],
    )
    session["_intent"] = intent["id"]
    intent["_session"] = session["id"]
    if session["mode"] == "payment":
        session["payment_intent"] = intent["id"]
    world.save(intent)
    world.save(session)
    return intent


def _went_on(world: World, session: Obj, intent: Obj, method: Obj) -> str | None:
    if intent["status"] == "requires_action":
        world.save(session)
        return f"{world.base_url}/3ds/{intent['id']}"
    if intent["status"] != "succeeded":
        world.save(session)
        error = intent["last_payment_error"]
        raise StripeError(
            error["message"], status=402, type="card_error", code=error["code"], decline_code=error.get("decline_code")
        )
    complete(world, session, method, intent)
    charges.settle(world, world.get("charge", intent["latest_charge"]))
    return None


def authenticated(world: World, session: Obj, *, passed: bool) -> None:
    """The bank's page has answered. A refusal raises a card_error and the session stays open."""
    if session.pop("_awaits", None) == "setup":
        if not passed:
            world.save(session)
            raise StripeError(
                sentence("payment_intent_authentication_failure", None),
                status=402,
                type="card_error",
                code="setup_intent_authentication_failure",
            )
        complete(world, session, world.get("payment_method", session["_method"]), None)
        return
    intent = world.get("payment_intent", session["_intent"])
    method = world.get("payment_method", session["_method"])
    if intent["status"] != "requires_action":
        raise StripeError("Nothing waits for this confirmation.", code="payment_intent_unexpected_state")
    intents.authenticate(world, intent, passed=passed, late=True)
    _went_on(world, session, intent, method)


def complete(world: World, session: Obj, method: Obj | None, intent: Obj | None) -> None:
    """Everything is paid or nothing is due: make the customer, the invoice, the subscription, and tell of it."""
    customer = _customer(world, session)
    if intent is not None and customer is not None and intent["customer"] is None:
        intent["customer"] = customer["id"]
        world.save(intent)
        charge = world.get("charge", intent["latest_charge"])
        charge["customer"] = customer["id"]
        world.save(charge)
    keeps = session["mode"] == "subscription" or session["_payment_data"]["setup_future_usage"]
    if method is not None and customer is not None and keeps:
        methods.attach(world, method, customer["id"], set_up=True)
    if session["mode"] == "subscription":
        assert customer is not None
        _sell_subscription(world, session, customer, method, intent)
    elif session["invoice_creation"]["enabled"] and customer is not None:
        _sell_with_invoice(world, session, customer, intent)
    elif customer is not None:
        _redeem(world, session, customer["id"], None)
    typed = session["_typed"]
    session["customer_details"] = {
        "address": customer["address"] if customer else None,
        "business_name": None,
        "email": typed["email"] or (customer or {}).get("email"),
        "individual_name": None,
        "name": typed["name"] or None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    session["collected_information"] = {"business_name": None, "individual_name": None, "shipping_details": None}
    session["status"] = "complete"
    session["payment_status"] = "paid" if session["amount_total"] > 0 else "no_payment_required"
    session["url"] = None
    world.later(session, "session.expire", None)
    world.save(session, "checkout.session.completed")


def _customer(world: World, session: Obj) -> Obj | None:
    """The buyer: the known one, or a new one where Stripe makes one; else None, a guest."""
    typed = session["_typed"]
    known = world.find("customer", session["customer"])
    if known is not None:
        if session["_customer_update"]["name"] == "auto" and typed["name"]:
            known["name"] = typed["name"]
        known["email"] = known["email"] or typed["email"] or None
        world.save(known, "customer.updated")
        return known
    needs_one = (
        session["mode"] == "subscription"
        or session["customer_creation"] == "always"
        or session["invoice_creation"]["enabled"]
        or session["_payment_data"]["setup_future_usage"]
    )
    if not needs_one:
        return None
    customer = customers.new(world, email=typed["email"] or None, name=typed["name"] or None)
    world.save(customer, "customer.created")
    session["customer"] = customer["id"]
    return customer


def _redeem(world: World, session: Obj, customer: str, subscription: str | None) -> list[Obj]:
    made = []
    for row in session["discounts"] or []:
        promotion = world.store.get(row["promotion_code"]) if row["promotion_code"] else None
        key = promotion["promotion"]["coupon"] if promotion else row["coupon"]
        made.append(
            coupons.discount(
                world,
                world.store.objects[key],
                promotion=promotion,
                customer=customer,
                subscription=subscription,
                session=None if subscription else session["id"],
            )
        )
    return made


def _once(world: World, session: Obj) -> list[Draft]:
    """The lines that are bought once."""
    made = []
    for price, quantity in sessions.lines(world, session):
        if price["recurring"]:
            continue
        product = world.store.get(price["product"]) or {}
        parent: Obj = {
            "invoice_item_details": {
                "invoice_item": world.id("ii"),
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
        made.append(
            Draft(
                amount=price["unit_amount"] * quantity,
                description=product.get("name", "Item"),
                period=(world.now, world.now),
                parent=parent,
                price=price,
                quantity=quantity,
            )
        )
    return made


def _sell_with_invoice(world: World, session: Obj, customer: Obj, intent: Obj | None) -> None:
    """An invoice after the payment, for a purchase that is no subscription."""
    discounts = _redeem(world, session, customer["id"], None)
    data = session["invoice_creation"]["invoice_data"]
    invoice = invoices.new(
        world,
        customer,
        _once(world, session),
        currency=session["currency"],
        reason="manual",
        discounts=discounts,
        taxed=session["automatic_tax"]["enabled"],
        metadata=data["metadata"],
    )
    invoice["description"] = data["description"]
    invoices.finalize(world, invoice, intent=intent)
    mark_paid(world, invoice)
    session["invoice"] = invoice["id"]


def _sell_subscription(world: World, session: Obj, customer: Obj, method: Obj | None, intent: Obj | None) -> None:
    data = session["_subscription_data"]
    recurring = [(price, quantity) for price, quantity in sessions.lines(world, session) if price["recurring"]]
    subscription = subscriptions.new(
        world,
        customer,
        recurring,
        trial_days=data["trial_period_days"],
        metadata=data["metadata"],
        method=method,
        taxed=session["automatic_tax"]["enabled"],
        description=data["description"],
        missing_payment_method=data["missing_payment_method"] or "create_invoice",
    )
    is_trial = subscription["status"] == "trialing"
    session["subscription"] = subscription["id"]
    subscription["discounts"] = [made["id"] for made in _redeem(world, session, customer["id"], subscription["id"])]
    world.save(subscription)
    span = subscriptions.period(subscription)
    lines = subscriptions.drafts(subscription, span, is_trial=is_trial) + _once(world, session)
    invoice = bill(world, subscription, lines, reason="subscription_create", span=(world.now, world.now))
    session["invoice"] = invoice["id"]
    world.save(subscription, "customer.subscription.created")
    invoices.finalize(world, invoice, intent=intent)
    mark_paid(world, invoice)
    world.save(subscription)
