"""`/v1/uploads`, and OpenAI's `images.edit` and `images.create_variation`, which bring files along."""

import uuid
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.urls import reverse
from ninja import Router, Schema, Status

from accounts.models import User
from generation.actions import inputs, jobs
from generation.api.errors import ApiError
from generation.api.images import closing, draw_and_wait, format_of
from generation.api.shapes import READ_ERRORS, SUBMIT_ERRORS, ErrorOut, ImagesIn
from generation.offer import BadOrder, Order, check
from moderation.actions import uploads
from moderation.models import Case, Upload

router = Router(tags=["uploads"])

AGREED = "`true` if whoever can be recognised in it agreed to this; without that a person looks at real faces first."

# What an upload's state is called; `ready` may be drawn with.
STATES = {"pending": "checking", "in_review": "in_review", "cleared": "ready", "refused": "refused"}


class UploadOut(Schema):
    """A file that was brought. It is `ready` once the gate cleared it, and may be named in a job before."""

    id: str
    object: str = "upload"
    role: str
    state: str
    bytes: int
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    created: int
    sentence: str | None = None
    statement: str | None = None


def form(required: Mapping[str, str], **optional: str) -> dict[str, Any]:
    """How a form of several parts is documented: each part's name and what it is. Files end with (file)."""

    def part(what: str) -> dict[str, Any]:
        is_file = what.endswith(" (file)")
        return {"type": "string", "description": what.removesuffix(" (file)")} | (
            {"format": "binary"} if is_file else {}
        )

    properties = {name: part(what) for name, what in {**required, **optional}.items()}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def parts(request: HttpRequest) -> tuple[dict[str, str], dict[str, "UploadedFile[bytes]"]]:
    """The fields and files of a form of several parts; each may come once."""
    if request.content_type != "multipart/form-data":
        sent = (request.content_type or "nothing")[:60]
        raise ApiError(
            415, "unsupported_content_type", f"Send a form of several parts (multipart/form-data), not {sent!r}."
        )
    try:
        fields, files = request.POST, request.FILES
    except (MultiPartParserError, SuspiciousOperation) as error:
        raise ApiError(400, "invalid_form", f"The form cannot be read: {error}.") from error
    for given in (fields, files):
        for name, values in given.lists():
            if len(values) > 1:
                raise BadOrder(name.removesuffix("[]"), f"{name} came {len(values)} times. Send one.")
    return (
        {name: str(value) for name, value in fields.items()},
        {name.removesuffix("[]"): cast("UploadedFile[bytes]", file) for name, file in files.items()},
    )


def upload_out(upload: Upload) -> UploadOut:
    case = upload.case
    out = UploadOut(
        id=str(upload.pk),
        role=upload.role,
        state="erased" if upload.erased_at and case.state == Case.State.CLEARED else STATES.get(case.state, "refused"),
        bytes=upload.bytes,
        width=upload.width,
        height=upload.height,
        seconds=upload.record.get("seconds"),
        created=int(upload.created_at.timestamp()),
    )
    if out.state == "refused":
        decision = case.decisions.order_by("-pk").first()
        out.sentence = decision.reason if decision and not case.policy_code else "It was refused under a policy."
        out.statement = settings.BASE_URL + reverse("statement", args=[case.pk])
    return out


@router.post(
    "/uploads",
    response={201: UploadOut, SUBMIT_ERRORS: ErrorOut},
    summary="Bring a file",
    openapi_extra=form(
        {"file": "The file. (file)", "role": "`picture`, `mask`, `sketch`, `map` or `film`."}, people_agreed=AGREED
    ),
)
async def bring(request: HttpRequest) -> Any:
    """Answers at once; the gate looks at it next. The same file again is the same upload, while it is kept."""
    person: User = request.auth  # type: ignore[attr-defined]

    def act() -> UploadOut:
        fields, files = parts(request)
        role = fields.get("role", "")
        if role not in Upload.Role.values:
            raise BadOrder("role", f"role is one of {', '.join(Upload.Role.values)}, not {role[:32]!r}.")
        if "file" not in files:
            raise BadOrder("file", "There is no file in the form. Send it as `file`.")
        jobs.admit(person)
        try:
            said = inputs.agreed(fields.get("people_agreed"))
            return upload_out(uploads.take(person, files["file"], role, people_agreed=said))
        except uploads.UploadRefused as error:
            raise BadOrder("file", str(error)) from error

    return Status(201, await sync_to_async(closing)(act))


