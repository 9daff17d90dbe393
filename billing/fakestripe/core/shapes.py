"""Expansion and lists: how an object is shown, and how many of them are."""

from collections.abc import Callable, Iterable
from typing import Any

from billing.fakestripe.core.errors import StripeError, missing
from billing.fakestripe.core.params import Params
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, public

Including = Callable[[World, Obj], Any]
INCLUDED: dict[tuple[str, str], Including] = {}
# What an update or a retrieval may be asked to show although it names no object here.
NEVER_SET = {"default_source", "application", "on_behalf_of", "setup_intent", "review", "transfer", "schedule"}


def includes(kind: str, field: str) -> Callable[[Including], Including]:
    """Register how a field is made which Stripe shows only when asked with expand."""

    def enter(make: Including) -> Including:
        INCLUDED[kind, field] = make
        return make

    return enter


def listing(url: str, data: list[Obj], *, has_more: bool = False) -> Obj:
    """Stripe's envelope of a list."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def show(world: World, obj: Obj, paths: Iterable[str] = ()) -> Obj:
    """The object as an answer, with the asked fields expanded. Nothing of the store is changed."""
    shown = public(obj) if "id" in obj else dict(obj)
    for path in paths:
        steps = path.split(".")
        if len(steps) > 4:
            raise StripeError("You cannot expand more than 4 levels of a property.", param="expand")
        _expand(world, shown, steps, path)
    return shown


def _expand(world: World, shown: Obj, steps: list[str], path: str) -> None:
    field, rest = steps[0], steps[1:]
    value = shown.get(field)
    make = INCLUDED.get((str(shown.get("object")), field))
    if make is not None and not isinstance(value, dict):
        value = make(world, shown)
    elif field not in shown:
        if field in NEVER_SET:
            return
        # The one name that may be absent in one object of a kind and present in another.
        if "object" not in shown or shown.get("object") in ("invoice_payment",):
            return
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    shown[field] = _opened(world, value, rest, path)


def _opened(world: World, value: Any, rest: list[str], path: str) -> Any:
    """A copy of the value with ids replaced by what they name, and opened further."""
    if isinstance(value, str):
        target = world.store.get(value)
        if target is None:
            return value
        if target.get("deleted"):
            return {"id": value, "object": target["object"], "deleted": True}
        value = public(target)
    elif isinstance(value, dict):
        value = dict(value)
    elif isinstance(value, list):
        return [_opened(world, item, rest, path) for item in value]
    else:
        return value
    if rest:
        _expand(world, value, rest, path)
    return value


def created_filter(p: Params) -> Callable[[Obj], bool]:
    """Read `created`, either a moment or a hash of gt, gte, lt and lte."""
    if p.is_text("created"):
        exact = p.integer("created")
        return lambda obj: exact is None or obj["created"] == exact
    within = p.below("created")
    gt, gte, lt, lte = (within.integer(name) for name in ("gt", "gte", "lt", "lte"))
    return lambda obj: (
        (gt is None or obj["created"] > gt)
        and (gte is None or obj["created"] >= gte)
        and (lt is None or obj["created"] < lt)
        and (lte is None or obj["created"] <= lte)
    )


def page(
    world: World,
    p: Params,
    url: str,
    found: Iterable[Obj],
    fits: Callable[[Obj], bool] = lambda obj: True,
) -> Obj:
    """One page of `found`, which comes newest first. Reads limit, starting_after and ending_before, and ends `p`."""
    limit = p.integer("limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise StripeError("This value must be between 1 and 100.", param="limit")
    after, before = p.text("starting_after"), p.text("ending_before")
    if after and before:
        raise StripeError("Give starting_after or ending_before, not both.", param="starting_after")
    p.end()
    mark = after or before
    if mark is None:
        taken: list[Obj] = []
        for obj in found:
            if not obj.get("deleted") and fits(obj):
                taken.append(obj)
                if len(taken) > limit:
                    break
        return listing(url, taken[:limit], has_more=len(taken) > limit)
    everything = [obj for obj in found if not obj.get("deleted")]
    at = next((at for at, obj in enumerate(everything) if obj["id"] == mark), None)
    if at is None:
        raise missing("object", mark, param="starting_after" if after else "ending_before", status=400)
    if after:
        fitting = [obj for obj in everything[at + 1 :] if fits(obj)]
        return listing(url, fitting[:limit], has_more=len(fitting) > limit)
    fitting = [obj for obj in everything[:at] if fits(obj)]
    return listing(url, fitting[-limit:], has_more=len(fitting) > limit)
