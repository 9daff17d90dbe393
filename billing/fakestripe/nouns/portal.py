"""The billing portal: its configurations and the sessions in which a customer uses it."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World

OPTIONS = ("too_expensive", "missing_features", "switched_service", "unused", "other")
MODES = ("at_period_end", "immediately")
PRORATIONS = ("none", "create_prorations", "always_invoice")


def _new(world: World) -> Obj:
    return {
        "id": world.id("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": world.now,
        "default_return_url": None,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": False},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True, "payment_method_configuration": None},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": False, "options": list(OPTIONS)},
                "enabled": True,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": "unchanged",
                "default_allowed_updates": [],
                "enabled": False,
                "products": [],
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": world.now,
    }


def default(world: World) -> Obj:
    """The configuration that is used when none is named."""
    for known in world.store.all("billing_portal.configuration"):
        if known["is_default"]:
            return known
    made = _new(world)
    made["is_default"] = True
    world.save(made, "billing_portal.configuration.created")
    return made


def _change(made: Obj, p: Params) -> None:
    profile = p.below("business_profile")
    for name in ("headline", "privacy_policy_url", "terms_of_service_url"):
        made["business_profile"][name] = profile.text(name) or made["business_profile"][name]
    features, have = p.below("features"), made["features"]
    for name in ("invoice_history", "payment_method_update"):
        have[name]["enabled"] = features.below(name).flag("enabled", have[name]["enabled"])
    details = features.below("customer_update")
    have["customer_update"]["enabled"] = details.flag("enabled", have["customer_update"]["enabled"])
    have["customer_update"]["allowed_updates"] = (
        details.texts("allowed_updates") or have["customer_update"]["allowed_updates"]
    )
    ending, end = features.below("subscription_cancel"), have["subscription_cancel"]
    end["enabled"] = ending.flag("enabled", end["enabled"])
    end["mode"] = ending.choice("mode", MODES) or end["mode"]
    end["proration_behavior"] = ending.choice("proration_behavior", PRORATIONS) or end["proration_behavior"]
    changing, change = features.below("subscription_update"), have["subscription_update"]
    change["enabled"] = changing.flag("enabled", change["enabled"])
    change["default_allowed_updates"] = changing.texts("default_allowed_updates") or change["default_allowed_updates"]
    change["proration_behavior"] = changing.choice("proration_behavior", PRORATIONS) or change["proration_behavior"]
    products = [
        {
            "adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 0},
            "prices": row.texts("prices"),
            "product": row.need("product"),
        }
        for row in changing.each("products")
    ]
    change["products"] = products or change["products"]
    made["default_return_url"] = p.text("default_return_url") or made["default_return_url"]
    made["name"] = p.text("name") or made["name"]
    made["active"] = p.flag("active", made["active"])
    metadata = p.metadata()
    p.end()
    made["metadata"] = merged(made["metadata"], metadata)


@route("POST", "/v1/billing_portal/configurations")
def create_configuration(world: World, p: Params) -> Obj:
    """Say what the portal offers; the first configuration is the default one."""
    made = _new(world)
    _change(made, p)
    made["is_default"] = not world.store.all("billing_portal.configuration")
    world.save(made, "billing_portal.configuration.created")
    return made


@route("GET", "/v1/billing_portal/configurations/{}")
def retrieve_configuration(world: World, p: Params, key: str) -> Obj:
    """One configuration."""
    p.end()
    return world.get("billing_portal.configuration", key)


@route("POST", "/v1/billing_portal/configurations/{}")
def update_configuration(world: World, p: Params, key: str) -> Obj:
    """Change what the portal offers."""
    made = world.get("billing_portal.configuration", key)
    with world.attempt():
        world.save(made)
        _change(made, p)
        made["updated"] = world.now
        world.save(made, "billing_portal.configuration.updated")
    return made


@route("GET", "/v1/billing_portal/configurations")
def list_configurations(world: World, p: Params) -> Obj:
    """Configurations, newest first."""
    active = p.flag("active") if p.has("active") else None
    is_default = p.flag("is_default") if p.has("is_default") else None
    return page(
        world,
        p,
        "/v1/billing_portal/configurations",
        world.store.newest_first("billing_portal.configuration"),
        lambda obj: (
            (active is None or obj["active"] == active) and (is_default is None or obj["is_default"] == is_default)
        ),
    )


@route("POST", "/v1/billing_portal/sessions")
def create_session(world: World, p: Params) -> Obj:
    """Let a customer in; the `url` is where they go."""
    customer = world.get("customer", p.need("customer"), param="customer")
    chosen, return_url, locale = p.text("configuration"), p.text("return_url"), p.text("locale")
    if p.has("flow_data"):
        raise StripeError("The offline Stripe's portal has no flows.", param="flow_data")
    p.end()
    found = world.get("billing_portal.configuration", chosen, param="configuration") if chosen else default(world)
    key = world.id("bps")
    session: Obj = {
        "id": key,
        "object": "billing_portal.session",
        "configuration": found["id"],
        "created": world.now,
        "customer": customer["id"],
        "customer_account": None,
        "flow": None,
        "livemode": False,
        "locale": locale,
        "on_behalf_of": None,
        "return_url": return_url or found["default_return_url"],
        "url": f"{world.base_url}/p/session/{key}",
    }
    world.save(session, "billing_portal.session.created")
    return session
