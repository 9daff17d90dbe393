"""What the sweeper sees to in this room: lost leases, forgotten wake-ups, cases nobody decided."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from journal import files, outbox
from journal.transactions import step
from moderation.actions import CaseTaken, Ruling, hold, refuse
from moderation.actions.uploads import erase, forget_raw
from moderation.models import Case, Decision, Inquiry, ReferencePicture, Upload
from moderation.rules import policies
from moderation.screening.leases import note_fault, put_back

log = logging.getLogger(__name__)

AT_ONCE = 200
INQUIRY_TERM = timedelta(days=1)


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
    if not (
        Case.objects.ready().exists()
        or Inquiry.objects.filter(state=Inquiry.State.WAITING).exists()
        or ReferencePicture.objects.filter(state=ReferencePicture.State.WAITING).exists()
    ):
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


def forget_raw_uploads() -> int:
    """Remove uploaded files that were decoded or refused: a sieve that was killed left them. Returns how many."""
    over = Q(decoded_at__isnull=False) | Q(case__state__in=[Case.State.REFUSED, Case.State.WITHDRAWN])
    left = Upload.objects.filter(over).exclude(raw_key="").order_by("created_at")[:AT_ONCE]
    for upload in left:
        forget_raw(upload)
    return len(left)


def erase_uploads() -> int:
    """Remove every file of uploads whose term is over (docs/retention.md). Returns how many.

    What is not decided yet is kept until it is.
    """
    ended = _upload_term()
    undecided = [Case.State.PENDING, Case.State.IN_REVIEW]
    over = Upload.objects.filter(erased_at__isnull=True, created_at__lt=ended).exclude(case__state__in=undecided)
    erased = 0
    for upload in over.select_related("case").order_by("created_at")[: 10 * AT_ONCE]:
        erase(upload)
        erased += 1
    return erased + _erase_unnamed(ended)


def forget_inquiries() -> int:
    """Remove what was asked about a file, a day after; and files that no row names any more. Returns how many rows."""
    ended = timezone.now() - INQUIRY_TERM
    gone, _ = Inquiry.objects.filter(asked_at__lt=ended).delete()
    for day in files.listing(files.quarantine(), Inquiry.FOLDER, files=False):
        if day < f"{ended:%Y-%m-%d}":
            files.remove_folder(files.quarantine(), f"{Inquiry.FOLDER}/{day}")
    return gone


def _upload_term() -> datetime:
    """Whatever was brought before this is kept no longer."""
    return timezone.now() - timedelta(days=settings.UPLOAD_DAYS)


def _erase_unnamed(ended: datetime) -> int:
    """Remove files of uploads that no row came of: who took them was killed at that. Returns of how many uploads.

    Lists the days that are over, so it costs what is left there and not what was ever brought.
    """
    erased = 0
    for store in (files.quarantine(), files.released()):
        for day in files.listing(store, Upload.FOLDER, files=False):
            if day >= f"{ended:%Y-%m-%d}":
                continue
            for name in files.listing(store, f"{Upload.FOLDER}/{day}", files=False):
                if not Upload.objects.filter(pk=name, erased_at__isnull=True).exists():
                    files.remove_folder(store, f"{Upload.FOLDER}/{day}/{name}")
                    erased += 1
    return erased
