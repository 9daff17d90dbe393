"""Holds every answer against Stripe's own OpenAPI document (`sh tests/ensure_stripe_spec.sh` fetches it).

The document is of 2026-08-26.dahlia and the SDK of 2026-10-28.endive; `NEWER` names what the latter has and
the document lacks. A field that neither knows is an error: a misspelt name must not pass for an extra one.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import stripe
from jsonschema.protocols import Validator
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPEC = Path(__file__).resolve().parents[2] / ".cache" / "stripe" / "spec3.json"
HERE = "urn:stripe"

# Schema of the document -> fields that 2026-10-28.endive added to it and that we use.
NEWER: dict[str, set[str]] = {}


@cache
def document() -> dict[str, Any]:
    """The document, with every hash closed to fields that it does not name."""
    assert SPEC.is_file(), "Stripe's OpenAPI document is missing: run sh tests/ensure_stripe_spec.sh."
    loaded: dict[str, Any] = json.loads(SPEC.read_text())
    for name, schema in loaded["components"]["schemas"].items():
        _close(schema)
        for field in NEWER.get(name, ()):
            schema["properties"][field] = {}
    return loaded


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for item in schema:
            _close(item)
    elif isinstance(schema, dict):
        is_hash = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
        # The real Stripe answers in the newer version, and may add what the document has not.
        if is_hash and not os.environ.get("STRIPE_LIVE_TEST_KEY"):
            schema.setdefault("additionalProperties", False)
        if schema.get("nullable") and "anyOf" in schema and "type" not in schema:
            # In OpenAPI 3.0 `nullable` counts only beside a type; Stripe means it beside anyOf too.
            schema["anyOf"].append({"type": "string", "nullable": True, "enum": [None]})
        if schema.get("nullable") and isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"].append(None)
        for below in schema.values():
            _close(below)


@cache
def _registry() -> Any:
    return Registry().with_resource(HERE, Resource(contents=document(), specification=DRAFT202012))


@cache
def _validator(pointer: str) -> Validator:
    return OAS30Validator({"$ref": f"{HERE}#{pointer}"}, registry=_registry())


@cache
def _paths() -> dict[int, list[tuple[list[str], str]]]:
    known: dict[int, list[tuple[list[str], str]]] = {}
    for path in document()["paths"]:
        steps = path.strip("/").split("/")
        known.setdefault(len(steps), []).append((steps, path))
    return known


@cache
def _operation(method: str, path: str) -> str | None:
    """The document's path for this address, or None; a fixed step wins over an open one."""
    steps = path.strip("/").split("/")
    best: tuple[int, str] | None = None
    for pattern, name in _paths().get(len(steps), ()):
        if method.lower() not in document()["paths"][name]:
            continue
        if all(want.startswith("{") or want == step for want, step in zip(pattern, steps, strict=True)):
            fixed = sum(not want.startswith("{") for want in pattern)
            if best is None or fixed > best[0]:
                best = (fixed, name)
    return best[1] if best else None


def _escaped(path: str) -> str:
    return path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _best(error: Any) -> Any:
    """The reason inside an anyOf that goes deepest: the alternative that was meant."""
    while error.context:
        error = max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))
    return error


def _hold(pointer: str, body: Any, what: str) -> None:
    error = next(iter(_validator(pointer).iter_errors(body)), None)
    if error is None:
        return
    deepest = _best(error)
    where = ".".join(str(step) for step in deepest.absolute_path) or "the answer itself"
    raise AssertionError(f"{what} does not fit Stripe's document at {where}: {deepest.message[:400]}")


def check(method: str, path: str, status: int, body: Any) -> None:
    """Raise AssertionError unless this answer has the shape that Stripe's document promises for the call."""
    path = path.split("?")[0]
    what = f"The answer {status} to {method} {path}"
    if status >= 400:
        _hold("/components/schemas/error", body, what)
        return
    operation = _operation(method, path)
    assert operation is not None, f"Stripe's document knows no {method} {path}, yet it was answered {status}."
    pointer = f"/paths/{_escaped(operation)}/{method.lower()}/responses/200/content/application~1json/schema"
    _hold(pointer, body, what)
    events = body.get("data") if body.get("object") == "list" else [body]
    for event in events if isinstance(events, list) else []:
        if event.get("object") == "event":
            check_event(event)


def check_event(event: dict[str, Any]) -> None:
    """Raise AssertionError unless the event and the object inside it have their shapes."""
    _hold("/components/schemas/event", event, f"The event {event.get('type')}")
    inside = event["data"]["object"]
    shown = dict(inside)
    if event["type"] == "invoice.upcoming":
        # The one object without an id: there is no invoice yet.
        assert "id" not in shown, "invoice.upcoming carries an invoice that has an id already."
        shown["id"] = "upcoming"
    _hold(f"/components/schemas/{_escaped(inside['object'])}", shown, f"The object of the event {event['type']}")


class Checked(stripe.HTTPClient):
    """The SDK's HTTP client (`StripeClient(http_client=Checked())`) that holds every answer against the document."""

    name = "checked"

    def __init__(self, inner: stripe.HTTPClient | None = None) -> None:
        super().__init__()
        self.inner = inner or stripe.RequestsClient()
        self.count = 0
        # The SDK takes any exception for a lost connection and calls again: what was wrong is kept for `verify`.
        self.wrong: list[str] = []

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        content, status, answered = self.inner.request(method, url, headers, post_data)
        try:
            assert {name.lower() for name in answered} >= {"request-id"}, "An answer carries no Request-Id."
            check(method, urlsplit(url).path, status, json.loads(content))
        except AssertionError as wrong:
            self.wrong.append(str(wrong))
            raise
        self.count += 1
        return content, status, answered

    def verify(self) -> None:
        """Raise if any answer was of another shape, even if the caller took that for a lost connection."""
        assert not self.wrong, "\n".join(self.wrong)

    def close(self) -> None:
        self.inner.close()
