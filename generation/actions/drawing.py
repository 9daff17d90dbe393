"""Draw a claimed batch and hand what came out to the sieve."""

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from generation import turns
from generation.actions import feed
from generation.actions.jobs import drop_medium, fail
from generation.engine import DrawItem, Drawn, Engine, ModelCard, NotDrawn, WeightsError
from generation.engine.encoding import original
from generation.models import Job, Medium
from generation.offer import cards
from generation.turns import Batch, line_up, lock_turn, requeue
from journal import files
from journal.failpoints import failpoint
from journal.leases import renewing
from journal.transactions import step
from moderation.actions import open_case

log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Every job of the batch was taken from us: cancelled, or given to another worker."""


class Lease:
    """Keeps a batch ours while it is drawn, from a thread of its own and from every step."""

    # The database is told of a step at most this often; the last one always.
    EVERY_SECONDS = 0.2

    def __init__(self, batch: Batch, on_hang: Callable[[], None]) -> None:
        self.batch = batch
        self.on_hang = on_hang
        self._stepped = time.monotonic()
        self.ours: set[uuid.UUID] = {job.pk for job in batch.jobs}
        self._told = 0.0

    def step(self, done: int, total: int) -> set[uuid.UUID]:
        """Note a step and learn which jobs are still ours. Raises LeaseLost when none is."""
        now = self._stepped = time.monotonic()
        if done >= total or now - self._told >= self.EVERY_SECONDS:
            self._told = now
            self.ours = turns.renew(self.batch.token, progress=done)
        if not self.ours:
            raise LeaseLost
        return self.ours

    def beating(self) -> AbstractContextManager[None]:
        """Renew in the background, unless no step comes for long."""
        return renewing(
            lambda: turns.renew(self.batch.token),
            what=f"batch {self.batch.token}",
            moved=lambda: self._stepped,
            on_hang=self.on_hang,
        )


def draw(batch: Batch, engine: Engine, *, on_hang: Callable[[], None] = lambda: None) -> bool:
    """Draw a batch and keep what came out. Whatever happens to it, every job in it moves on: screening, back in line,
    or failed.

    1. Draw, telling the database of each step; jobs cancelled meanwhile are left out.
    2. For each job still ours: files into quarantine, then rows, cases and a wake-up for the sieve.
    3. If the engine failed as a whole, each job is put back to be tried alone, or given up after enough attempts.

    Returns whether the engine did its work. Raises what is no fault of the jobs: a store or a database that is away,
    a model that cannot be loaded.
    """
    keep = begin(batch, engine, on_hang=on_hang)
    return keep is not None and keep()


def begin(batch: Batch, engine: Engine, *, on_hang: Callable[[], None] = lambda: None) -> Callable[[], bool] | None:
    """The first half of `draw`. Returns the second, to be called once, in this thread or another; None if it failed.

    So the engine may draw the next batch while files of this one are made. The lease is kept until both are over.
    """
    card = cards()[batch.model]
    media = {
        str(medium.pk): medium
        for medium in Medium.objects.filter(job__in=[job.pk for job in batch.jobs], state=Medium.State.WAITING)
        .select_related("job__person")
        .order_by("job_id", "index")
    }
    lease, held = Lease(batch, on_hang), ExitStack()
    held.enter_context(lease.beating())
    results: list[Drawn | NotDrawn] = []

    def on_step(done: int, total: int) -> Collection[str]:
        ours = lease.step(done, total)
        return [key for key, medium in media.items() if medium.job_id not in ours]

    def keep() -> bool:
        with held, _answering(batch) as answer:
            failpoint("draw.before_quarantine")
            for job in batch.jobs:
                wanted = {key: medium for key, medium in media.items() if medium.job_id == job.pk}
                _store(job, batch.token, [(wanted[r.key], r) for r in results if r.key in wanted])
            log.info("drew %d media for %d jobs with %s", len(results), len(batch.jobs), card.name)
        return answer.is_well

    with ExitStack() as undone:
        undone.push(held)
        with _answering(batch) as answer:
            results = _draw_in_parts(engine, card, list(media.values()), on_step)
        if answer.is_well and not answer.is_over:
            undone.pop_all()
            return keep
    return (lambda: True) if answer.is_well else None


@dataclass
class Answer:
    """How a part of the work ended: `is_well` if the engine is not to blame, `is_over` if nothing is left to do."""

    is_well: bool = True
    is_over: bool = False


@contextmanager
def _answering(batch: Batch) -> Iterator[Answer]:
    """See to the jobs of a batch when something goes wrong with it."""
    answer = Answer()
    try:
        yield answer
    except LeaseLost:
        answer.is_over = True
        log.info("batch %s is no longer ours; its drawing was stopped", batch.token)
    except (files.StoreFull, files.StoreAway, OSError, OperationalError) as error:
        # Nobody's fault: they wait until it is mended, and this worker stops asking until it is woken again.
        log.error("batch %s is given back: %s: %s", batch.token, type(error).__name__, error)
        _give_back(batch, "the machinery is being mended", counted=False)
        raise
    except Exception as error:
        log.exception("batch %s could not be drawn", batch.token)
        _give_back(batch, "the engine failed; it is tried again alone")
        if isinstance(error, WeightsError):
            raise
        answer.is_well = False


def _draw_in_parts(engine: Engine, card: ModelCard, media: list[Medium], on_step: Any) -> list[Drawn | NotDrawn]:
    """One call of the engine for each `max_batch` media: a job's n may exceed what fits at once."""
    results: list[Drawn | NotDrawn] = []
    at_once = card.modes[media[0].job.mode].max_batch if media else 1
    for start in range(0, len(media), at_once):
        part = media[start : start + at_once]
        items, missing = [], []
        given = {medium.job_id: medium.job for medium in part}
        fed = {key: feed.feed(card, job) for key, job in given.items()}
        for medium in part:
            goes_in = fed[medium.job_id]
            if goes_in is None:
                missing.append(NotDrawn(str(medium.pk), "no_input"))
            else:
                items.append(_item(card, medium, goes_in))
        results += missing
        results += engine.draw(card, items, on_step=on_step) if items else []
    return results


