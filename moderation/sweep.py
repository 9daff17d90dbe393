"""What the sweeper sees to in this room: lost leases, forgotten wake-ups, cases nobody decided."""

import logging

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from journal import outbox
from journal.transactions import step
from moderation.actions import CaseTaken, Ruling, hold, refuse
from moderation.models import Case, Decision
from moderation.rules import policies
from moderation.screening.leases import note_fault, put_back

log = logging.getLogger(__name__)

AT_ONCE = 200


def recover_lost_leases() -> int:
    """Give back cases whose screening process fell silent; ask a person about those that it happened to often.

    Returns how many were moved. No file is decoded here: whatever killed the process must not kill the sweeper.
    """
    recovered = 0
    lost = [*Case.objects.abandoned().order_by("lease_until")[:AT_ONCE], *Case.objects.given_up()[:AT_ONCE]]
    for case in lost:
        token = case.lease_token
        if token is not None and case.attempts < settings.MOST_ATTEMPTS:
            recovered += put_back(case, token, counted=True)
            continue
        why = f"its screening process was lost {case.attempts} times"
        try:
            with step("sweep.unscreened"):
                screening = note_fault(case, worker="sweep", fault=why, policy_version=policies().version)
                ruling = Ruling(
                    kind=Decision.ActorKind.MACHINE,
                    reason=f"not screened: {why}",
                    verdict="unscreened",
                    screening=screening,
                )
                hold(case, ruling, fence={"lease_token": token})
        except CaseTaken:
            continue
        recovered += 1
    return recovered


def wake_if_waiting() -> bool:
    """Wake the screening process if anything waits: a wake-up may have been lost, or a pause is over."""
    if not Case.objects.ready().exists():
        return False
    with step("sweep.wake_screen"):
        outbox.wake("screen")
    return True


def refuse_overdue() -> int:
    """Refuse what no person decided by its deadline; it costs nothing. Returns how many.

    A case that a moderator has before them is theirs until their claim ends.
    """
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    overdue = Case.objects.filter(free, state=Case.State.IN_REVIEW, deadline__lt=now).order_by("deadline")
    refused = 0
    for case in overdue.select_related("person")[:AT_ONCE]:
        ruling = Ruling(kind=Decision.ActorKind.CLOCK, reason="not decided in time")
        fence = {"claimed_until": case.claimed_until, "deadline": case.deadline}
        try:
            refuse(case, ruling, fence=fence)
        except CaseTaken:
            log.info("case %s was decided as its deadline passed", case.pk)
            continue
        refused += 1
    return refused
