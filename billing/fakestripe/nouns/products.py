"""Products."""

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, merged
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World


def _change(product: Obj, p: Params) -> None:
    for name in ("description", "statement_descriptor", "tax_code", "unit_label", "url", "default_price"):
        if p.has(name):
            product[name] = p.text(name)
    product["name"] = p.text("name") or product["name"]
    product["active"] = p.flag("active", product["active"])
    product["images"] = p.texts("images") or product["images"]
    features = [{"name": feature.need("name")} for feature in p.each("marketing_features")]
    product["marketing_features"] = features or product["marketing_features"]
    metadata = p.metadata()
    p.end()
    product["metadata"] = merged(product["metadata"], metadata)


@route("POST", "/v1/products")
def create(world: World, p: Params) -> Obj:
    """Enter a product; its id may be chosen."""
    key = p.text("id") or world.id("prod", 14)
    product: Obj = {
        "id": key,
        "object": "product",
        "active": True,
        "created": world.now,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": p.need("name"),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "unit_label": None,
        "updated": world.now,
        "url": None,
    }
    p.choice("type", ["service", "good"])
    _change(product, p)
    if world.store.get(key) is not None:
        raise StripeError(f"Product already exists: {key}", code="resource_already_exists", param="id")
    world.save(product, "product.created")
    return product


@route("GET", "/v1/products/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One product."""
    p.end()
    return world.get("product", key)


@route("POST", "/v1/products/{}")
def update(world: World, p: Params, key: str) -> Obj:
    """Change a product."""
    product = world.get("product", key)
    changed = {**product}
    _change(changed, p)
    product.update(changed, updated=world.now)
    world.save(product, "product.updated")
    return product


@route("DELETE", "/v1/products/{}")
def delete(world: World, p: Params, key: str) -> Obj:
    """Remove a product that has no prices."""
    product = world.get("product", key)
    p.end()
    if world.store.where("price", "product", key):
        raise StripeError("This product has prices and cannot be deleted; set active=false.", param="id")
    product["deleted"] = True
    world.save(product, "product.deleted")
    return {"id": key, "object": "product", "deleted": True}


@route("GET", "/v1/products")
def list_all(world: World, p: Params) -> Obj:
    """Products, newest first."""
    keys, created = p.texts("ids"), created_filter(p)
    active = p.flag("active") if p.has("active") else None
    return page(
        world,
        p,
        "/v1/products",
        world.store.newest_first("product"),
        lambda obj: (not keys or obj["id"] in keys) and (active is None or obj["active"] == active) and created(obj),
    )
