"""Webhook endpoints, and the events that are told to them."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World


def _url(p: Params, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise StripeError(f"Invalid URL: {url}", code="url_invalid", param=p.name("url"))
    return url


def enter(world: World, url: str, *, secret: str | None = None, events: list[str] | None = None) -> Obj:
    """The endpoint with this address, taken again with the new secret, or a new one: a restart adds no second."""
    for known in world.store.all("webhook_endpoint"):
        if known["url"] == url and not known.get("deleted"):
            known["_secret"] = secret or known["_secret"]
            known["enabled_events"] = events or known["enabled_events"]
            world.save(known)
            return known
    return _new(world, url, secret=secret, events=events)


def _new(world: World, url: str, *, secret: str | None = None, events: list[str] | None = None) -> Obj:
    endpoint: Obj = {
        "id": world.id("we"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": world.now,
        "description": None,
        "enabled_events": events or ["*"],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
        "_secret": secret or "whsec_" + world.id("x", 32)[2:],
    }
    world.save(endpoint)
    return endpoint


@route("POST", "/v1/webhook_endpoints")
def create(world: World, p: Params) -> Obj:
    """Enter an endpoint. Only this answer shows its secret."""
    url, events = _url(p, p.need("url")), p.texts("enabled_events")
    version, description, metadata = p.text("api_version"), p.text("description"), p.metadata()
    if not events:
        raise StripeError("Missing required param: enabled_events.", code="parameter_missing", param="enabled_events")
    p.end()
    endpoint = _new(world, url, events=events)
    endpoint.update(api_version=version, description=description, metadata=merged({}, metadata))
    world.save(endpoint)
    return {**endpoint, "secret": endpoint["_secret"]}


@route("GET", "/v1/webhook_endpoints/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One endpoint."""
    p.end()
    return world.get("webhook_endpoint", key)


@route("POST", "/v1/webhook_endpoints/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change an endpoint, or switch it off and on."""
    endpoint = world.get("webhook_endpoint", key)
    url, events = p.text("url"), p.texts("enabled_events")
    description = p.text("description") if p.has("description") else endpoint["description"]
    disabled, metadata = p.flag("disabled", endpoint["status"] == "disabled"), p.metadata()
    p.end()
    endpoint.update(
        url=_url(p, url) if url else endpoint["url"],
        enabled_events=events or endpoint["enabled_events"],
        description=description,
        status="disabled" if disabled else "enabled",
        metadata=merged(endpoint["metadata"], metadata),
    )
    world.save(endpoint)
    return endpoint


@route("DELETE", "/v1/webhook_endpoints/{}")
def delete(world: World, p: Params, key: str) -> Obj:
    """Remove an endpoint; what waits for it is given up."""
    endpoint = world.get("webhook_endpoint", key)
    p.end()
    endpoint["deleted"] = True
    endpoint["status"] = "disabled"
    world.save(endpoint)
    return {"id": key, "object": "webhook_endpoint", "deleted": True}


@route("GET", "/v1/webhook_endpoints")
def list_all(world: World, p: Params) -> Obj:
    """Endpoints, newest first."""
    return page(world, p, "/v1/webhook_endpoints", world.store.newest_first("webhook_endpoint"))


@route("GET", "/v1/events/{}")
def retrieve_event(world: World, p: Params, key: str) -> Obj:
    """One event; Stripe keeps them for 30 days."""
    p.end()
    event = world.get("event", key)
    if event["created"] < world.now - 30 * 86_400:
        raise StripeError(f"No such event: '{key}'", status=404, code="resource_missing", param="id")
    return event


@route("GET", "/v1/events")
def list_events(world: World, p: Params) -> Obj:
    """Events of the last 30 days, newest first. delivery_success=false: those that some endpoint has not yet taken."""
    type, types, created = p.text("type"), p.texts("types"), created_filter(p)
    wanted = p.flag("delivery_success") if p.has("delivery_success") else None
    oldest = world.now - 30 * 86_400

    def fits(event: Obj) -> bool:
        if event["created"] < oldest or not created(event):
            return False
        if type and not (event["type"] == type or (type.endswith("*") and event["type"].startswith(type[:-1]))):
            return False
        if types and event["type"] not in types:
            return False
        if wanted is None:
            return True
        is_taken: bool = event["pending_webhooks"] == 0
        return is_taken == wanted

    return page(world, p, "/v1/events", world.store.newest_first("event"), fits)
