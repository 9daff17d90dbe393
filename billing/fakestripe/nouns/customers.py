"""Customers."""

from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, includes, listing, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, public

ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
TEXTS = ("description", "email", "name", "phone")


def new(world: World, *, email: str | None = None, name: str | None = None) -> Obj:
    """A customer of whom nothing else is known. The caller saves it."""
    return {
        "id": world.id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": world.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": email,
        "invoice_prefix": world.id("x", 8)[2:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": name,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _change(world: World, customer: Obj, p: Params) -> None:
    for name in TEXTS:
        if p.has(name):
            customer[name] = p.text(name)
    if p.has("address"):
        if p.was_emptied("address"):
            customer["address"] = None
        else:
            address = p.below("address")
            customer["address"] = {name: address.text(name) for name in ADDRESS}
    customer["tax_exempt"] = p.choice("tax_exempt", ["none", "exempt", "reverse"]) or customer["tax_exempt"]
    customer["preferred_locales"] = p.texts("preferred_locales") or customer["preferred_locales"]
    settings = p.below("invoice_settings")
    method = settings.text("default_payment_method")
    tax = p.below("tax")
    tax.text("ip_address"), tax.text("validate_location")
    balance = p.integer("balance")
    metadata = p.metadata()
    p.end()
    if balance is not None:
        customer["balance"] = balance
    if method:
        world.get("payment_method", method, param="invoice_settings[default_payment_method]")
        customer["invoice_settings"] = {**customer["invoice_settings"], "default_payment_method": method}
    customer["metadata"] = merged(customer["metadata"], metadata)


@route("POST", "/v1/customers")
def create(world: World, p: Params) -> Obj:
    """Enter a customer."""
    customer = new(world)
    method = p.text("payment_method")
    _change(world, customer, p)
    world.save(customer, "customer.created")
    if method:
        from_name = world.get("payment_method", method, param="payment_method")
        from_name["customer"] = customer["id"]
        world.save(from_name, "payment_method.attached")
    return customer


@route("GET", "/v1/customers/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One customer; of a deleted one only that it is deleted."""
    p.end()
    found = world.store.get(key)
    if found is not None and found["object"] == "customer" and found.get("deleted"):
        return {"id": key, "object": "customer", "deleted": True}
    return world.get("customer", key)


@route("POST", "/v1/customers/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change a customer."""
    customer = world.get("customer", key)
    with world.attempt():
        changed = {**customer}
        _change(world, changed, p)
        customer.update(changed)
        world.save(customer, "customer.updated")
    return customer


@route("GET", "/v1/customers")
def list_all(world: World, p: Params) -> Obj:
    """Customers, newest first, by e-mail (exactly as written) or time."""
    email, created = p.text("email"), created_filter(p)
    return page(
        world,
        p,
        "/v1/customers",
        world.store.newest_first("customer"),
        lambda obj: (not email or obj["email"] == email) and created(obj),
    )


@includes("customer", "subscriptions")
def _subscriptions(world: World, customer: Obj) -> Obj:
    found = [
        public(obj)
        for obj in reversed(world.store.where("subscription", "customer", customer["id"]))
        if obj["status"] != "canceled"
    ]
    return listing(f"/v1/customers/{customer['id']}/subscriptions", found[:10], has_more=len(found) > 10)
