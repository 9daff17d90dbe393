"""What the sweeper sees to in this room: lost leases, forgotten wake-ups."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from generation.actions.jobs import fail
from generation.models import Job, Turn
from generation.offer import cards
from generation.turns import lock_turn, requeue
from journal import outbox
from journal.transactions import step

UNOFFERED = timedelta(minutes=10)


def recover_lost_leases() -> int:
    """Put jobs whose worker fell silent back in line, alone; fail those that were tried often enough.

    Each is retried by itself, so that a job which kills its worker costs its neighbours nothing more.
    Returns how many were moved.
    """
    recovered = 0
    # A lease that ends much later than any is given for comes from a clock that ran ahead.
    ahead = Now() + timedelta(seconds=3 * settings.LEASE_SECONDS)
    expired = Q(state=Job.State.RUNNING) & (Q(lease_until__lt=Now()) | Q(lease_until__gt=ahead))
    for job in Job.objects.filter(expired).order_by("lease_until")[:200]:
        with step("sweep.recover"):
            turn = lock_turn(job.person_id)
            if not Job.objects.select_for_update().filter(expired, pk=job.pk).exists():
                continue
            if job.attempts >= settings.MOST_ATTEMPTS:
                fail(job, reason=f"its worker was lost {job.attempts} times")
            else:
                requeue(job, turn, reason="its worker fell silent")
            recovered += 1
    return recovered


def fail_unoffered() -> int:
    """End jobs whose model the catalogue no longer has, once they have waited long enough for a worker that has it.

    At a roll-out, workers of another release may offer more than this one does. Returns how many were ended.
    """
    ended = 0
    waiting = Turn.objects.filter(next_job__queued_at__lt=Now() - UNOFFERED).exclude(next_model__in=list(cards()))
    for person in waiting.values_list("person_id", flat=True)[:200]:
        with step("sweep.unoffered"):
            job = lock_turn(person).next_job
            if job is not None and job.model not in cards():
                fail(job, reason=f"the model {job.model} is no longer offered", was=Job.State.QUEUED)
                ended += 1
    return ended


def wake_if_waiting() -> bool:
    """Wake a worker if anybody waits: a wake-up may have been lost with the broker."""
    if not Turn.objects.filter(next_job__isnull=False, frozen=False).exists():
        return False
    with step("sweep.wake_draw"):
        outbox.wake("draw")
    return True
