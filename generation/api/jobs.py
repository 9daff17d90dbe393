"""Jobs, models and credits."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from ninja import Router, Schema, Status

from accounts.models import User
from billing import ledger
from generation.actions import jobs as verbs
from generation.api.errors import ApiError
from generation.api.images import closing, look, submit
from generation.api.shapes import READ_ERRORS, SUBMIT_ERRORS, ErrorOut, JobOut, OrderIn, job_out, way_out
from generation.follow import hub, read, until
from generation.models import Job
from generation.offer import cards, check, from_price

LISTED = {200: dict[str, Any], READ_ERRORS: ErrorOut}
router = Router(tags=["jobs"])

MOST_LISTED = 100


class QuoteOut(Schema):
    """What an order would cost, in credits."""

    price: int
    unit_price: int
    n: int


def _own(person: User, job_id: UUID) -> Job:
    """A person's own job. Somebody else's is not found, like one that never was."""
    job = Job.objects.of(person).filter(pk=job_id).first()
    if job is None:
        raise ApiError(404, "job_not_found", f"You have no job {job_id}.", param="job_id")
    return job


@router.post("/jobs", response={201: JobOut, SUBMIT_ERRORS: ErrorOut}, summary="Submit a job")
async def create(request: HttpRequest, body: OrderIn) -> Any:
    """Answers as soon as the prompt was judged, and after a moment in any case."""
    person: User = request.auth  # type: ignore[attr-defined]
    job = await submit(person, check(**body.order_fields()), request, route="jobs")
    await until(
        job,
        lambda: Job.objects.get(pk=job.pk),
        lambda seen: seen.state != Job.State.CHECKING,
        seconds=settings.INTAKE_WAIT_SECONDS,
    )
    return Status(201, await read(lambda: job_out(*look(job))))


@router.post("/jobs/quote", response={200: QuoteOut, READ_ERRORS: ErrorOut}, summary="What would it cost?")
async def quote(request: HttpRequest, body: OrderIn) -> Any:
    """The same check and the same price as submitting."""
    order = check(**body.order_fields())
    return QuoteOut(price=order.price, unit_price=order.unit_price, n=order.n)


@router.get("/jobs", response=LISTED, summary="Your jobs, newest first")
async def listing(request: HttpRequest, limit: int = 20, before: UUID | None = None) -> Any:
    """At most 100 at a time; `before` is the id of the last one seen."""
    person: User = request.auth  # type: ignore[attr-defined]
    if not 1 <= limit <= MOST_LISTED:
        raise ApiError(400, "invalid_value", f"limit must be from 1 to {MOST_LISTED}.", param="limit")

    def page() -> dict[str, Any]:
        jobs = Job.objects.of(person).following(None if before is None else _own(person, before))
        found = list(jobs.prefetch_related("media__case", "inputs")[: limit + 1])
        return {
            "object": "list",
            "data": [job_out(job, list(job.media.all()), place=False).dict() for job in found[:limit]],
            "has_more": len(found) > limit,
        }

    return await sync_to_async(closing)(page)


@router.get("/jobs/{uuid:job_id}", response={200: JobOut, READ_ERRORS: ErrorOut}, summary="One job")
async def retrieve(request: HttpRequest, job_id: UUID) -> Any:
    person: User = request.auth  # type: ignore[attr-defined]
    return await sync_to_async(closing)(lambda: job_out(_own(person, job_id)))


@router.delete("/jobs/{uuid:job_id}", response={200: JobOut, READ_ERRORS: ErrorOut}, summary="Cancel a job")
async def cancel(request: HttpRequest, job_id: UUID) -> Any:
    """Stops it wherever it is. Cancelling again, or when it is done, changes nothing and says how it stands."""
    person: User = request.auth  # type: ignore[attr-defined]

    def act() -> JobOut:
        job = _own(person, job_id)
        verbs.cancel(job, actor=person)
        return job_out(*look(job))

    return await sync_to_async(closing)(act)


@router.get("/jobs/{uuid:job_id}/events", summary="Follow a job (server-sent events)")
async def events(request: HttpRequest, job_id: UUID) -> StreamingHttpResponse:
    """One `job` event at once and one for each change, until the job is final or waits for a person.

    After five minutes it ends without an `end` event: ask again, with a key that is still good.
    """
    person: User = request.auth  # type: ignore[attr-defined]
    job: Job = await sync_to_async(closing)(_own, person, job_id)
    if not hub().has_room(person.pk):
        sentence = f"You follow {settings.MOST_STREAMS} jobs already. Close a stream first."
        raise ApiError(429, "too_many_streams", sentence, kind="rate_limit_error", headers={"Retry-After": "10"})
    answer = StreamingHttpResponse(_stream(job), content_type="text/event-stream")
    answer["X-Accel-Buffering"] = "no"
    return answer


async def _stream(job: Job) -> AsyncIterator[bytes]:
    last = ""
    quiet = 0.0
    end = time.monotonic() + settings.STREAM_SECONDS
    async with hub().following("job", str(job.pk), job.person_id) as event:
        while time.monotonic() < end:
            event.clear()
            seen = await read(lambda: job_out(*look(job)))
            # Signed addresses change at every look; they are no news.
            facts = seen.dict()
            news = json.dumps(facts | {"media": [medium | {"url": None} for medium in facts["media"]]})
            if news != last:
                last, quiet = news, 0.0
                yield f"event: job\ndata: {json.dumps(facts)}\n\n".encode()
            if seen.state in {*Job.FINAL, Job.State.IN_REVIEW}:
                yield b"event: end\ndata: {}\n\n"
                return
            if not await hub().changed(event, within=15):
                quiet += hub().POLL_SECONDS
                if quiet >= 15:
                    quiet = 0.0
                    yield b": still here\n\n"


@router.get(
    "/models",
    response=LISTED,
    tags=["catalogue"],
    summary="What can be drawn with",
)
async def models(request: HttpRequest) -> Any:
    """OpenAI's list, with sizes, limits, licence and price beside."""
    return {
        "object": "list",
        "data": [
            {
                "id": card.name,
                "object": "model",
                "created": 0,
                "owned_by": "vaglio",
                "title": card.title,
                "description": card.description,
                "modes": list(card.modes),
                **way_out(card.first),
                "ways": {name: way_out(way) for name, way in card.modes.items()},
                "price": from_price(card),
                "licence": card.licence,
                "commercial_ok": card.commercial_ok,
                "use_limits": card.use_limits,
            }
            for card in cards().values()
        ],
    }


@router.get("/models/{name}", response=LISTED, tags=["catalogue"], summary="One model")
async def model(request: HttpRequest, name: str) -> Any:
    listed = (await models(request))["data"]
    for card in listed:
        if card["id"] == name:
            return card
    raise ApiError(404, "model_not_found", f"There is no model {name[:64]!r}.", param="model")


@router.get("/credits", response=LISTED, tags=["credits"], summary="What you can spend")
async def credits(request: HttpRequest) -> Any:
    """Credits that can be spent, credits set aside for open jobs, and what expires when."""
    person: User = request.auth  # type: ignore[attr-defined]

    def count() -> dict[str, Any]:
        wallet = ledger.wallet_of(person)
        balance = ledger.balance(wallet)
        return {
            "object": "credits",
            "available": balance.available,
            "held": balance.held,
            "lots": [
                {
                    "remaining": lot.remaining,
                    "source": lot.source,
                    "expires": int(lot.expires_at.timestamp()) if lot.expires_at else None,
                }
                for lot in ledger.open_lots(wallet)
            ],
        }

    return JsonResponse(await sync_to_async(closing)(count))
