"""One call of the API: the key, the idempotency key, the noun's answer, the record of it."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.params import Params, parse
from billing.fakestripe.core.routes import find
from billing.fakestripe.core.shapes import show
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import VERSION, Request, World

DAY = 86_400


@dataclass
class Reply:
    """What goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def _json(body: Any) -> bytes:
    return json.dumps(body, indent=2).encode() + b"\n"


class Api:
    """Answers calls one after another. `key` is the only one that is let in; None lets in every test key."""

    def __init__(self, world: World, key: str | None = None) -> None:
        self.world = world
        self.key = key
        # Keys of calls that wait before they are carried out; only a slow-down fault makes them wait.
        self.in_flight: set[str] = set()

    def _check_key(self, headers: Mapping[str, str]) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given).decode().partition(":")[0]
            except ValueError:
                given = ""
        if not given:
            raise StripeError("No API key was given. Send it in the Authorization header: Bearer sk_test_…", status=401)
        fits = given == self.key if self.key else given.startswith(("sk_test_", "rk_test_"))
        if not fits:
            raise StripeError(f"Invalid API Key provided: {given[:8]}****{given[-4:]}", status=401)

    def call(self, method: str, path: str, query: str, body: str, headers: Mapping[str, str]) -> Reply:
        """Carry out one call. Everything inside one lock, and on disk before the answer leaves."""
        world = self.world
        with world.lock:
            world.catch_up()
            request = Request(
                id=world.id("req", 14),
                idempotency_key=headers.get("idempotency-key") if method == "POST" else None,
                version=headers.get("stripe-version") or VERSION,
            )
            world.request = request
            try:
                reply = self._answer(method, path, query, body, headers, request)
            finally:
                world.request = Request()
                world.catch_up()
                world.flush()
        world.wake()
        reply.headers["Request-Id"] = request.id or ""
        reply.headers["Stripe-Version"] = request.version
        return reply

    def _answer(
        self, method: str, path: str, query: str, body: str, headers: Mapping[str, str], request: Request
    ) -> Reply:
        try:
            self._check_key(headers)
            key = request.idempotency_key
            if key is None:
                return self._carry_out(method, path, query, body)[0]
            if len(key) > 255:
                raise StripeError("An idempotency key has at most 255 characters.", type="idempotency_error")
            return self._once(key, method, path, query, body)
        except StripeError as refusal:
            return Reply(refusal.status, _json(refusal.body()))

    def _once(self, key: str, method: str, path: str, query: str, body: str) -> Reply:
        world = self.world
        kept_as = f"_answer_{key}"
        asked = hashlib.sha256(f"{method} {path}?{query}\n{body}".encode()).hexdigest()
        kept = world.store.get(kept_as)
        if kept is not None and kept["created"] > world.now - DAY:
            if kept["asked"] != asked:
                raise StripeError(
                    f"Idempotency key '{key}' belongs to another call: its address or parameters differ.",
                    type="idempotency_error",
                )
            return Reply(
                kept["status"],
                kept["body"].encode(),
                {"Idempotent-Replayed": "true", "Original-Request": kept["request"], "Idempotency-Key": key},
            )
        reply, has_begun = self._carry_out(method, path, query, body)
        if has_begun:
            self.keep(key, method, path, query, body, reply)
        reply.headers["Idempotency-Key"] = key
        return reply

    def keep(self, key: str, method: str, path: str, query: str, body: str, reply: Reply) -> None:
        """Record the answer, so that the same call is never carried out twice within a day."""
        self.world.store.put(
            {
                "id": f"_answer_{key}",
                "object": "_answer",
                "asked": hashlib.sha256(f"{method} {path}?{query}\n{body}".encode()).hexdigest(),
                "path": path,
                "status": reply.status,
                "body": reply.body.decode(),
                "request": self.world.request.id or "",
                "created": self.world.now,
            }
        )

    def spoil(self, key: str, reply: Reply) -> None:
        """Let the recorded answer of this key be another one: the work is done, yet a 500 is what is kept of it."""
        with self.world.lock:
            kept = self.world.store.get(f"_answer_{key}")
            if kept is not None:
                kept.update(status=reply.status, body=reply.body.decode())
                self.world.store.put(kept)
                self.world.flush()

    def _carry_out(self, method: str, path: str, query: str, body: str) -> tuple[Reply, bool]:
        """The reply, and whether the endpoint began: an answer given before that is not recorded."""
        found = find(method, path)
        if found is None:
            raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404)
        answer, keys = found
        tree = parse("&".join(part for part in (query, body) if part))
        expand = tree.pop("expand", [])
        if not isinstance(expand, list) or not all(isinstance(item, str) for item in expand):
            raise StripeError("Invalid array: expand", param="expand")
        p = Params(tree)
        try:
            shown = self._shown(answer(self.world, p, *keys), expand)
            return Reply(200, _json(shown)), p.has_ended
        except StripeError as refusal:
            return Reply(refusal.status, _json(refusal.body())), p.has_ended

    def _shown(self, obj: Obj, expand: list[str]) -> Obj:
        if obj.get("object") != "list" or "data" not in obj:
            return show(self.world, obj, expand)
        for path in expand:
            if not path.startswith("data."):
                raise StripeError(
                    f"This property cannot be expanded ({path}). In a list begin with data.", param="expand"
                )
        below = [path.removeprefix("data.") for path in expand]
        return {**obj, "data": [show(self.world, item, below) for item in obj["data"]]}
