"""Whose turn it is: the fair line, and the claim of a batch from it."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from generation.models import Job, JobHistory, Turn
from journal.events import announce_all
from journal.transactions import require_transaction, step

# Virtual time is credits times this, over weight: integers, and a weight of 7 still divides well.
SCALE = 1000


def lock_turn(person_id: int) -> Turn:
    """The person's place in line, locked. First lock on every path that changes which job is next."""
    require_transaction()
    Turn.objects.bulk_create([Turn(person_id=person_id)], ignore_conflicts=True)
    return Turn.objects.select_for_update().get(person_id=person_id)


def weigh(turn: Turn, weight: int) -> None:
    """Give a locked turn the weight of its person's plan."""
    if turn.weight != weight:
        turn.weight = weight
        turn.save(update_fields=["weight"])


def line_up(turn: Turn, *, returning: bool | None = None) -> None:
    """Point a locked turn at the person's oldest queued job, or at none. Call after any change to their queue.

    Whoever returns to the line starts where it stands. `returning` None: they do if they had nothing in it.
    """
    require_transaction()
    if returning is None:
        returning = turn.next_job_id is None
    job = (
        Job.objects.filter(person_id=turn.person_id, state=Job.State.QUEUED)
        .order_by("priority", "queued_at", "id")
        .only("id", "model", "batch_key")
        .first()
    )
    turn.next_job = job
    turn.next_model = job.model if job else ""
    turn.next_key = job.batch_key if job else ""
    if job and returning:
        turn.virtual_time = max(turn.virtual_time, _standing(but=turn))
    turn.save(update_fields=["next_job", "next_model", "next_key", "virtual_time"])


def _standing(*, but: Turn) -> int:
    """The virtual time of the line: the least of those who wait. When nobody does, the greatest ever served.

    Were it nought for an empty line, a newcomer could go ahead of everyone who was ever served before.
    """
    others = Turn.objects.exclude(pk=but.pk).values_list("virtual_time", flat=True)
    least = others.filter(next_job__isnull=False, frozen=False).order_by("virtual_time").first()
    return least if least is not None else others.order_by("-virtual_time").first() or 0


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
    3. All under one token, in one transaction. Turns that somebody else has locked are skipped, unless there is
       no other: then it waits for the first, or work would be overlooked.

    Only jobs of the models named in `batch_sizes`, with how many media each draws at once.

    Costs a few index look-ups per job taken, whatever the length of the queue.
    """
    batch = Batch(token=uuid.uuid4(), model="")
    with step("draw.claim"):
        head = _head(affinity, batch_sizes)
        if head is None or head.next_job is None:
            return None
        batch.model = head.next_model
        key = head.next_key
        capacity = batch_sizes.get(head.next_model, 1)
        turns = [head]
        while turns:
            _take(turns, batch, worker)
            room = capacity - batch.size
            turns = [] if room <= 0 or ":alone:" in key else _fitting(key, room)
    affinity.turns = affinity.turns + 1 if affinity.loaded == batch.model else 0
    affinity.loaded = batch.model
    return batch


def _line(*, skip_locked: bool = True) -> QuerySet[Turn]:
    """Whose turn it is, in order, locked; without those that somebody else has locked, or after waiting for them."""
    return (
        Turn.objects.select_for_update(skip_locked=skip_locked, of=("self",))
        .select_related("next_job")
        .filter(next_job__isnull=False, frozen=False)
        .order_by("virtual_time", F("last_served_at").asc(nulls_first=True))
    )


def _head(affinity: Affinity, models: Collection[str]) -> Turn | None:
    if affinity.loaded in models and affinity.turns < settings.AFFINITY_TURNS:
        preferred = _line().filter(next_model=affinity.loaded).first()
        if preferred is not None:
            return preferred
    free = _line().filter(next_model__in=models).first()
    return free or _line(skip_locked=False).filter(next_model__in=models).first()


def _fitting(key: str, room: int) -> list[Turn]:
    """The next people in line whose job can be drawn along, one job each, as far as there is room."""
    fitting = []
    for turn in _line().filter(next_key=key, next_job__n__lte=room)[:room]:
        assert turn.next_job is not None
        if turn.next_job.n <= room:
            fitting.append(turn)
            room -= turn.next_job.n
    return fitting


def _take(turns: Sequence[Turn], batch: Batch, worker: str) -> None:
    """Move each turn's next job into the batch, charge the turn for it, and line up the one behind.

    A handful of statements for all of them, however many.
    """
    now = timezone.now()
    wanted = [turn.next_job_id for turn in turns if turn.next_job_id is not None]
    Job.objects.filter(pk__in=wanted, state=Job.State.QUEUED).update(
        state=Job.State.RUNNING,
        lease_token=batch.token,
        lease_until=Now() + timedelta(seconds=settings.LEASE_SECONDS),
        worker=worker,
        attempts=F("attempts") + 1,
        progress_step=0,
        started_at=now,
    )
    taken = {job.pk: job for job in Job.objects.filter(pk__in=wanted, lease_token=batch.token).select_related("person")}
    JobHistory.objects.bulk_create(
        JobHistory(job=job, from_state=Job.State.QUEUED, to_state=job.state, reason=f"claimed by {worker}"[:200])
        for job in taken.values()
    )
    announce_all("job", [str(pk) for pk in taken])
    behind = _next_jobs([turn.person_id for turn in turns])
    for turn in turns:
        job = taken.get(turn.next_job_id) if turn.next_job_id else None
        if job is not None:
            batch.jobs.append(job)
            turn.virtual_time += charge(job, turn)
            turn.last_served_at = now
        turn.next_job_id, turn.next_model, turn.next_key = behind[turn.person_id]
    fields = ["virtual_time", "last_served_at", "next_job", "next_model", "next_key"]
    Turn.objects.bulk_update(turns, fields)


def charge(job: Job, turn: Turn) -> int:
    """What drawing a job adds to its person's virtual time."""
    return job.price * SCALE // max(turn.weight, 1)


