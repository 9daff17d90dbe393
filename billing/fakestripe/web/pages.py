"""The pages that a person sees: Checkout, the bank's question, an invoice, the portal. Plain HTML, no script."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from billing.fakestripe.core.delivery import Postman
from billing.fakestripe.core.errors import StripeError
from billing.fakestripe.core.faults import Faults
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World
from billing.fakestripe.web.checkout import CheckoutPage
from billing.fakestripe.web.control import control
from billing.fakestripe.web.invoice import InvoicePage
from billing.fakestripe.web.look import HERE, Look
from billing.fakestripe.web.portal import PortalPage

Answer = Callable[[Request], Awaitable[Response]]


async def typed(request: Request) -> dict[str, str]:
    """What the form carries."""
    body = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True))


def pages(world: World, faults: Faults, postman: Postman) -> Starlette:
    """The application for everything that is not the API."""
    look = Look(world)
    checkout, invoice, portal = CheckoutPage(world, look), InvoicePage(world, look), PortalPage(world, look)

    def locked(answer: Callable[[Request, dict[str, str]], Response]) -> Answer:
        """Answer inside the world's lock, and only forms that come from our own pages."""

        async def inner(request: Request) -> Response:
            if request.method == "POST" and request.headers.get("sec-fetch-site", "same-origin") not in (
                "same-origin",
                "none",
            ):
                return PlainTextResponse("This form comes from another site.", status_code=403)
            form = await typed(request) if request.method == "POST" else {}
            with world.lock:
                world.catch_up()
                try:
                    answered = answer(request, form)
                except StripeError as refusal:
                    answered = look.gone(str(refusal), refusal.status)
                finally:
                    world.catch_up()
                    world.flush()
            world.wake()
            return answered

        return inner

    async def css(request: Request) -> Response:
        return FileResponse(HERE / "fake.css", headers={"Cache-Control": "max-age=300"})

    def receipt(request: Request, form: dict[str, str]) -> Response:
        intent: Obj = world.get("payment_intent", request.path_params["key"])
        return look.page("receipt.html", intent=intent)

    def front(request: Request, form: dict[str, str]) -> Response:
        return look.page("front.html", kinds=[(kind, world.store.count(kind)) for kind in world.store.kinds()])

    async def nowhere(request: Request, wrong: Exception) -> Response:
        return look.gone("There is no such page here.")

    both = ["GET", "POST"]
    return Starlette(
        routes=[
            Route("/", locked(front), methods=["GET"]),
            Route("/fake.css", css, methods=["GET"]),
            Route("/c/pay/{key}", locked(checkout.answer), methods=both),
            Route("/3ds/{key}", locked(checkout.bank), methods=both),
            Route("/i/{token}", locked(invoice.answer), methods=both),
            Route("/i/{token}/pdf", locked(invoice.printed), methods=["GET"]),
            Route("/p/session/{key}", locked(portal.answer), methods=both),
            Route("/receipt/{key}", locked(receipt), methods=["GET"]),
            *control(world, faults, postman),
        ],
        exception_handlers={404: nowhere},
    )
