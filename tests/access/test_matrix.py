"""Every address with an object in it, asked by everybody. A route that is not listed here fails."""

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import keys
from generation.addresses import signed_path
from generation.models import Job, Medium
from moderation.models import Case
from tests import path
from tests.people import People, cast

# allauth's own routes carry signed keys of its own making; what they open is tested there.
OF_ALLAUTH = {
    "account_confirm_email",
    "account_reset_password_from_key",
}


class Route(NamedTuple):
    name: str
    arguments: tuple[str, ...]


def routes(resolver: URLResolver | None = None, namespace: str = "") -> Iterator[Route]:
    """Every route of the URLconf, by name, with the objects in it."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            inner = ":".join(filter(None, (namespace, pattern.namespace or "")))
            yield from routes(pattern, inner)
        elif isinstance(pattern, URLPattern):
            name = ":".join(filter(None, (namespace, pattern.name or repr(pattern.callback))))
            yield Route(name, tuple(pattern.pattern.regex.groupindex))


class World(NamedTuple):
    people: People
    released: Medium
    waiting: Case
    key: Any


ALICE, CAROL, BOB, SOFIA, BRUNO, OLGA = "alice", "carol", "bob", "sofia", "bruno", "olga"
EVERYBODY = (ALICE, CAROL, BOB, SOFIA, BRUNO, OLGA)


class Rule(NamedTuple):
    """Who may, by which method; `of` picks the objects. All others must be told that there is nothing."""

    method: str
    of: Any
    may: tuple[str, ...]
    by_key: bool = False


RULES: dict[str, list[Rule]] = {}


def objects_of_alice(world: World) -> dict[str, Any]:
    return {"job_id": world.released.job_id, "medium_id": world.released.pk}


def test_every_route_with_an_object_is_listed() -> None:
    unlisted = {
        route.name
        for route in routes()
        if route.arguments and route.name not in RULES and route.name.rpartition(":")[2] not in OF_ALLAUTH
    }
    assert unlisted == set(), "who may see these? Add them to RULES"