def _next_jobs(people: list[int]) -> dict[int, tuple[uuid.UUID | None, str, str]]:
    """Each person's oldest queued job: its id, model and key. One index look-up for each person."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT person.id, job.id, COALESCE(job.model, ''), COALESCE(job.batch_key, '')
              FROM unnest(%s::bigint[]) person (id)
              LEFT JOIN LATERAL (
                    SELECT id, model, batch_key FROM generation_job
                     WHERE person_id = person.id AND state = 'queued'
                     ORDER BY priority, queued_at, id LIMIT 1) job ON true
            """,
            [people],
        )
        return {person: (job, model, key) for person, job, model, key in cursor.fetchall()}


def renew(token: uuid.UUID, *, progress: int | None = None) -> set[uuid.UUID]:
    """Prolong a lease and note the step reached. Returns the jobs that are still ours.

    A job that was cancelled, or whose lease was given to another, is missing from the answer. Leases are told by the
    clock of the database, which all hosts share.
    """
    with step("draw.renew"), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE generation_job SET lease_until = clock_timestamp() + make_interval(secs => %s),
                   progress_step = COALESCE(%s, progress_step)
             WHERE lease_token = %s AND state = 'running' RETURNING id
            """,
            [settings.LEASE_SECONDS, progress, token],
        )
        ours = {row[0] for row in cursor.fetchall()}
        if progress is not None:
            announce_all("job", [str(pk) for pk in ours])
    return ours


def requeue(job: Job, turn: Turn, *, reason: str, counted: bool = True) -> bool:
    """Back in line at its old place, to be drawn in a batch of its own. Not `counted`: the job is not to blame.

    The turn that was charged for it is given back.
    """
    fields: dict[str, Any] = {"progress_step": 0}
    if counted:
        fields["batch_key"] = (job.batch_key.partition(":alone:")[0] + f":alone:{job.pk}")[:160]
    else:
        fields["attempts"] = F("attempts") - 1
    moved = job.move({Job.State.RUNNING}, Job.State.QUEUED, reason=reason, **fields)
    if moved:
        turn.virtual_time = max(0, turn.virtual_time - charge(job, turn))
    line_up(turn, returning=False)
    return moved
