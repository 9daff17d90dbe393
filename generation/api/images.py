"""`POST /v1/images/generations`, as OpenAI's clients call it: it waits for the pictures."""

import base64
from collections.abc import Collection
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from ninja import Router

from accounts.models import User
from generation.actions import jobs as verbs
from generation.actions.inputs import refused_input
from generation.api.errors import ApiError
from generation.api.shapes import SUBMIT_ERRORS, ErrorOut, ImagesIn, MediumOut, medium_out
from generation.follow import until
from generation.models import Job, Medium
from generation.offer import BadOrder, Order, check
from generation.serving import released_file

router = Router(tags=["images"])

# OpenAI's own fields and the values of them that mean what we do anyway.
TAKEN_AS_IS = {
    "quality": {None, "auto", "standard"},
    "style": {None, "natural", "vivid"},
    "background": {None, "auto", "opaque"},
    "moderation": {None, "auto"},
    "output_format": {None, "png"},
}
FORMATS = {None: "url", "url": "url", "b64_json": "b64_json"}


@router.post("/images/generations", response={200: dict[str, Any], SUBMIT_ERRORS: ErrorOut}, summary="Draw and wait")
async def generate(request: HttpRequest, body: ImagesIn) -> Any:
    """Answers when nothing is pending: what was released, in order; the rest is named in `vaglio`."""
    person: User = request.auth  # type: ignore[attr-defined]
    wanted = format_of(body)
    return await draw_and_wait(person, check(**body.order_fields()), request, wanted, route="images.generations")


async def draw_and_wait(person: User, order: Order, request: HttpRequest, wanted: str, *, route: str) -> Any:
    """Submit an order and answer when nothing of it is pending."""
    job = await submit(person, order, request, route=route)
    seen = await until(job, lambda: look(job), _is_answerable, seconds=settings.API_WAIT_SECONDS)
    return await sync_to_async(closing)(_answer, seen, wanted)


async def submit(person: User, order: Order, request: HttpRequest, *, route: str) -> Job:
    """Take the order in a thread that gives its connection back before anything waits."""
    job: Job = await sync_to_async(closing)(
        verbs.submit,
        person,
        order,
        route=route,
        idempotency_key=idempotency_key(request),
        is_retry=(request.headers.get("x-stainless-retry-count") or "0") not in {"", "0"},
    )
    return job


def idempotency_key(request: HttpRequest) -> str | None:
    """The caller's key. Raises BadOrder when it cannot be one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise BadOrder("Idempotency-Key", "An idempotency key has 1 to 255 printable characters.")
    return key


def closing(act: Any, *args: Any, **kwargs: Any) -> Any:
    """Run `act` and give its database connection back, so that no waiting call holds one."""
    try:
        return act(*args, **kwargs)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def look(job: Job) -> tuple[Job, list[Medium]]:
    """The job and its media as they are now."""
    return (
        Job.objects.get(pk=job.pk),
        list(Medium.objects.filter(job=job.pk).select_related("case", "job").order_by("index")),
    )


def _is_answerable(seen: tuple[Job, list[Medium]]) -> bool:
    """Nothing is pending: each medium is released, refused, failed, or waits for a person."""
    job, _ = seen
    return job.is_final or job.state == Job.State.IN_REVIEW


def format_of(body: ImagesIn) -> str:
    """How pictures are to be sent: url or b64_json. Raises BadOrder for what OpenAI's fields cannot be here."""
    for name, known in TAKEN_AS_IS.items():
        if not _is_one_of(getattr(body, name), known):
            raise BadOrder(name, f"{name} can be {', '.join(sorted(v for v in known if v))} here, or left out.")
    if not _is_one_of(body.response_format, FORMATS):
        raise BadOrder("response_format", "response_format is url or b64_json.")
    return FORMATS[body.response_format]


def _is_one_of(value: Any, known: Collection[str | None]) -> bool:
    """Whether it is one of these words; a list or an object is none, and cannot even be looked up."""
    return value is None or (isinstance(value, str) and value in known)


def _answer(seen: tuple[Job, list[Medium]], wanted: str) -> dict[str, Any]:
    job, media = seen
    lines = [medium_out(medium) for medium in media]
    released = [(medium, line) for medium, line in zip(media, lines, strict=True) if line.state == "released"]
    others = [line for line in lines if line.state != "released"]
    facts = {"job": str(job.pk), "not_released": [line.dict(exclude_none=True) for line in others]}
    if not released:
        raise nothing_released(job, others, facts)
    if wanted == "url":
        data = [{"url": line.url} for _, line in released]
    else:
        found = [released_file(Medium.objects.filter(job=job), medium.pk) for medium, _ in released]
        if None in found:
            # Taken back since we looked.
            return _answer(look(job), wanted)
        data = [{"b64_json": base64.b64encode(file.data).decode()} for file in found if file is not None]
    return {"created": int(job.created_at.timestamp()), "data": data, "vaglio": facts}


def nothing_released(job: Job, lines: list[MediumOut], facts: dict[str, Any]) -> ApiError:
    """Why there is no picture, in the order in which it could still come out well."""
    follow = f"Follow it at {settings.BASE_URL}/v1/jobs/{job.pk}."
    if not job.is_final and job.state != Job.State.IN_REVIEW:
        return ApiError(
            504, "still_drawing", f"It is not finished yet and goes on. {follow}", kind="server_error", vaglio=facts
        )
    if job.state == Job.State.IN_REVIEW:
        return ApiError(
            422,
            "held_for_review",
            f"Held for a person to look at. Nothing was charged so far. {follow}",
            kind="image_generation_user_error",
            vaglio=facts,
        )
    if job.state == Job.State.CANCELLED:
        return ApiError(422, "cancelled", "The job was cancelled. Nothing was charged.", vaglio=facts)
    refused = [line for line in lines if line.state == "refused"]
    if job.state == Job.State.REFUSED and (brought := refused_input(job)) is not None:
        role, broken = brought
        code = "moderation_blocked" if broken else "invalid_input"
        told = facts | {"field": role, "policy": broken}
        return ApiError(400, code, job.failure, param=role, kind="image_generation_user_error", vaglio=told)
    if job.state == Job.State.REFUSED or refused:
        policy = refused[0].policy if refused else job.prompt_policy()
        field = "output" if refused else "prompt"
        return ApiError(
            400,
            "moderation_blocked",
            f"The {'picture' if refused else 'prompt'} was refused under the policy {policy}. You were not charged.",
            param=field,
            kind="image_generation_user_error",
            vaglio=facts | {"field": field, "policy": policy},
        )
    if any(line.state == "withdrawn" for line in lines):
        sentence = "It was taken back after its release. Its statement says why."
        return ApiError(422, "withdrawn", sentence, kind="image_generation_user_error", vaglio=facts)
    return ApiError(
        500,
        "generation_failed",
        job.failure or "It could not be drawn. You were not charged.",
        kind="server_error",
        vaglio=facts,
    )
