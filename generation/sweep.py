"""What the sweeper sees to in this room: lost leases, forgotten wake-ups."""

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from generation.actions.jobs import fail
from generation.models import Job, Turn
from generation.turns import lock_turn, requeue_alone
from journal import outbox
from journal.transactions import step


def recover_lost_leases() -> int:
    """Put jobs whose worker fell silent back in line, alone; fail those that were tried often enough.

    Each is retried by itself, so that a job which kills its worker costs its neighbours nothing more.
    Returns how many were moved.
    """
    recovered = 0
    expired = Q(state=Job.State.RUNNING, lease_until__lt=timezone.now())
    for job in Job.objects.filter(expired).order_by("lease_until")[:200]:
        with step("sweep.recover"):
            turn = lock_turn(job.person_id)
            if not Job.objects.select_for_update().filter(expired, pk=job.pk).exists():
                continue
            if job.attempts >= settings.MOST_ATTEMPTS:
                fail(job, reason=f"its worker was lost {job.attempts} times")
            else:
                requeue_alone(job, turn, reason="its worker fell silent")
            recovered += 1
    return recovered


def wake_if_waiting() -> bool:
    """Wake a worker if anybody waits: a wake-up may have been lost with the broker."""
    if not Turn.objects.filter(next_job__isnull=False, frozen=False).exists():
        return False
    with step("sweep.wake_draw"):
        outbox.wake("draw")
    return True
