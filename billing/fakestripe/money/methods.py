"""Payment methods: saved cards."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.money.cards import BY_ALIAS, BY_NUMBER, Card, read


def card_of(method: Obj) -> Card:
    """The test card behind a payment method."""
    return BY_NUMBER[method["_number"]]


def new(
    world: World,
    card: Card,
    *,
    customer: str | None = None,
    exp: tuple[int, int] = (12, 2034),
    name: str | None = None,
    email: str | None = None,
) -> Obj:
    """A payment method for this card; it is attached only by `attach`. The caller saves it."""
    return {
        "id": world.id("pm"),
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": {
            "address": {name: None for name in ("city", "country", "line1", "line2", "postal_code", "state")},
            "email": email,
            "name": name,
            "phone": None,
            "tax_id": None,
        },
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": exp[0],
            "exp_year": exp[1],
            "fingerprint": f"fp{card.number[-12:]}",
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": world.now,
        "customer": customer,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_number": card.number,
        # Saved with its holder present and confirmed: then some cards ask no more.
        "_is_set_up": False,
    }


def attach(world: World, method: Obj, customer: str, *, set_up: bool = False) -> Obj:
    """Save the card with the customer."""
    method["customer"] = customer
    method["_is_set_up"] = method["_is_set_up"] or set_up
    world.save(method, "payment_method.attached")
    return method


def default_for(world: World, customer: str, subscription: Obj | None = None) -> Obj | None:
    """The card that is charged when nobody is present: the subscription's own, else the customer's; or None."""
    own = world.find("payment_method", (subscription or {}).get("default_payment_method"))
    if own is not None:
        return own
    owner = world.find("customer", customer)
    chosen = (owner or {}).get("invoice_settings", {}).get("default_payment_method")
    return world.find("payment_method", chosen)


def named(world: World, key: str, *, param: str = "payment_method") -> Obj:
    """The payment method with this id; one of Stripe's `pm_card_…` names makes a new one."""
    card = BY_ALIAS.get(key)
    if card is not None:
        method = new(world, card)
        world.save(method)
        return method
    return world.get("payment_method", key, param=param)


@route("POST", "/v1/payment_methods")
def create(world: World, p: Params) -> Obj:
    """Create one from a card's number, which Stripe allows with test numbers."""
    p.choice("type", ["card"])
    card = p.below("card")
    number, month, year = card.need("number"), card.integer("exp_month") or 12, card.integer("exp_year") or 2034
    card.text("cvc")
    details = p.below("billing_details")
    name, email = details.text("name"), details.text("email")
    metadata = p.metadata()
    p.end()
    method = new(world, read(number), exp=(month, year), name=name, email=email)
    method["metadata"] = merged({}, metadata)
    world.save(method)
    return method


@route("GET", "/v1/payment_methods/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One payment method."""
    p.end()
    return world.get("payment_method", key)


@route("GET", "/v1/customers/{}/payment_methods/{}")
def retrieve_of(world: World, p: Params, customer: str, key: str) -> Obj:
    """One payment method of a customer."""
    p.end()
    return world.get("payment_method", key)


@route("POST", "/v1/payment_methods/{}/attach")
def attach_to(world: World, p: Params, key: str) -> Obj:
    """Save a card with a customer. A card that is always declined cannot be saved."""
    customer = world.get("customer", p.need("customer"), param="customer")
    p.end()
    method = named(world, key)
    card = card_of(method)
    if card.code and not card.attaches:
        raise StripeError(
            "Your card was declined.", status=402, type="card_error", code=card.code, decline_code=card.decline_code
        )
    return attach(world, method, customer["id"])


@route("POST", "/v1/payment_methods/{}/detach")
def detach(world: World, p: Params, key: str) -> Obj:
    """Forget a saved card."""
    p.end()
    method = world.get("payment_method", key)
    method["customer"] = None
    world.save(method, "payment_method.detached")
    return method


@route("GET", "/v1/payment_methods")
def list_all(world: World, p: Params) -> Obj:
    """The saved cards of a customer, newest first."""
    customer = p.text("customer")
    p.choice("type", ["card"])
    found = world.store.where("payment_method", "customer", customer) if customer else []
    return page(world, p, "/v1/payment_methods", reversed(found))


@route("GET", "/v1/customers/{}/payment_methods")
def list_of(world: World, p: Params, customer: str) -> Obj:
    """The saved cards of a customer, newest first."""
    world.get("customer", customer)
    p.choice("type", ["card"])
    found = world.store.where("payment_method", "customer", customer)
    return page(world, p, f"/v1/customers/{customer}/payment_methods", reversed(found))
