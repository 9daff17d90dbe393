"""Checkout sessions: an address where somebody pays, and what they pay for."""

from typing import Any
from urllib.parse import urlsplit

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, includes, listing, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, due, public
from billing.fakestripe.nouns import coupons
from billing.fakestripe.nouns.amounts import Cost, reckon

DAY = 86_400


def lines(world: World, session: Obj) -> list[tuple[Obj, int]]:
    """The prices and quantities of a session."""
    return [(world.store.objects[line["price"]], line["quantity"]) for line in session["_lines"]]


def _coupons(world: World, session: Obj) -> list[tuple[str, Obj]]:
    found = []
    for row in session["discounts"] or []:
        promotion = world.store.get(row["promotion_code"]) if row["promotion_code"] else None
        key = promotion["promotion"]["coupon"] if promotion else row["coupon"]
        found.append((session["id"], world.store.objects[key]))
    return found


def costs(world: World, session: Obj) -> list[Cost]:
    """What each line costs now; during a trial recurring lines cost nothing."""
    is_trial = bool(session["_subscription_data"].get("trial_period_days"))
    amounts = [
        0 if is_trial and price["recurring"] else price["unit_amount"] * quantity
        for price, quantity in lines(world, session)
    ]
    return reckon(world, amounts, _coupons(world, session), taxed=session["automatic_tax"]["enabled"])


def reckon_totals(world: World, session: Obj) -> None:
    """Enter the totals. The caller saves the session."""
    each = costs(world, session)
    session["amount_subtotal"] = sum(cost.amount for cost in each)
    session["amount_total"] = sum(cost.total for cost in each)
    session["total_details"] = {
        "amount_discount": sum(cost.discounted for cost in each),
        "amount_shipping": 0,
        "amount_tax": sum(cost.tax for cost in each),
    }


def use_code(world: World, session: Obj, code: str) -> None:
    """Take the promotion code that a person typed; an empty one takes none."""
    if not session["allow_promotion_codes"]:
        return
    if not code.strip():
        session["discounts"] = []
    else:
        promotion = coupons.code_for(world, code, session["customer"])
        coupons.check_restrictions(world, promotion, session["amount_subtotal"], session["customer"])
        session["discounts"] = [{"coupon": None, "promotion_code": promotion["id"]}]
    reckon_totals(world, session)


def _read_lines(world: World, rows: list[Params], mode: str) -> list[Obj]:
    if not rows:
        raise StripeError("Missing required param: line_items.", code="parameter_missing", param="line_items")
    made = []
    for row in rows:
        price = world.get("price", row.need("price"), param=row.name("price"))
        quantity = row.integer("quantity")
        quantity = 1 if quantity is None else quantity
        if quantity < 1:
            raise StripeError("This value must be 1 or more.", param=row.name("quantity"))
        if not price["active"]:
            raise StripeError(f"The price {price['id']} is inactive.", code="price_inactive", param=row.name("price"))
        if mode == "payment" and price["type"] == "recurring":
            raise StripeError("A recurring price needs mode=subscription.", param=row.name("price"))
        made.append({"id": world.id("li"), "price": price["id"], "quantity": quantity})
    kinds = {world.store.objects[line["price"]]["type"] for line in made}
    if mode == "subscription" and "recurring" not in kinds:
        raise StripeError("mode=subscription needs a recurring price.", param="mode")
    if len({world.store.objects[line["price"]]["currency"] for line in made}) > 1:
        raise StripeError("All prices of a session share one currency.", param="line_items")
    return made


def _read_discounts(world: World, p: Params) -> list[Obj]:
    made = []
    for row in p.each("discounts"):
        coupon, code = row.text("coupon"), row.text("promotion_code")
        if code:
            promotion = world.get("promotion_code", code, param=row.name("promotion_code"))
            if not promotion["active"]:
                raise StripeError("This promotion code is not active.", param=row.name("promotion_code"))
        else:
            world.get("coupon", coupon or "", param=row.name("coupon"))
        made.append({"coupon": coupon, "promotion_code": code})
    return made


def _address(p: Params, name: str) -> str | None:
    url = p.text(name)
    if url is not None and urlsplit(url).scheme not in ("http", "https"):
        raise StripeError(f"Not a valid URL: {url}", code="url_invalid", param=name)
    return url


