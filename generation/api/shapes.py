"""What goes in and out of the API."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse
from ninja import Field, Schema

from generation.addresses import signed_path
from generation.engine.cards import ModeCard, Span
from generation.models import Job, Medium
from generation.offer import LONGEST_PROMPT


def _said(kind: str, what: str, default: Any = None, **more: Any) -> Any:
    """A field that any value reaches, so that a wrong one gets a sentence of ours; documented as what it should be."""
    return Field(default, description=what, json_schema_extra={"type": kind, **more})


class OrderIn(Schema, extra="forbid"):
    """A request for pictures or films. Values are checked one by one, so that each error names its field."""

    prompt: Any = _said("string", "What to draw.", maxLength=LONGEST_PROMPT, example="a red apple on blue")
    negative_prompt: Any = _said("string", "What should not be in it.", "", maxLength=LONGEST_PROMPT)
    model: Any = _said("string", "One of `GET /v1/models`; the house's first when left out.")
    size: Any = _said("string", "One of the model's sizes, like 512x512.", example="512x512")
    n: Any = _said("integer", "How many pictures.", 1, minimum=1)
    steps: Any = _said("integer", "Denoising steps; the model's default when left out.", minimum=1)
    guidance_scale: Any = _said("number", "How closely the words are followed; the model's default when left out.")
    seed: Any = _said("integer", "The same words and seed give the same picture.", minimum=0)
    priority: Any = _said("string", "`normal`, or `low` to wait behind your other jobs.")
    mode: Any = _said("string", "What to do: one of the model's modes in `GET /v1/models`.", "text_to_image")
    picture: Any = _said("string", "The picture to start from: the id of an upload, or of a released one of yours.")
    mask: Any = _said("string", "Where that picture is drawn anew: the id of an upload.")
    control: Any = _said("string", "A sketch or a painted map to follow: the id of an upload.")
    last: Any = _said(
        "string", "The picture that a film ends with: the id of an upload, or of a released one of yours."
    )
    film: Any = _said("string", "The film to start from: the id of an upload, or of a released one of yours.")
    strength: Any = _said(
        "number", "How far it may leave what it starts from, 0 to 1; the model's default when left out."
    )
    frames: Any = _said("integer", "How many frames a film has; the model's default when left out.", minimum=1)
    acknowledge: Any = _said(
        "array",
        "Policies that you answer for: those whose refusal came with a sentence under `vaglio.acknowledge`.",
        items={"type": "string"},
    )

    def order_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OrderIn.model_fields}


class ImagesIn(OrderIn, extra="forbid"):
    """OpenAI's images.generate, with Vaglio's own fields beside."""

    response_format: Any = _said("string", "`url`, which ends after five minutes, or `b64_json`.", "url")
    quality: Any = _said("string", "`auto` or `standard`.")
    style: Any = _said("string", "`natural` or `vivid`; both are drawn alike.")
    background: Any = _said("string", "`auto` or `opaque`.")
    moderation: Any = _said("string", "`auto`; the gate cannot be lowered.")
    output_format: Any = _said("string", "`png`.")
    user: Any = _said("string", "A name of your own for whom this is; not kept.")


class ErrorBody(Schema):
    """`code` is for programs, `message` for people; `param` names the field that is wrong."""

    message: str
    type: str
    param: str | None = None
    code: str
    vaglio: dict[str, Any] | None = None


class ErrorOut(Schema):
    """An error in the shape that OpenAI's clients read."""

    error: ErrorBody


READ_ERRORS = frozenset({400, 401, 404, 405})
SUBMIT_ERRORS = READ_ERRORS | {402, 403, 409, 413, 415, 422, 429, 500, 503, 504}


class MediumOut(Schema):
    """One picture or film of a job. `url` is there only once it is released, and ends after five minutes."""

    id: str
    index: int
    state: str
    seed: int
    url: str | None = None
    policy: str | None = None
    sentence: str | None = None
    statement: str | None = None


class JobOut(Schema):
    """A job as its owner sees it. `progress` runs from 0 to 1; `place` counts the turns before it, where one
    job is asked for."""

    id: str
    object: str = "job"
    state: str
    mode: str
    model: str
    prompt: str
    inputs: dict[str, str]
    size: str
    seconds: float | None = None
    n: int
    price: int
    step: int
    steps: int
    progress: float
    place: int | None = None
    created: int
    finished: int | None = None
    failure: str | None = None
    media: list[MediumOut]


def medium_out(medium: Medium) -> MediumOut:
    """A medium, with an address only if it is released."""
    word = medium.word
    out = MediumOut(id=str(medium.pk), index=medium.index, state=word, seed=medium.seed)
    if word == "released":
        out.url = settings.BASE_URL + signed_path(medium)
    elif word in {"refused", "withdrawn", "in_review"} and medium.case is not None:
        out.policy = medium.case.policy_code or None
        out.sentence = {
            "refused": "It was refused. You were not charged for it.",
            "withdrawn": "It was taken back after its release.",
            "in_review": "It is held for a person to look at.",
        }[word]
        if word != "in_review":
            out.statement = settings.BASE_URL + reverse("statement", args=[medium.case_id])
    elif medium.failure:
        out.sentence = f"{medium.failure[0].upper()}{medium.failure[1:]}. You were not charged for it."
    return out


def job_out(job: Job, media: Sequence[Medium] | None = None, *, place: bool = True) -> JobOut:
    """A job with its media, which must have their cases joined. Its place in line costs three queries."""
    if media is None:
        media = list(job.media.select_related("case"))
    return JobOut(
        id=str(job.pk),
        state=job.state,
        mode=job.mode,
        model=job.model,
        prompt=job.prompt,
        inputs={given.role: str(given.medium_id or given.upload_id) for given in job.inputs.all()},
        size=f"{job.width}x{job.height}",
        seconds=round(job.seconds, 3) if job.is_film else None,
        n=job.n,
        price=job.price,
        step=job.progress_step,
        steps=job.steps,
        progress=round(job.progress, 3),
        place=job.queue_place() if place else None,
        created=int(job.created_at.timestamp()),
        finished=int(job.finished_at.timestamp()) if job.finished_at else None,
        failure=job.failure or None,
        media=[medium_out(medium) for medium in media],
    )


def way_out(way: ModeCard) -> dict[str, Any]:
    """How a model does one mode, as the catalogue tells it."""
    told: dict[str, Any] = {
        "sizes": [f"{width}x{height}" for width, height in way.release_sizes],
        "n_max": way.n_max,
        "steps": _span_out(way.steps),
        "guidance_scale": _span_out(way.guidance_scale),
    }
    if way.strength:
        told["strength"] = _span_out(way.strength)
    if way.mode.is_film:
        told |= {"frames": list(way.frames), "fps": way.fps}
    return told


def _span_out(span: Span[Any]) -> dict[str, float]:
    return {"default": span.default, "min": span.least, "max": span.most}
