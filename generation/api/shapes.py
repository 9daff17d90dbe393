"""What goes in and out of the API."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse
from ninja import Schema

from generation.addresses import signed_path
from generation.models import Job, Medium


class OrderIn(Schema, extra="forbid"):
    """A request for pictures. Values are checked one by one, so that each error names its field."""

    prompt: Any = None
    negative_prompt: Any = ""
    model: Any = None
    size: Any = None
    n: Any = 1
    steps: Any = None
    guidance_scale: Any = None
    seed: Any = None

    def order_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OrderIn.model_fields}


class ImagesIn(OrderIn, extra="forbid"):
    """OpenAI's images.generate, with Vaglio's own fields beside."""

    response_format: Any = None
    quality: Any = None
    style: Any = None
    background: Any = None
    moderation: Any = None
    output_format: Any = None
    user: Any = None


class MediumOut(Schema):
    """One picture of a job. `url` is there only once it is released, and ends after five minutes."""

    index: int
    state: str
    seed: int
    url: str | None = None
    policy: str | None = None
    sentence: str | None = None
    statement: str | None = None


class JobOut(Schema):
    """A job as its owner sees it. `progress` runs from 0 to 1; `place` counts the turns before it."""

    id: str
    object: str = "job"
    state: str
    model: str
    prompt: str
    size: str
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
    out = MediumOut(index=medium.index, state=word, seed=medium.seed)
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


def job_out(job: Job, media: Sequence[Medium] | None = None) -> JobOut:
    """A job with its media. `media` must have their cases joined."""
    if media is None:
        media = list(job.media.select_related("case"))
    return JobOut(
        id=str(job.pk),
        state=job.state,
        model=job.model,
        prompt=job.prompt,
        size=f"{job.width}x{job.height}",
        n=job.n,
        price=job.price,
        step=job.progress_step,
        steps=job.steps,
        progress=round(job.progress, 3),
        place=job.queue_place(),
        created=int(job.created_at.timestamp()),
        finished=int(job.finished_at.timestamp()) if job.finished_at else None,
        failure=job.failure or None,
        media=[medium_out(medium) for medium in media],
    )
