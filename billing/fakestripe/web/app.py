"""The ASGI application: API calls on the short way, pages and knobs through Starlette."""

import asyncio
import json
import logging
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billing.fakestripe.core.api import Api, Reply
from billing.fakestripe.core.faults import Faults

logger = logging.getLogger(__name__)
LOCAL = ("127.0.0.1", "localhost")
MOST_BYTES = 1_000_000


class App:
    """Answers one call after another. Only names of this machine are accepted as Host."""

    def __init__(self, api: Api, faults: Faults, pages: ASGIApp) -> None:
        self.api = api
        self.faults = faults
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        # A page of another site that names its own host after 127.0.0.1 must not reach in here.
        if headers.get("host", "").partition(":")[0] not in LOCAL:
            await _send(send, Reply(421, b"This server is spoken to as 127.0.0.1 or localhost.\n"), "text/plain")
            return
        path: str = scope["path"]
        if path.startswith("/v1/") or path.startswith("/v2/"):
            await self._call(scope, headers, receive, send)
        else:
            await self.pages(scope, receive, send)

    async def _call(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        body = await _body(receive)
        if body is None:
            await _send(send, Reply(413, b'{"error": {"type": "invalid_request_error", "message": "Too long."}}'))
            return
        query = scope["query_string"].decode("latin-1")
        fault = self.faults.take(method, path)
        kind = fault.kind if fault else None
        key = headers.get("idempotency-key") if method == "POST" else None
        if kind in ("timeout_before", "down"):
            await _hang_up(scope, receive)
            return
        if kind in ("429", "500"):
            await _send(send, self._failure(kind))
            return
        if key is not None and key in self.api.in_flight:
            await _send(send, self._in_use(key))
            return
        if fault is not None and kind == "slow":
            if key is not None:
                self.api.in_flight.add(key)
            try:
                await asyncio.sleep(fault.seconds)
                reply = self._answered(method, path, query, body, headers)
            finally:
                self.api.in_flight.discard(key or "")
        else:
            reply = self._answered(method, path, query, body, headers)
        if kind == "timeout_after_commit":
            await _hang_up(scope, receive)
            return
        if kind == "500_after_commit":
            reply = self._failure("500")
            if key is not None:
                self.api.spoil(key, reply)
        await _send(send, reply)

    def _answered(self, method: str, path: str, query: str, body: str, headers: dict[str, str]) -> Reply:
        try:
            return self.api.call(method, path, query, body, headers)
        except Exception:
            # A fault of the double itself: callers get what Stripe answers when it breaks, and we get the trace.
            logger.exception("%s %s broke the offline Stripe", method, path)
            return self._failure("500")

    def _failure(self, kind: str) -> Reply:
        if kind == "429":
            error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests. Slow down."}
        else:
            error = {"type": "api_error", "message": "Something went wrong on Stripe's side, on purpose."}
        return Reply(int(kind), json.dumps({"error": error}).encode(), {"Request-Id": self.api.world.id("req", 14)})

    def _in_use(self, key: str) -> Reply:
        error = {
            "type": "idempotency_error",
            "code": "idempotency_key_in_use",
            "message": f"A call with the idempotency key {key} is being carried out.",
        }
        return Reply(409, json.dumps({"error": error}).encode(), {"Request-Id": self.api.world.id("req", 14)})


async def _body(receive: Receive) -> str | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return ""
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts).decode("utf-8", "replace")


async def _send(send: Send, reply: Reply, kind: str = "application/json") -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(reply.body)).encode())]
    headers += [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection without a word; the server put its transport into the scope."""
    transport: Any = scope["fakestripe.transport"]
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
