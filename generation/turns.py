"""Whose turn it is: the fair line, and the claim of a batch from it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from generation.models import Job, Turn
from journal.events import announce
from journal.transactions import require_transaction, step

# Virtual time is credits times this, over weight: integers, and a weight of 7 still divides well.
SCALE = 1000


def lock_turn(person_id: int) -> Turn:
    """The person's place in line, locked. First lock on every path that changes which job is next."""
    require_transaction()
    Turn.objects.bulk_create([Turn(person_id=person_id)], ignore_conflicts=True)
    return Turn.objects.select_for_update().get(person_id=person_id)


def line_up(turn: Turn) -> None:
    """Point a locked turn at the person's oldest queued job, or at none. Call after any change to their queue."""
    require_transaction()
    waited = turn.next_job_id is not None
    job = (
        Job.objects.filter(person_id=turn.person_id, state=Job.State.QUEUED)
        .order_by("queued_at", "id")
        .only("id", "model", "batch_key")
        .first()
    )
    turn.next_job = job
    turn.next_model = job.model if job else ""
    turn.next_key = job.batch_key if job else ""
    if job and not waited:
        least = (
            Turn.objects.filter(next_job__isnull=False, frozen=False)
            .exclude(pk=turn.pk)
            .order_by("virtual_time")
            .values_list("virtual_time", flat=True)
            .first()
        )
        turn.virtual_time = max(turn.virtual_time, least or 0)
    turn.save(update_fields=["next_job", "next_model", "next_key", "virtual_time"])


@dataclass
class Affinity:
    """How many batches in a row a worker has preferred the model it has loaded over the next in line."""

    loaded: str | None = None
    turns: int = 0


@dataclass
class Batch:
    """Jobs of one key under one lease. `token` fences every later write: who lost the lease writes nothing."""

    token: uuid.UUID
    model: str
    jobs: list[Job] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many media it draws at the most."""
        return sum(job.n for job in self.jobs)


def claim(*, worker: str, affinity: Affinity, batch_sizes: dict[str, int]) -> Batch | None:
    """Take the next batch: first by fairness, then whatever coalesces with it. None when nobody waits.

    1. The head of the line: least virtual time, then least recently served. The loaded model goes first if some
       of its work waits, but only `AFFINITY_TURNS` batches in a row.
    2. Jobs that can be drawn together with it, in line order, until the model's batch is full.
    3. All under one token, in one transaction. Turns that another worker is claiming from are skipped.

    Costs a few index look-ups per job taken, whatever the length of the queue.
    """
    token = uuid.uuid4()
    with step("draw.claim"):
        head = _head(affinity)
        if head is None or head.next_job is None:
            return None
        batch = Batch(token=token, model=head.next_model)
        capacity = batch_sizes.get(head.next_model, 1)
        turns: Sequence[Turn] = [head]
        key = head.next_key
        while turns:
            for turn in turns:
                _take(turn, batch, worker)
            if batch.size >= capacity or ":alone:" in key:
                break
            room = capacity - batch.size
            turns = list(
                Turn.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("next_job")
                .filter(next_job__isnull=False, frozen=False, next_key=key, next_job__n__lte=room)
                .order_by("virtual_time", F("last_served_at").asc(nulls_first=True))[:1]
            )
    affinity.turns = affinity.turns + 1 if affinity.loaded == batch.model else 0
    affinity.loaded = batch.model
    return batch


def _head(affinity: Affinity) -> Turn | None:
    line = (
        Turn.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("next_job")
        .filter(next_job__isnull=False, frozen=False)
        .order_by("virtual_time", F("last_served_at").asc(nulls_first=True))
    )
    if affinity.loaded and affinity.turns < settings.AFFINITY_TURNS:
        preferred = line.filter(next_model=affinity.loaded).first()
        if preferred is not None:
            return preferred
    return line.first()


def _take(turn: Turn, batch: Batch, worker: str) -> None:
    """Move the turn's next job into the batch and charge the turn for it."""
    job = turn.next_job
    assert job is not None
    now = timezone.now()
    taken = job.move(
        {Job.State.QUEUED},
        Job.State.RUNNING,
        reason=f"claimed by {worker}"[:200],
        lease_token=batch.token,
        lease_until=now + timedelta(seconds=settings.LEASE_SECONDS),
        worker=worker,
        attempts=F("attempts") + 1,
        progress_step=0,
        started_at=now,
    )
    if taken:
        job.refresh_from_db(fields=["attempts"])
        batch.jobs.append(job)
        turn.virtual_time += job.price * SCALE // max(turn.weight, 1)
        turn.last_served_at = now
        turn.save(update_fields=["virtual_time", "last_served_at"])
    line_up(turn)


def renew(token: uuid.UUID, *, progress: int | None = None) -> set[uuid.UUID]:
    """Prolong a lease and note the step reached. Returns the jobs that are still ours.

    A job that was cancelled, or whose lease was given to another, is missing from the answer.
    """
    until = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    with step("draw.renew"), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE generation_job SET lease_until = %s, progress_step = COALESCE(%s, progress_step)
             WHERE lease_token = %s AND state = 'running' RETURNING id
            """,
            [until, progress, token],
        )
        ours = {row[0] for row in cursor.fetchall()}
        if progress is not None:
            for pk in ours:
                announce("job", str(pk))
    return ours


def requeue_alone(job: Job, turn: Turn, *, reason: str, counted: bool = True) -> bool:
    """Back in line at its old place, to be drawn in a batch of its own. Not `counted`: the job is not to blame."""
    key = job.batch_key.partition(":alone:")[0] + f":alone:{job.pk}"
    fields: dict[str, object] = {"batch_key": key[:160], "progress_step": 0}
    if not counted:
        fields["attempts"] = F("attempts") - 1
    moved = job.move({Job.State.RUNNING}, Job.State.QUEUED, reason=reason, **fields)
    line_up(turn)
    return moved
