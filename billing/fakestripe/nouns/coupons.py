"""Coupons, the promotion codes that give them, and the discounts that they become."""

from billing.fakestripe.core.clock import after
from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World


def is_valid(world: World, coupon: Obj) -> bool:
    """Whether the coupon may still be redeemed."""
    limit, until = coupon["max_redemptions"], coupon["redeem_by"]
    return (
        not coupon.get("deleted")
        and (limit is None or coupon["times_redeemed"] < limit)
        and (until is None or until >= world.now)
    )


def code_for(world: World, code: str, customer: str | None) -> Obj:
    """The promotion code that a person typed, if this customer may use it now."""
    for promotion in world.store.all("promotion_code"):
        if promotion["code"].lower() == code.strip().lower() and is_open(world, promotion, customer):
            return promotion
    raise StripeError(f"The code {code.strip()} is not valid.", code="promotion_code_invalid", param="promotion_code")


def is_open(world: World, promotion: Obj, customer: str | None) -> bool:
    """Whether this promotion code may be used now by this customer."""
    limit, until = promotion["max_redemptions"], promotion["expires_at"]
    return (
        promotion["active"]
        and (limit is None or promotion["times_redeemed"] < limit)
        and (until is None or until >= world.now)
        and promotion["customer"] in (None, customer)
        and is_valid(world, world.store.objects[promotion["promotion"]["coupon"]])
    )


def check_restrictions(world: World, promotion: Obj, subtotal: int, customer: str | None) -> None:
    """Refuse a code that wants a larger or a first order."""
    least = promotion["restrictions"]["minimum_amount"]
    if least and subtotal < least:
        raise StripeError("This code needs a larger order.", code="promotion_code_invalid", param="promotion_code")
    if promotion["restrictions"]["first_time_transaction"] and customer:
        invoices = world.store.where("invoice", "customer", customer)
        bought = [charge for charge in world.store.where("charge", "customer", customer) if charge["paid"]]
        if bought or any(invoice["status"] == "paid" and invoice["total"] > 0 for invoice in invoices):
            raise StripeError("This code is for a first order.", code="promotion_code_invalid", param="promotion_code")


def discount(
    world: World,
    coupon: Obj,
    *,
    promotion: Obj | None,
    customer: str | None,
    subscription: str | None = None,
    session: str | None = None,
) -> Obj:
    """A coupon applied; counts as a redemption of it and of the promotion code."""
    months = coupon["duration_in_months"]
    made: Obj = {
        "id": world.id("di"),
        "object": "discount",
        "checkout_session": session,
        "customer": customer,
        "customer_account": None,
        "end": after(world.now, "month", months) if months else None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": promotion["id"] if promotion else None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": world.now,
        "subscription": subscription,
        "subscription_item": None,
    }
    world.save(made)
    coupon["times_redeemed"] += 1
    coupon["valid"] = is_valid(world, coupon)
    world.save(coupon, "coupon.updated")
    if promotion:
        promotion["times_redeemed"] += 1
        if promotion["max_redemptions"] is not None and promotion["times_redeemed"] >= promotion["max_redemptions"]:
            promotion["active"] = False
        world.save(promotion, "promotion_code.updated")
    if customer and subscription:
        world.emit("customer.discount.created", {**made})
    return made


@route("POST", "/v1/coupons")
def create(world: World, p: Params) -> Obj:
    """Enter a coupon, by percent or by amount."""
    key = p.text("id") or world.id("x", 8)[2:]
    percent, amount, currency = p.number("percent_off"), p.integer("amount_off"), p.text("currency")
    duration = p.choice("duration", ["once", "repeating", "forever"]) or "once"
    months, limit, until = p.integer("duration_in_months"), p.integer("max_redemptions"), p.integer("redeem_by")
    name, metadata = p.text("name"), p.metadata()
    if (percent is None) == (amount is None):
        raise StripeError("Give exactly one of percent_off and amount_off.", param="percent_off")
    if amount is not None and currency is None:
        raise StripeError("Missing required param: currency.", code="parameter_missing", param="currency")
    if duration == "repeating" and not months:
        raise StripeError("A repeating coupon needs duration_in_months.", param="duration_in_months")
    p.end()
    if world.store.get(key) is not None:
        raise StripeError(f"Coupon already exists: {key}", code="resource_already_exists", param="id")
    coupon: Obj = {
        "id": key,
        "object": "coupon",
        "amount_off": amount,
        "created": world.now,
        "currency": currency,
        "duration": duration,
        "duration_in_months": months,
        "livemode": False,
        "max_redemptions": limit,
        "metadata": merged({}, metadata),
        "name": name,
        "percent_off": percent,
        "redeem_by": until,
        "times_redeemed": 0,
        "valid": True,
    }
    world.save(coupon, "coupon.created")
    return coupon


