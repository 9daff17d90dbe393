"""`/v1/videos`, as OpenAI's clients call it: a film is asked for, polled, and fetched."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema

from accounts.models import User
from generation.actions import inputs
from generation.actions import jobs as verbs
from generation.api.errors import ApiError
from generation.api.images import closing, look, nothing_released, submit
from generation.api.shapes import READ_ERRORS, SUBMIT_ERRORS, ErrorOut, medium_out
from generation.api.uploads import AGREED, form, parts
from generation.engine import MODES
from generation.follow import read
from generation.models import Job, Medium
from generation.offer import BadOrder, Order, cards, check, default_card, sold_modes
from generation.serving import read_checked, released_file
from journal.ranges import in_pieces

router = Router(tags=["videos"])

FILM_MODES = tuple(name for name, mode in MODES.items() if mode.is_film)
MOST_LISTED = 100
# What of a job's own fields may come along with OpenAI's.
OWN = frozenset({"negative_prompt", "steps", "guidance_scale", "seed", "priority", "strength"})
SECONDS_OFF = 0.05  # a clip is of so many frames: its length may differ by so much of what was asked


class VideoOut(Schema):
    """A film as OpenAI's clients know it. `vaglio` has the job's own state, its price and what was not released."""

    id: str
    object: str = "video"
    model: str
    status: str
    progress: int
    prompt: str
    seconds: str
    size: str
    created_at: int
    completed_at: int | None = None
    expires_at: int | None = None
    remixed_from_video_id: str | None = None
    error: dict[str, str] | None = None
    vaglio: dict[str, Any]


def video_out(job: Job, media: list[Medium] | None = None) -> VideoOut:
    """A job of one film. A film that waits for a person is in progress: it may still come."""
    media = look(job)[1] if media is None else media
    lines = [medium_out(medium) for medium in media]
    released = any(line.state == "released" for line in lines)
    others = [line for line in lines if line.state != "released"]
    error, status = None, "completed" if released else "failed"
    if not job.is_final:
        status = "queued" if job.state in {Job.State.CHECKING, Job.State.QUEUED} else "in_progress"
    elif not released:
        told = nothing_released(job, others, {})
        error = {"code": told.code, "message": str(told)}
    first = next((one.medium for one in job.inputs.all() if one.role == "film"), None)
    return VideoOut(
        id=str(job.pk),
        model=job.model,
        status=status,
        progress=100 if job.is_final else min(round(100 * job.progress), 99),
        prompt=job.prompt,
        seconds=f"{job.seconds:g}",
        size=f"{job.width}x{job.height}",
        created_at=int(job.created_at.timestamp()),
        completed_at=int(job.finished_at.timestamp()) if job.finished_at else None,
        remixed_from_video_id=str(first.job_id) if first else None,
        error=error,
        vaglio={
            "state": job.state,
            "mode": job.mode,
            "price": job.price,
            "not_released": [line.dict(exclude_none=True) for line in others],
        },
    )


@router.post(
    "/videos",
    response={200: VideoOut, SUBMIT_ERRORS: ErrorOut},
    summary="Draw a film",
    openapi_extra=form(
        {"prompt": "What is to be seen."},
        input_reference="The picture that the film begins with. (file)",
        people_agreed=AGREED,
        seconds="How long it is: one of the model's lengths.",
        **{name: f"As in `jobs`: {name}." for name in ("model", "size", *sorted(OWN))},
    ),
)
async def draw_film(request: HttpRequest) -> Any:
    """Answers at once; ask for it again until it is completed or failed. Takes a form of parts, or JSON."""
    person: User = request.auth  # type: ignore[attr-defined]
    order = await sync_to_async(closing)(_order, person, request)
    job = await submit(person, order, request, route="videos")
    return await read(lambda: video_out(Job.objects.get(pk=job.pk)))


def _order(person: User, request: HttpRequest) -> Order:
    fields, files = _sent(request)
    said = inputs.agreed(fields.pop("people_agreed", None))
    if unknown := sorted((fields.keys() - {"prompt", "model", "seconds", "size", "input_reference"} - OWN)
                         | (files.keys() - {"input_reference"})):  # fmt: skip
        name = unknown[0][:64]
        raise ApiError(400, "invalid_value", f"There is no field {name!r}. Leave it out.", param=name)
    file, reference = files.get("input_reference"), fields.pop("input_reference", None)
    mode = "text_to_film" if file is None and reference is None else "image_to_film"
    fields |= {"mode": mode, "frames": _frames(mode, fields.get("model"), fields.pop("seconds", None))}
    if mode == "text_to_film":
        return check(**fields)
    try:
        if file is None:
            return check(**fields, picture=_known(reference))
        # Everything else is checked before a file is kept.
        check(**fields, picture=uuid.uuid4())
        verbs.admit(person)
        return check(**fields, picture=inputs.bring(person, file, mode=mode, name="picture", people_agreed=said).pk)
    except BadOrder as error:
        raise BadOrder("input_reference" if error.field == "picture" else error.field, str(error)) from error


def _sent(request: HttpRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields and files, of a form of parts or of JSON."""
    if request.content_type != "application/json":
        fields, files = parts(request)
        return dict(fields), dict(files)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json", f"The body is not valid JSON: {error}.") from error
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_json", 'The body must be a JSON object, like {"prompt": "a red ball bouncing"}.')
    return body, {}