@route("POST", "/v1/checkout/sessions")
def create(world: World, p: Params) -> Obj:
    """Open a session; its `url` is where the person goes."""
    mode = p.choice("mode", ["payment", "subscription"])
    if mode is None:
        raise StripeError("Missing required param: mode.", code="parameter_missing", param="mode")
    p.choice("ui_mode", ["hosted_page"])
    sold = _read_lines(world, p.each("line_items"), mode)
    customer, email = p.text("customer"), p.text("customer_email")
    owner = world.get("customer", customer, param="customer") if customer else None
    if owner and email:
        raise StripeError("Give customer or customer_email, not both.", param="customer_email")
    success, cancel = _address(p, "success_url"), _address(p, "cancel_url")
    if success is None:
        raise StripeError("Missing required param: success_url.", code="parameter_missing", param="success_url")
    allows, discounts = p.flag("allow_promotion_codes"), _read_discounts(world, p)
    if allows and discounts:
        raise StripeError("Give discounts or allow_promotion_codes, not both.", param="discounts")
    taxed = p.below("automatic_tax").flag("enabled")
    for_subscription, for_payment = p.below("subscription_data"), p.below("payment_intent_data")
    if p.has("subscription_data") and mode != "subscription":
        raise StripeError("subscription_data needs mode=subscription.", param="subscription_data")
    if p.has("payment_intent_data") and mode != "payment":
        raise StripeError("payment_intent_data needs mode=payment.", param="payment_intent_data")
    trial = for_subscription.below("trial_settings").below("end_behavior")
    subscription_data: dict[str, Any] = {
        "trial_period_days": for_subscription.integer("trial_period_days"),
        "description": for_subscription.text("description"),
        "metadata": merged({}, for_subscription.metadata()),
        "missing_payment_method": trial.choice("missing_payment_method", ["cancel", "create_invoice", "pause"]),
    }
    payment_data: dict[str, Any] = {
        "metadata": merged({}, for_payment.metadata()),
        "description": for_payment.text("description"),
        "setup_future_usage": for_payment.choice("setup_future_usage", ["off_session", "on_session"]),
        "receipt_email": for_payment.text("receipt_email"),
    }
    invoicing = p.below("invoice_creation")
    invoiced = invoicing.flag("enabled")
    invoice_data = invoicing.below("invoice_data")
    invoice_metadata, invoice_text = invoice_data.metadata(), invoice_data.text("description")
    if p.has("invoice_creation") and mode != "payment":
        raise StripeError("invoice_creation needs mode=payment.", param="invoice_creation")
    updates = p.below("customer_update")
    customer_update = {name: updates.choice(name, ["auto", "never"]) for name in ("address", "name", "shipping")}
    creation = p.choice("customer_creation", ["always", "if_required"])
    collects = p.choice("payment_method_collection", ["always", "if_required"])
    expires = p.integer("expires_at") or world.now + DAY
    if not world.now + 1790 <= expires <= world.now + DAY + 60:
        raise StripeError("expires_at lies between 30 minutes and 24 hours from now.", param="expires_at")
    reference, metadata, locale = p.text("client_reference_id"), p.metadata(), p.text("locale")
    submit = p.choice("submit_type", ["auto", "book", "donate", "pay", "subscribe"])
    billing = p.choice("billing_address_collection", ["auto", "required"])
    p.texts("payment_method_types")
    tax_ids = p.below("tax_id_collection").flag("enabled")
    consent = p.below("consent_collection").choice("terms_of_service", ["none", "required"])
    saved = p.below("saved_payment_method_options")
    saved.choice("payment_method_save", ["enabled", "disabled"])
    p.end()
    key = f"cs_test_{world.id('x', 58)[2:]}"
    first = world.store.objects[sold[0]["price"]]
    session: Obj = {
        "id": key,
        "object": "checkout.session",
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": allows or None,
        "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": {
            "enabled": taxed,
            "liability": {"type": "self"} if taxed else None,
            "provider": "stripe" if taxed else None,
            "status": "complete" if taxed else None,
        },
        "billing_address_collection": billing,
        "cancel_url": cancel,
        "client_reference_id": reference,
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": {
            "payment_method_reuse_agreement": None,
            "promotions": "none",
            "terms_of_service": consent,
        }
        if consent
        else None,
        "created": world.now,
        "currency": first["currency"],
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer,
        "customer_account": None,
        "customer_creation": None if customer or mode != "payment" else creation or "if_required",
        "customer_details": {
            "address": None,
            "business_name": None,
            "email": owner["email"] if owner else email,
            "individual_name": None,
            "name": None,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": None,
        }
        if owner or email
        else None,
        "customer_email": email,
        "discounts": discounts,
        "expires_at": expires,
        "invoice": None,
        "invoice_creation": {
            "enabled": invoiced,
            "invoice_data": {
                "account_tax_ids": None,
                "custom_fields": None,
                "description": invoice_text,
                "footer": None,
                "issuer": None,
                "metadata": merged({}, invoice_metadata),
                "rendering_options": None,
            },
        }
        if mode == "payment"
        else None,
        "livemode": False,
        "locale": locale,
        "metadata": merged({}, metadata),
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": collects or ("always" if mode == "subscription" else "if_required"),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": submit,
        "subscription": None,
        "success_url": success,
        "tax_id_collection": {"enabled": tax_ids, "required": "never"},
        "total_details": None,
        "ui_mode": "hosted_page",
        "url": f"{world.base_url}/c/pay/{key}",
        "wallet_options": None,
        "_lines": sold,
        "_subscription_data": subscription_data,
        "_payment_data": payment_data,
        "_customer_update": customer_update,
    }
    world.later(session, "session.expire", session["expires_at"])
    reckon_totals(world, session)
    world.save(session)
    return session


