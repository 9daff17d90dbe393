"""`POST /v1/moderations`: what the policies say of texts and pictures, in the shape that OpenAI's clients read."""

import asyncio
import base64
import binascii
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from accounts.models import User
from generation.actions.jobs import admit
from generation.api.errors import ApiError
from generation.api.images import closing
from generation.api.shapes import READ_ERRORS, SUBMIT_ERRORS, ErrorOut
from generation.offer import LONGEST_PROMPT, BadOrder
from moderation.actions import inquiries
from moderation.answers import combined
from moderation.models import Inquiry, Metered

router = Router(tags=["moderations"])

MODEL = "vaglio-gate"
LOOK_EVERY = 0.1
MOST_INPUTS = 32
METERED_DAYS = 31
DATA = "data:image/"


class ModerationsIn(Schema, extra="forbid"):
    input: Any = Field(
        None,
        description="A text, a list of texts, or a list of parts: {type: text, text} and {type: image_url, image_url: "
        "{url: data:image/…;base64,…}}, which are judged as one.",
    )
    model: Any = Field(None, description="Taken and not looked at: there is one gate.")


class ModerationOut(Schema):
    """What the policies say of one input. `flagged` is whether it would not pass at once; `verdict` is clear, review or
    block. Scores are 0 to 1, each policy's own; no score of one is to be held against another's."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    verdict: str
    is_unscreened: bool = Field(description="A classifier could not speak about it: it counts as not harmless.")
    policies: list[dict[str, Any]] = Field(description="Which policies, what they do, and for which of the words.")


class ModerationsOut(Schema):
    id: str
    model: str
    results: list[ModerationOut]


class MeteredOut(Schema):
    """How many texts and pictures were judged on one day."""

    day: str
    texts: int
    pictures: int


@router.post("/moderations", response={200: ModerationsOut, SUBMIT_ERRORS: ErrorOut}, summary="Would it pass?")
async def moderate(request: HttpRequest, body: ModerationsIn) -> Any:
    """The same gate as every job's, with no job behind it. It costs no credits; what is asked is counted."""
    person: User = request.auth  # type: ignore[attr-defined]
    inputs, is_one = _inputs(body.input)

    def take() -> Inquiry:
        admit(person)
        try:
            return inquiries.ask_moderation(person, inputs)
        except inquiries.InquiryRefused as error:
            raise BadOrder("input", str(error)) from error
        except inquiries.TooManyInquiries as error:
            raise ApiError(
                429, "too_many_moderations", str(error), kind="rate_limit_error", headers={"Retry-After": "15"}
            ) from error

    asked: Inquiry = await sync_to_async(closing)(take)
    end = time.monotonic() + settings.VERIFY_WAIT_SECONDS
    while asked.state == Inquiry.State.WAITING and time.monotonic() < end:
        await asyncio.sleep(LOOK_EVERY)
        asked = await sync_to_async(closing)(Inquiry.objects.get, pk=asked.pk)
    if asked.state == Inquiry.State.WAITING:
        sentence = "The gate is busy and did not come to it. Ask again."
        raise ApiError(503, "gate_busy", sentence, kind="server_error", headers={"Retry-After": "5"})
    if asked.state == Inquiry.State.FAILED:
        raise BadOrder("input", asked.answer["why"])
    results = asked.answer["results"]
    return {
        "id": f"modr-{asked.pk}",
        "model": MODEL,
        "results": [combined(results)] if is_one else results,
    }


@router.get("/moderations", response={200: dict[str, Any], READ_ERRORS: ErrorOut}, summary="What was judged")
async def metered(request: HttpRequest) -> Any:
    """Texts and pictures by day, of the last 31, newest first."""
    person: User = request.auth  # type: ignore[attr-defined]

    def act() -> list[MeteredOut]:
        since = timezone.now().date() - timedelta(days=METERED_DAYS)
        days = Metered.objects.filter(person=person, day__gt=since).order_by("-day")
        return [MeteredOut(day=one.day.isoformat(), texts=one.texts, pictures=one.pictures) for one in days]

    return {"object": "list", "data": await sync_to_async(closing)(act)}


def _inputs(value: Any) -> tuple[Sequence[str | bytes], bool]:
    """What is to be judged, and whether all of it as one. Raises BadOrder."""
    if isinstance(value, str):
        return [_text(value)], True
    if not isinstance(value, list) or not value:
        raise BadOrder("input", "input is a text, a list of texts, or a list of texts and pictures.")
    if len(value) > MOST_INPUTS:
        raise BadOrder("input", f"input has {len(value)} parts; {MOST_INPUTS} are judged at once.")
    if all(isinstance(one, str) for one in value):
        return [_text(one) for one in value], False
    return [_part(one, f"input[{index}]") for index, one in enumerate(value)], True


def _text(value: Any, where: str = "input") -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadOrder(where, f"{where} has no text in it.")
    if len(value) > LONGEST_PROMPT:
        raise BadOrder(where, f"{where} has {len(value)} characters; {LONGEST_PROMPT} are judged. Send it in parts.")
    if "\0" in value:
        raise BadOrder(where, f"{where} has a null character in it. Take it out.")
    return value


def _part(value: Any, where: str) -> str | bytes:
    match value:
        case {"type": "text", "text": text, **rest} if not rest:
            return _text(text, f"{where}.text")
        case {"type": "image_url", "image_url": {"url": str(url)}, **rest} if not rest:
            return _picture(url, f"{where}.image_url.url")
    raise BadOrder(where, f'{where} is not {{"type": "text", "text": …}} nor {{"type": "image_url", "image_url": …}}.')


def _picture(url: str, where: str) -> bytes:
    head, comma, data = url.partition(",")
    if not (head.lower().startswith(DATA) and head.lower().endswith(";base64") and comma):
        raise BadOrder(
            where,
            f"{where} is no data URL. Nothing is fetched from elsewhere: send the picture, data:image/png;base64,…",
        )
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadOrder(where, f"{where} is not in base64.") from error
    if not found:
        raise BadOrder(where, f"{where} is empty.")
    return found