@route("GET", "/v1/coupons/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One coupon."""
    p.end()
    return world.get("coupon", key)


@route("POST", "/v1/coupons/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change its name or metadata."""
    coupon = world.get("coupon", key)
    name, metadata = p.text("name") or coupon["name"], p.metadata()
    p.end()
    coupon.update(name=name, metadata=merged(coupon["metadata"], metadata))
    world.save(coupon, "coupon.updated")
    return coupon


@route("DELETE", "/v1/coupons/{}")
def delete(world: World, p: Params, key: str) -> Obj:
    """Remove a coupon; who has it keeps it."""
    coupon = world.get("coupon", key)
    p.end()
    coupon["deleted"] = True
    world.save(coupon, "coupon.deleted")
    return {"id": key, "object": "coupon", "deleted": True}


@route("GET", "/v1/coupons")
def list_all(world: World, p: Params) -> Obj:
    """Coupons, newest first."""
    return page(world, p, "/v1/coupons", world.store.newest_first("coupon"), created_filter(p))


@route("POST", "/v1/promotion_codes")
def create_code(world: World, p: Params) -> Obj:
    """Enter a code that gives a coupon."""
    promotion = p.below("promotion")
    promotion.choice("type", ["coupon"])
    coupon = world.get("coupon", promotion.need("coupon"), param="promotion[coupon]")
    code = p.text("code") or world.id("x", 8)[2:].upper()
    active, customer = p.flag("active", True), p.text("customer")
    until, limit, metadata = p.integer("expires_at"), p.integer("max_redemptions"), p.metadata()
    below = p.below("restrictions")
    first, least, least_currency = (
        below.flag("first_time_transaction"),
        below.integer("minimum_amount"),
        below.text("minimum_amount_currency"),
    )
    p.end()
    if any(other["active"] and other["code"].lower() == code.lower() for other in world.store.all("promotion_code")):
        raise StripeError(f"An active promotion code with `code: {code}` already exists.", param="code")
    made: Obj = {
        "id": world.id("promo"),
        "object": "promotion_code",
        "active": active,
        "code": code,
        "created": world.now,
        "customer": customer,
        "customer_account": None,
        "expires_at": until,
        "livemode": False,
        "max_redemptions": limit,
        "metadata": merged({}, metadata),
        "promotion": {"coupon": coupon["id"], "type": "coupon"},
        "restrictions": {
            "first_time_transaction": first,
            "minimum_amount": least,
            "minimum_amount_currency": least_currency,
        },
        "times_redeemed": 0,
    }
    world.save(made, "promotion_code.created")
    return made


@route("GET", "/v1/promotion_codes/{}")
def retrieve_code(world: World, p: Params, key: str) -> Obj:
    """One promotion code."""
    p.end()
    return world.get("promotion_code", key)


@route("POST", "/v1/promotion_codes/{}")
def update_code(world: World, p: Params, key: str) -> Obj:
    """Switch it on or off, or change its metadata."""
    promotion = world.get("promotion_code", key)
    active, metadata = p.flag("active", promotion["active"]), p.metadata()
    p.end()
    promotion.update(active=active, metadata=merged(promotion["metadata"], metadata))
    world.save(promotion, "promotion_code.updated")
    return promotion


@route("GET", "/v1/promotion_codes")
def list_codes(world: World, p: Params) -> Obj:
    """Promotion codes, newest first."""
    code, coupon, customer, created = p.text("code"), p.text("coupon"), p.text("customer"), created_filter(p)
    active = p.flag("active") if p.has("active") else None
    return page(
        world,
        p,
        "/v1/promotion_codes",
        world.store.newest_first("promotion_code"),
        lambda obj: (
            (not code or obj["code"].lower() == code.lower())
            and (not coupon or obj["promotion"]["coupon"] == coupon)
            and (not customer or obj["customer"] == customer)
            and (active is None or obj["active"] == active)
            and created(obj)
        ),
    )