@includes("checkout.session", "line_items")
def _line_items(world: World, shown: Obj) -> Obj:
    session = world.store.objects[shown["id"]]
    return listing(f"/v1/checkout/sessions/{session['id']}/line_items", _items(world, session))


def _items(world: World, session: Obj) -> list[Obj]:
    made = []
    for line, (price, quantity), cost in zip(
        session["_lines"], lines(world, session), costs(world, session), strict=True
    ):
        product = world.store.get(price["product"]) or {}
        made.append(
            {
                "id": line["id"],
                "object": "item",
                "adjustable_quantity": None,
                "amount_discount": cost.discounted,
                "amount_subtotal": cost.amount,
                "amount_tax": cost.tax,
                "amount_total": cost.total,
                "currency": price["currency"],
                "description": product.get("name"),
                "metadata": {},
                "price": public(price),
                "quantity": quantity,
            }
        )
    return made


@due("session.expire")
def expire(world: World, session: Obj) -> None:
    """Close a session that nobody paid. Event: checkout.session.expired."""
    if session["status"] != "open":
        return
    session["status"] = "expired"
    session["url"] = None
    world.later(session, "session.expire", None)
    world.save(session, "checkout.session.expired")


@route("POST", "/v1/checkout/sessions/{}/expire")
def expire_now(world: World, p: Params, key: str) -> Obj:
    """Close an open session."""
    session = world.get("checkout.session", key)
    p.end()
    if session["status"] != "open":
        raise StripeError(f"Only an open session expires; this one is {session['status']}.", param="session")
    expire(world, session)
    return session


@route("GET", "/v1/checkout/sessions/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One session."""
    p.end()
    return world.get("checkout.session", key)


@route("POST", "/v1/checkout/sessions/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change its metadata."""
    session = world.get("checkout.session", key)
    metadata = p.metadata()
    p.end()
    session["metadata"] = merged(session["metadata"], metadata)
    world.save(session)
    return session


@route("GET", "/v1/checkout/sessions/{}/line_items")
def list_line_items(world: World, p: Params, key: str) -> Obj:
    """What a session sells."""
    session = world.get("checkout.session", key)
    return page(world, p, f"/v1/checkout/sessions/{key}/line_items", _items(world, session))


@route("GET", "/v1/checkout/sessions")
def list_all(world: World, p: Params) -> Obj:
    """Sessions, newest first, by customer, e-mail, status, payment intent, subscription or time."""
    customer, intent, subscription = p.text("customer"), p.text("payment_intent"), p.text("subscription")
    status, created = p.choice("status", ["open", "complete", "expired"]), created_filter(p)
    email = p.below("customer_details").text("email")
    for field, wanted in (("payment_intent", intent), ("subscription", subscription), ("customer", customer)):
        if wanted:
            found = world.store.where("checkout.session", field, wanted)
            break
    else:
        found = world.store.all("checkout.session")
    return page(
        world,
        p,
        "/v1/checkout/sessions",
        reversed(found),
        lambda obj: (
            (not customer or obj["customer"] == customer)
            and (not intent or obj["payment_intent"] == intent)
            and (not subscription or obj["subscription"] == subscription)
            and (not status or obj["status"] == status)
            and (not email or (obj["customer_details"] or {}).get("email") == email)
            and created(obj)
        ),
    )