def _known(reference: Any) -> Any:
    """The id in OpenAI's reference to a file that was brought before."""
    if isinstance(reference, dict):
        if "image_url" in reference:
            raise BadOrder("input_reference", "Addresses are not followed. Send the picture itself, as a file.")
        reference = reference.get("file_id")
    return reference


def _frames(mode: str, model: object, seconds: object) -> int | None:
    """How many frames a film of this length has; None leaves it to the model. Raises BadOrder."""
    if seconds in (None, ""):
        return None
    card = cards().get(model) if isinstance(model, str) else None
    if model in (None, "") and mode in sold_modes():
        card = default_card(mode)
    if card is None or mode not in card.modes:
        return None  # the check says what is wrong with it
    way = card.modes[mode]
    try:
        wanted = float(str(seconds)[:16])
    except ValueError:
        wanted = -1.0
    nearest = min(way.frames, key=lambda frames: abs(frames / way.fps - wanted))
    if not abs(nearest / way.fps - wanted) <= max(SECONDS_OFF * wanted, 0.5 / way.fps):
        lengths = " or ".join(f"{frames / way.fps:g}" for frames in way.frames)
        raise BadOrder("seconds", f"{card.title} draws films of {lengths} seconds, not {str(seconds)[:16]!r}.")
    return nearest


@router.get("/videos", response={200: dict[str, Any], READ_ERRORS: ErrorOut}, summary="Your films, newest first")
async def films(request: HttpRequest, limit: int = 20, after: UUID | None = None, order: str = "desc") -> Any:
    """At most 100 at a time; `after` is the id of the last one seen."""
    person: User = request.auth  # type: ignore[attr-defined]
    if not 1 <= limit <= MOST_LISTED:
        raise ApiError(400, "invalid_value", f"limit must be from 1 to {MOST_LISTED}.", param="limit")
    if order not in {"asc", "desc"}:
        raise ApiError(400, "invalid_value", "order is asc or desc.", param="order")

    def page() -> dict[str, Any]:
        mine = Job.objects.of(person).filter(mode__in=FILM_MODES)
        last = None if after is None else _own(person, after)
        found = list(
            mine.following(last, newest_first=order == "desc").prefetch_related("media__case", "inputs__medium")[
                : limit + 1
            ]
        )
        data = [video_out(job, list(job.media.all())).dict() for job in found[:limit]]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return {"object": "list", "data": data, "has_more": len(found) > limit, **ends}

    return await sync_to_async(closing)(page)


