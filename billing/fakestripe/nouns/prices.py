"""Prices: an amount, and how often it is due."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.nouns.products import create as create_product

INTERVALS = ("day", "week", "month", "year")
BEHAVIOURS = ("exclusive", "inclusive", "unspecified")


def _take_lookup_key(world: World, price: Obj, key: str | None, transfers: bool) -> None:
    """Give the price this lookup key, away from the one that has it if that was asked for."""
    if key is None:
        return
    for other in world.store.where("price", "lookup_key", key):
        if other["id"] == price["id"]:
            continue
        if not transfers:
            raise StripeError(
                f"A price ({other['id']}) already uses the lookup key {key}.",
                code="resource_already_exists",
                param="lookup_key",
            )
        other["lookup_key"] = None
        world.save(other, "price.updated")
    price["lookup_key"] = key


@route("POST", "/v1/prices")
def create(world: World, p: Params) -> Obj:
    """Enter a price; its amount never changes afterwards."""
    currency, amount = p.need("currency").lower(), p.integer("unit_amount")
    if amount is None:
        raise StripeError("Missing required param: unit_amount.", code="parameter_missing", param="unit_amount")
    if amount < 0:
        raise StripeError("This value must be 0 or more.", code="parameter_invalid_integer", param="unit_amount")
    product, data = p.text("product"), p.below("product_data")
    data_name, data_metadata = data.text("name"), data.metadata()
    recurring = p.below("recurring")
    interval = recurring.choice("interval", INTERVALS)
    every = recurring.integer("interval_count") or 1
    recurring.choice("usage_type", ["licensed"])
    key, transfers = p.text("lookup_key"), p.flag("transfer_lookup_key")
    nickname, active, behaviour = p.text("nickname"), p.flag("active", True), p.choice("tax_behavior", BEHAVIOURS)
    p.choice("billing_scheme", ["per_unit"])
    metadata = p.metadata()
    if p.has("recurring") and interval is None:
        raise StripeError(
            "Missing required param: recurring[interval].", code="parameter_missing", param="recurring[interval]"
        )
    p.end()
    if product is None:
        if data_name is None:
            raise StripeError("Missing required param: product.", code="parameter_missing", param="product")
        below = Params({"name": data_name, "metadata": data_metadata or {}})
        from_data = create_product(world, below)
        product = from_data["id"]
    else:
        world.get("product", product, param="product")
    price: Obj = {
        "id": world.id("price"),
        "object": "price",
        "active": active,
        "billing_scheme": "per_unit",
        "created": world.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": merged({}, metadata),
        "nickname": nickname,
        "product": product,
        "recurring": {"interval": interval, "interval_count": every, "meter": None, "usage_type": "licensed"}
        if interval
        else None,
        "tax_behavior": behaviour or "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if interval else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }
    _take_lookup_key(world, price, key, transfers)
    world.save(price, "price.created")
    return price


@route("GET", "/v1/prices/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One price."""
    p.end()
    return world.get("price", key)


@route("POST", "/v1/prices/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change what may be changed of a price: never its amount."""
    price = world.get("price", key)
    active, metadata = p.flag("active", price["active"]), p.metadata()
    lookup_key, transfers = p.text("lookup_key"), p.flag("transfer_lookup_key")
    nickname = p.text("nickname") if p.has("nickname") else price["nickname"]
    behaviour = p.choice("tax_behavior", BEHAVIOURS) or price["tax_behavior"]
    p.end()
    _take_lookup_key(world, price, lookup_key, transfers)
    price.update(active=active, nickname=nickname, tax_behavior=behaviour, metadata=merged(price["metadata"], metadata))
    world.save(price, "price.updated")
    return price


@route("GET", "/v1/prices")
def list_all(world: World, p: Params) -> Obj:
    """Prices, newest first, by lookup key, product, currency, kind or activity."""
    keys, product, currency = p.texts("lookup_keys"), p.text("product"), p.text("currency")
    type, created = p.choice("type", ["one_time", "recurring"]), created_filter(p)
    active = p.flag("active") if p.has("active") else None
    below = p.below("recurring")
    interval = below.choice("interval", INTERVALS)
    return page(
        world,
        p,
        "/v1/prices",
        world.store.newest_first("price"),
        lambda obj: (
            (not keys or obj["lookup_key"] in keys)
            and (not product or obj["product"] == product)
            and (not currency or obj["currency"] == currency)
            and (not type or obj["type"] == type)
            and (active is None or obj["active"] == active)
            and (not interval or (obj["recurring"] or {}).get("interval") == interval)
            and created(obj)
        ),
    )
