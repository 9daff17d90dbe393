"""The knobs below /_fake: the clock, faults, disputes by hand, and what there is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from billing.fakestripe.core.delivery import Postman
from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.faults import Faults
from billing.fakestripe.core.world import World, public
from billing.fakestripe.money import disputes, refunds


def control(world: World, faults: Faults, postman: Postman) -> list[Route]:
    """The addresses of the knobs."""

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            wanted = await request.json()
            to = int(wanted["now"]) if "now" in wanted else world.now + int(wanted["advance"])
            if to < world.now:
                raise StripeError("The clock does not go back.", param="now")
            done = await asyncio.to_thread(world.advance_to, to)
            return JSONResponse({"now": world.now, "done": done})
        return JSONResponse({"now": world.now, "is_frozen": world.clock.is_frozen})

    async def knobs(request: Request) -> Response:
        if request.method == "POST":
            faults.set(await request.json())
            postman.nudge()
        return JSONResponse(faults.state())

    async def settings(request: Request) -> Response:
        if request.method == "POST":
            with world.lock:
                world.change_settings(await request.json())
                world.flush()
        return JSONResponse(world.settings.as_dict())

    async def state(request: Request) -> Response:
        with world.lock:
            counts = {kind: world.store.count(kind) for kind in world.store.kinds()}
            return JSONResponse(
                {"now": world.now, "objects": counts, "faults": faults.state(), "settings": world.settings.as_dict()}
            )

    async def reset(request: Request) -> Response:
        with world.lock:
            world.reset()
            world.flush()
        faults.set({"clear": True})
        return JSONResponse({"reset": True})

    async def settle(request: Request) -> Response:
        wanted = await request.json() if await request.body() else {}
        settled = await asyncio.to_thread(postman.settle, float(wanted.get("deadline", 30)))
        return JSONResponse({"settled": settled}, status_code=200 if settled else 504)

    async def release(request: Request) -> Response:
        wanted = await request.json() if await request.body() else {}
        done = await asyncio.to_thread(postman.release, wanted.get("order"))
        return JSONResponse({"released": done})

    async def dispute(request: Request) -> Response:
        wanted = await request.json()
        with world.lock:
            charge = world.get("charge", str(wanted.get("charge", "")), param="charge")
            made = disputes.open_one(
                world,
                charge,
                reason=str(wanted.get("reason", "fraudulent")),
                inquiry=bool(wanted.get("inquiry")),
                amount=wanted.get("amount"),
            )
            world.flush()
        world.wake()
        return JSONResponse(public(made))

    async def move_dispute(request: Request) -> Response:
        wanted = await request.json()
        with world.lock:
            found = world.get("dispute", request.path_params["key"])
            if "reinstate" in wanted:
                disputes.reinstate_late(world, found, int(wanted["reinstate"]))
            else:
                disputes.move_to(world, found, str(wanted.get("to")))
            world.flush()
        world.wake()
        return JSONResponse(public(found))

    async def fail_refund(request: Request) -> Response:
        with world.lock:
            found = world.get("refund", request.path_params["key"])
            refunds.fail(world, found)
            world.flush()
        world.wake()
        return JSONResponse(public(found))

    def guarded(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def inner(request: Request) -> Response:
            try:
                return await answer(request)
            except StripeError as refusal:
                return JSONResponse(refusal.body(), status_code=refusal.status)
            except (KeyError, ValueError, TypeError) as wrong:
                body: dict[str, Any] = {
                    "error": {"type": "invalid_request_error", "message": f"Not understood: {wrong}"}
                }
                return JSONResponse(body, status_code=400)

        return inner

    return [
        Route("/_fake/clock", guarded(clock), methods=["GET", "POST"]),
        Route("/_fake/faults", guarded(knobs), methods=["GET", "POST"]),
        Route("/_fake/settings", guarded(settings), methods=["GET", "POST"]),
        Route("/_fake/state", guarded(state), methods=["GET"]),
        Route("/_fake/reset", guarded(reset), methods=["POST"]),
        Route("/_fake/settle", guarded(settle), methods=["POST"]),
        Route("/_fake/release", guarded(release), methods=["POST"]),
        Route("/_fake/disputes", guarded(dispute), methods=["POST"]),
        Route("/_fake/disputes/{key}", guarded(move_dispute), methods=["POST"]),
        Route("/_fake/refunds/{key}/fail", guarded(fail_refund), methods=["POST"]),
    ]