def _own(person: User, video_id: UUID) -> Job:
    """A person's own film. Somebody else's is not found, like one that never was, or a picture."""
    job = Job.objects.of(person).filter(pk=video_id, mode__in=FILM_MODES).first()
    if job is None:
        raise ApiError(404, "video_not_found", f"You have no film {video_id}.", param="video_id")
    return job


@router.get("/videos/{uuid:video_id}", response={200: VideoOut, READ_ERRORS: ErrorOut}, summary="One film")
async def film(request: HttpRequest, video_id: UUID) -> Any:
    person: User = request.auth  # type: ignore[attr-defined]
    return await sync_to_async(closing)(lambda: video_out(_own(person, video_id)))


@router.delete("/videos/{uuid:video_id}", response={200: dict[str, Any], SUBMIT_ERRORS: ErrorOut}, summary="Give it up")
async def give_up_film(request: HttpRequest, video_id: UUID) -> Any:
    """Stops a film that is not finished; it costs nothing. One that is finished is kept as long as its term is."""
    person: User = request.auth  # type: ignore[attr-defined]

    def act() -> dict[str, Any]:
        job = _own(person, video_id)
        if job.is_final and job.state != Job.State.CANCELLED:
            sentence = "It is finished, and is kept until its term ends."
            raise ApiError(422, "not_deletable", sentence, param="video_id")
        verbs.cancel(job, actor=person)
        return {"id": str(job.pk), "object": "video.deleted", "deleted": True}

    return await sync_to_async(closing)(act)


def _poster(medium: Medium) -> Any:
    case = medium.case
    return read_checked(case.poster_key, case.poster_sha256) if case is not None and case.poster_key else None


VARIANTS: dict[str, Callable[[Medium], Any]] = {
    "video": lambda medium: released_file(Medium.objects.filter(pk=medium.pk), medium.pk),
    "thumbnail": _poster,
}


@router.get("/videos/{uuid:video_id}/content", summary="The film itself")
async def film_content(request: HttpRequest, video_id: UUID, variant: str = "video") -> HttpResponse:
    """The MP4, or with `variant=thumbnail` the frame that stands for it, once it is released."""
    person: User = request.auth  # type: ignore[attr-defined]
    if variant not in VARIANTS:
        raise ApiError(400, "invalid_value", f"variant is {' or '.join(VARIANTS)}.", param="variant")

    def act() -> HttpResponse:
        medium = _released(_own(person, video_id))
        found = VARIANTS[variant](medium) if medium else None
        if found is None:
            sentence = "There is nothing to fetch: the film is not released. GET /v1/videos/{id} says how it stands."
            raise ApiError(404, "video_not_released", sentence, param="video_id")
        headers = {"Cache-Control": "private, no-cache", "ETag": f'"{found.sha256}"'}
        return in_pieces(request, found.data, content_type=found.content_type, headers=headers)

    answer: HttpResponse = await sync_to_async(closing)(act)
    return answer


def _released(job: Job) -> Medium | None:
    return Medium.objects.filter(job=job).shown().select_related("case").order_by("index").first()


class RemixIn(Schema, extra="forbid"):
    """OpenAI's videos.remix, with the strength of a variation beside."""

    prompt: Any = None
    strength: Any = None


@router.post("/videos/{uuid:video_id}/remix", response={200: VideoOut, SUBMIT_ERRORS: ErrorOut}, summary="Vary a film")
async def remix_film(request: HttpRequest, video_id: UUID, body: RemixIn) -> Any:
    """Another film over a released one of yours, with other words."""
    person: User = request.auth  # type: ignore[attr-defined]

    def take() -> Order:
        medium = _released(_own(person, video_id))
        if medium is None:
            raise ApiError(404, "video_not_released", "That film is not released, so it cannot be varied.")
        return check(prompt=body.prompt, strength=body.strength, mode="film_variation", film=str(medium.pk))

    order = await sync_to_async(closing)(take)
    job = await submit(person, order, request, route="videos.remix")
    return await read(lambda: video_out(Job.objects.get(pk=job.pk)))
