"""What every answer carries."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import sync_and_async_middleware

from generation.api.errors import in_shape


def _after(act: Callable[[HttpRequest, HttpResponseBase], HttpResponseBase]) -> Any:
    """A middleware that changes the answer by `act`."""

    @sync_and_async_middleware
    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def later(request: HttpRequest) -> HttpResponseBase:
                return act(request, await get_response(request))

            return later
        return lambda request: act(request, get_response(request))

    return middleware


@_after
def kept_by_nobody(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """An answer that does not say how long it may be kept is kept by no cache: most show one person's work."""
    if not answer.has_header("Cache-Control"):
        add_never_cache_headers(answer)
    return answer


@_after
def api_speaks_json(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """Below /v1 every error has the shape that clients read."""
    return in_shape(answer) if request.path.startswith("/v1/") else answer
