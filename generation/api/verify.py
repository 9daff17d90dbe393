"""`POST /v1/verify`: whether a file came from here, by which trace, and whether it was altered."""

import asyncio
import time
from typing import Any
from uuid import UUID

from allauth.account.adapter import get_adapter
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Schema, Status

from accounts.models import User
from generation.api.errors import ApiError
from generation.api.images import closing
from generation.api.shapes import READ_ERRORS, SUBMIT_ERRORS, ErrorOut
from generation.api.uploads import form, parts
from generation.offer import BadOrder
from moderation.actions import inquiries
from moderation.models import Inquiry

router = Router(tags=["verify"])
LOOK_EVERY = 0.25


class VerificationOut(Schema):
    """What is known of a file. `came_from_here` and `altered` are null where it cannot be told. Nothing in it says
    whose it is. `traces.credentials` is none, ours, ours_altered, foreign or broken; `traces.perceptual_hash` the
    number of 256 bits that differ, null where nothing looks like it; `traces.watermark` whether our invisible mark is
    in the picture, null where it could not be looked for, as in films and in what is no picture. A file that only the
    mark tells of is an altered copy, or part of one."""

    id: str
    object: str = "verification"
    status: str
    came_from_here: bool | None = None
    altered: bool | None = None
    kind: str | None = None
    released: str | None = None
    model: str | None = None
    made: str | None = None
    signed_by: str | None = None
    traces: dict[str, Any] | None = None
    why: str | None = None


def verification_out(asked: Inquiry) -> VerificationOut:
    told = {name: value for name, value in asked.answer.items() if value != ""}
    return VerificationOut(id=str(asked.pk), status=asked.state, **told)


@router.post(
    "/verify",
    response={200: VerificationOut, 202: VerificationOut, SUBMIT_ERRORS: ErrorOut},
    summary="Did it come from here?",
    openapi_extra=form({"file": "Any file. (file)"}),
)
async def verify(request: HttpRequest) -> Any:
    """Waits for the answer; where it takes long it is 202, and `GET /v1/verify/{id}` has it later, for a day."""
    person: User = request.auth  # type: ignore[attr-defined]

    def take() -> Inquiry:
        _, files = parts(request)
        if "file" not in files:
            raise BadOrder("file", "There is no file in the form. Send it as `file`.")
        try:
            return inquiries.ask(files["file"], person=person, address=get_adapter().get_client_ip(request))
        except inquiries.InquiryRefused as error:
            raise BadOrder("file", str(error)) from error
        except inquiries.TooManyInquiries as error:
            raise ApiError(429, "too_many_inquiries", str(error), headers={"Retry-After": "600"}) from error

    asked: Inquiry = await sync_to_async(closing)(take)
    end = time.monotonic() + settings.VERIFY_WAIT_SECONDS
    while asked.state == Inquiry.State.WAITING and time.monotonic() < end:
        await asyncio.sleep(LOOK_EVERY)
        asked = await sync_to_async(closing)(Inquiry.objects.get, pk=asked.pk)
    return Status(202 if asked.state == Inquiry.State.WAITING else 200, verification_out(asked))


@router.get("/verify/{uuid:inquiry_id}", response={200: VerificationOut, READ_ERRORS: ErrorOut}, summary="The answer")
async def verification(request: HttpRequest, inquiry_id: UUID) -> Any:
    person: User = request.auth  # type: ignore[attr-defined]

    def act() -> VerificationOut:
        asked = Inquiry.objects.filter(pk=inquiry_id, person=person, kind=Inquiry.Kind.ORIGIN).first()
        if asked is None:
            raise ApiError(404, "verification_not_found", f"You asked nothing with the id {inquiry_id}.")
        return verification_out(asked)

    return await sync_to_async(closing)(act)