@router.get("/uploads/{uuid:upload_id}", response={200: UploadOut, READ_ERRORS: ErrorOut}, summary="One upload")
async def upload(request: HttpRequest, upload_id: UUID) -> Any:
    person: User = request.auth  # type: ignore[attr-defined]
    return await sync_to_async(closing)(lambda: upload_out(_own(person, upload_id)))


@router.delete("/uploads/{uuid:upload_id}", response={200: UploadOut, SUBMIT_ERRORS: ErrorOut}, summary="Erase it now")
async def erase_upload(request: HttpRequest, upload_id: UUID) -> Any:
    """Before its term ends. What was drawn from it stays. Only what was cleared: anything else may be asked about."""
    person: User = request.auth  # type: ignore[attr-defined]

    def act() -> UploadOut:
        upload = _own(person, upload_id)
        if upload.case.state != Case.State.CLEARED:
            sentence = "It is being looked at, or was refused, and is kept until its term ends."
            raise ApiError(409, "not_erasable", sentence, param="upload_id")
        uploads.erase(upload)
        return upload_out(_own(person, upload_id))

    return await sync_to_async(closing)(act)


def _own(person: User, upload_id: UUID) -> Upload:
    """A person's own upload. Somebody else's is not found, like one that never was."""
    upload = Upload.objects.of(person).filter(pk=upload_id).select_related("case").first()
    if upload is None:
        raise ApiError(404, "upload_not_found", f"You have no upload {upload_id}.", param="upload_id")
    return upload


@router.post(
    "/images/edits",
    response={200: dict[str, Any], SUBMIT_ERRORS: ErrorOut},
    tags=["images"],
    summary="Change a picture and wait",
    openapi_extra=form(
        {"image": "The picture. (file)", "prompt": "What becomes of it."},
        mask="Where it is drawn anew: see-through, or, if it is so nowhere, white. (file)",
        strength="How far it may leave the picture, 0 to 1.",
        people_agreed=AGREED,
        **{name: f"As in `images/generations`: {name}." for name in ("model", "size", "n", "seed", "response_format")},
    ),
)
async def edit(request: HttpRequest) -> Any:
    """With a mask the marked part is drawn anew, without one the whole picture is drawn over."""
    return await _with_files(request, lambda files: "inpainting" if "mask" in files else "image_to_image", "edits")


@router.post(
    "/images/variations",
    response={200: dict[str, Any], SUBMIT_ERRORS: ErrorOut},
    tags=["images"],
    summary="Vary a picture and wait",
    openapi_extra=form(
        {"image": "The picture. (file)"},
        strength="How far it may leave the picture, 0 to 1.",
        people_agreed=AGREED,
        **{name: f"As in `images/generations`: {name}." for name in ("model", "size", "n", "seed", "response_format")},
    ),
)
async def vary(request: HttpRequest) -> Any:
    """The picture again, and different."""
    return await _with_files(request, lambda files: "variation", "variations")


async def _with_files(request: HttpRequest, mode_for: Any, route: str) -> Any:
    person: User = request.auth  # type: ignore[attr-defined]

    def take() -> tuple[Order, str]:
        fields, files = parts(request)
        said = inputs.agreed(fields.pop("people_agreed", None))
        if unknown := sorted((fields.keys() - ImagesIn.model_fields.keys()) | (files.keys() - {"image", "mask"})):
            raise ApiError(
                400, "invalid_value", f"There is no field {unknown[0][:64]!r}. Leave it out.", param=unknown[0][:64]
            )
        body = ImagesIn(**fields)
        wanted = format_of(body)
        mode = mode_for(files)
        brought = {{"image": "picture"}.get(name, name): file for name, file in files.items()}
        if "picture" not in brought:
            raise BadOrder("image", "There is no picture in the form. Send it as `image`.")
        order = body.order_fields() | {"mode": mode}
        try:
            # Everything else is checked before a file is kept.
            check(**order | {name: uuid.uuid4() for name in brought})
            jobs.admit(person)
            kept = {
                name: inputs.bring(person, file, mode=mode, name=name, people_agreed=said).pk
                for name, file in brought.items()
            }
            return check(**order | kept), wanted
        except BadOrder as error:
            raise BadOrder("image" if error.field == "picture" else error.field, str(error)) from error

    order, wanted = await sync_to_async(closing)(take)
    return await draw_and_wait(person, order, request, wanted, route=f"images.{route}")
