"""Read no more of a request than we would use."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

TOO_LARGE = json.dumps(
    {
        "error": {
            "message": "The body is too long. Send less.",
            "type": "invalid_request_error",
            "param": None,
            "code": "request_too_large",
        }
    }
).encode()


# Where files are brought, and how much may come there, from whoever shows a session or a key at the least.
BRINGING = frozenset(
    {f"/v1/{name}" for name in ("uploads", "images/edits", "images/variations", "videos", "verify")}
    | {"/studio/jobs/", "/verify/"}
)
MOST_BROUGHT = 64 * 1024 * 1024


def _most(scope: MutableMapping[str, Any], most: int) -> int:
    names = {name for name, _ in scope["headers"]}
    return MOST_BROUGHT if scope["path"] in BRINGING and names & {b"cookie", b"authorization"} else most


def bounded(application: Application, most: int) -> Application:
    """Answer 413 to a body of more than `most` bytes, or than may be brought; Django would write all of it to disk
    before any view is asked."""

    async def refuse(send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": TOO_LARGE})

    async def bound(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        may_come = _most(scope, most)
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or len(told) > 18 or int(told) > may_come:
            await refuse(send)
            return
        came, is_over, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal came, is_over
            message = await receive()
            came += len(message.get("body", b""))
            if came > may_come:
                is_over = True
                return {"type": "http.disconnect"}
            return message

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        await application(scope, counted, noted)
        if is_over and not has_begun:
            await refuse(send)

    return bound
