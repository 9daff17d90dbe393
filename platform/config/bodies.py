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


def bounded(application: Application, most: int) -> Application:
    """Answer 413 to a body of more than `most` bytes; Django would write all of it to disk before any view is asked."""

    async def refuse(send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": TOO_LARGE})

    async def bound(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or len(told) > 18 or int(told) > most:
            await refuse(send)
            return
        came, is_over, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal came, is_over
            message = await receive()
            came += len(message.get("body", b""))
            if came > most:
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
