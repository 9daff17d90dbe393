"""What every answer carries."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import sync_and_async_middleware

Answer = Callable[[HttpRequest], HttpResponseBase]


@sync_and_async_middleware
def kept_by_nobody(get_response: Any) -> Answer | Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """An answer that does not say how long it may be kept is kept by no cache: most show one person's work."""

    def marked(answer: HttpResponseBase) -> HttpResponseBase:
        if not answer.has_header("Cache-Control"):
            add_never_cache_headers(answer)
        return answer

    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            return marked(await get_response(request))

        return later
    return lambda request: marked(get_response(request))
