"""The public pages, and the pages that say what went wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from billing.money import money
from billing.sale import till
from billing.sale.plans import Offer, shop
from generation.engine import ModeCard
from generation.offer import cards, price_of

PICTURES = Path(__file__).resolve().parent / "static" / "web" / "landing"
MOST_PICTURES = 8


@dataclass(frozen=True)
class Shown:
    """A picture on the landing page; its file name holds the words it was drawn from."""

    address: str
    words: str


@dataclass(frozen=True)
class Way:
    """One line of the price list: a mode of a model, and what one medium of it costs at the least size and length."""

    card: ModeCard
    price: int

    @property
    def noun(self) -> str:
        return "film" if self.card.mode.is_film else "picture"

    @property
    def lengths(self) -> list[float]:
        """Of a film, in seconds."""
        return [frames / self.card.fps for frames in self.card.frames] if self.card.mode.is_film else []


def pictures() -> list[Shown]:
    """What the house model drew for the landing page, or nothing."""
    return [
        Shown(staticfiles_storage.url(f"web/landing/{file.name}"), file.stem.replace("-", " "))
        for file in sorted(PICTURES.glob("*.webp"))[:MOST_PICTURES]
    ]


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """What Vaglio does, how its gate works, what it costs."""
    sold = shop()
    return render(
        request,
        "web/landing.html",
        {
            "pictures": pictures(),
            "cards": [(card, [Way(way, price_of(way)) for way in card.modes.values()]) for card in cards().values()],
            "base_url": settings.BASE_URL,
            "plans": [told(offer, sold.currency) for offer in sold.plans if till.is_open() or not offer.prices],
            "top_ups": [told(offer, sold.currency) for offer in sold.top_ups if till.is_open()],
        },
    )


def told(offer: Offer, currency: str) -> dict[str, Any]:
    """An offer in the words of the table."""
    often = {"month": "a month", "year": "a year", "once": "once"}
    prices = [f"{money(amount, currency)} {often[interval]}" for interval, amount in offer.prices.items()]
    return {"title": offer.title, "credits": offer.credits, "line": offer.line, "prices": prices}


@require_safe
@cache_control(max_age=86_400, public=True)
def favicon(request: HttpRequest) -> HttpResponse:
    """For browsers that ask for it whatever the page says."""
    return HttpResponseRedirect(staticfiles_storage.url("web/icon-32.png"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _wrong(400, request, "web/400.html")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _wrong(403, request, "web/403.html")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _wrong(404, request, "web/404.html")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was open too long, or in another browser."""
    return _wrong(403, request, "web/csrf.html")


def server_error(request: HttpRequest) -> HttpResponse:
    """Rendered without the request: whatever broke must not be asked again."""
    return HttpResponse(render_to_string("web/500.html"), status=500)


def unavailable(request: HttpRequest, *, retry_after: int, sentence: str = "") -> HttpResponse:
    """For the moment there is no work to be had here."""
    answer = HttpResponse(render_to_string("web/503.html", {"sentence": sentence}), status=503)
    answer["Retry-After"] = str(retry_after)
    return answer


def _wrong(status: int, request: HttpRequest, template: str) -> HttpResponse:
    """An error page with the bar, unless the bar itself cannot be drawn."""
    context: dict[str, Any] = {}
    return render(request, template, context, status=status)