def _item(card: ModelCard, medium: Medium, goes_in: dict[str, Any]) -> DrawItem:
    job = medium.job
    width, height = card.modes[job.mode].native_size((job.width, job.height))
    return DrawItem(
        key=str(medium.pk),
        prompt=job.prompt,
        negative_prompt=job.negative_prompt,
        seed=medium.seed,
        width=width,
        height=height,
        steps=job.steps,
        guidance_scale=job.guidance_scale,
        mode=job.mode,
        strength=job.strength,
        frames=job.frames,
        fps=job.fps,
        **goes_in,
    )


def _store(job: Job, token: uuid.UUID, results: list[tuple[Medium, Drawn | NotDrawn]]) -> None:
    """Keep one job's originals and open their cases, if the lease is still ours.

    Files are written before rows: a row without a file is a broken page, a file without a row is only dust.
    """
    kept: list[tuple[Medium, Drawn, str, str]] = []
    for medium, result in results:
        if isinstance(result, Drawn):
            file = original(result)
            sha256 = files.digest(file.data)
            name = f"{token}/{sha256}{file.suffix}"
            kept.append((medium, result, files.write_once(files.quarantine(), name, file.data), sha256))
    with step("draw.store"):
        turn = lock_turn(job.person_id)
        if not Job.objects.select_for_update().filter(pk=job.pk, lease_token=token).exists():
            return
        goes_in = feed.told(job)
        for medium, drawn, name, sha256 in kept:
            film = {"frames": drawn.frames, "fps": drawn.fps} if drawn.fps else {}
            case = open_case(
                subject="medium",
                key=medium.pk,
                person=job.person,
                evidence={
                    "original_key": name,
                    "original_sha256": sha256,
                    "width": drawn.width,
                    "height": drawn.height,
                    "release_width": job.width,
                    "release_height": job.height,
                    "prompt": job.prompt,
                    "negative_prompt": job.negative_prompt,
                    "model": job.model,
                    "is_photographic": cards()[job.model].is_photographic,
                    "seed": medium.seed,
                    **film,
                    **goes_in,
                },
            )
            Medium.objects.filter(pk=medium.pk, state=Medium.State.WAITING).update(
                state=Medium.State.DRAWN,
                original_key=name,
                original_sha256=sha256,
                case=case,
                drawn_at=timezone.now(),
            )
        for medium, result in results:
            if isinstance(result, NotDrawn):
                drop_medium(medium, reason=SENTENCES.get(result.reason, "it could not be drawn"))
        if kept:
            job.move({Job.State.RUNNING}, Job.State.SCREENING, reason=f"{len(kept)} of {job.n} drawn")
        else:
            fail(job, reason=f"no {job.noun} came out whole")
        line_up(turn)


SENTENCES = {
    "not_finite": "the model made numbers that are no picture",
    "constant": "the model made an empty picture",
    "undecodable": "the picture was broken",
    "too_large": "it does not fit into the memory of the machine",
    "no_input": "what it starts from is not there any more",
    "error": "the engine failed on it",
    "cancelled": "it was cancelled",
}


def _give_back(batch: Batch, reason: str, *, counted: bool = True) -> None:
    """Put each job back to be tried alone, or give it up after enough attempts that count.

    The person reads `reason`, so it is a sentence of ours: an error may name files, hashes or hosts.
    """
    for job in batch.jobs:
        with step("draw.give_back"):
            turn = lock_turn(job.person_id)
            if not Job.objects.filter(pk=job.pk, lease_token=batch.token).exists():
                continue
            if counted and job.attempts >= settings.MOST_ATTEMPTS:
                fail(job, reason="the engine failed on it every time")
            else:
                requeue(job, turn, reason=reason, counted=counted)
