"""The HTTP API: OpenAI's images, and jobs, models and credits beside it."""

import json
import logging
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import RequestDataTooBig
from django.db import connection
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer

from accounts import keys
from accounts.models import User
from generation.api import images, jobs, moderations, uploads, verify, videos
from generation.api.errors import ERRORS, OURS, ApiError, as_api_error, too_large

log = logging.getLogger(__name__)


def _person_for(secret: str) -> User | None:
    """Look the key up and give the connection back: a waiting call must not hold one."""
    try:
        return keys.person_for(secret)
    finally:
        if not connection.in_atomic_block:
            connection.close()


class BearerKey(HttpBearer):
    """`Authorization: Bearer vg_…`"""

    async def authenticate(self, request: HttpRequest, token: str) -> User | None:
        return await sync_to_async(_person_for)(token)


async def session(request: HttpRequest) -> User | None:
    """The signed-in person, for reads that the pages make. It opens no door that changes anything."""
    if request.method not in {"GET", "HEAD"}:
        return None
    user = await request.auser()
    return None if isinstance(user, AnonymousUser) else user


class JsonOnly(Parser):
    """Bodies are JSON and say so."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != "application/json":
            raise ApiError(
                415,
                "unsupported_content_type",
                f"Send JSON with Content-Type: application/json, not {(request.content_type or 'nothing')[:60]!r}.",
            )
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "invalid_json", f"The body is not valid JSON: {error}.") from error
        if not isinstance(body, dict):
            raise ApiError(400, "invalid_json", 'The body must be a JSON object, like {"prompt": "a red apple"}.')
        return body


api = NinjaAPI(
    title="Vaglio",
    version="1",
    description="Media generation that lets nothing out before it was sieved.",
    auth=[BearerKey(), session],
    parser=JsonOnly(),
    urls_namespace="api",
    docs_url=None,
)


def _answer(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    known = as_api_error(error) if isinstance(error, Exception) else None
    assert known is not None
    return known.response()


for kind in ERRORS:
    api.add_exception_handler(kind, _answer)


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    sent = request.headers.get("Authorization", "")
    sentence = (
        "The API key is unknown or was revoked. Make a new one under Account, API keys."
        if sent
        else "Send an API key: Authorization: Bearer vg_… Make one under Account, API keys."
    )
    return ApiError(401, "invalid_api_key", sentence, kind="authentication_error").response()


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0] if error.errors else {}
    place = [str(part) for part in first.get("loc", ())]
    param = place[-1] if place else None
    message = (
        f"There is no field {param!r}. Leave it out."
        if first.get("type") == "extra_forbidden"
        else f"{param}: {first.get('msg', 'is not valid')}"
    )
    return ApiError(400, "invalid_value", message, param=param).response()


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return too_large().response()


@api.exception_handler(Exception)
def _ours(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return ApiError(500, "server_error", OURS, kind="server_error").response()


@api.exception_handler(HttpError)
def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    # What our parser raises reaches us wrapped.
    if isinstance(error.__cause__, ApiError):
        return error.__cause__.response()
    return ApiError(error.status_code, "bad_request", str(error)).response()


api.add_router("", images.router)
api.add_router("", jobs.router)
api.add_router("", uploads.router)
api.add_router("", videos.router)
api.add_router("", verify.router)
api.add_router("", moderations.router)
