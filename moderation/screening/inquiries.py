"""Look at a file that somebody asks about. Never imported by the web process."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from journal import files
from journal.transactions import step
from moderation import traces
from moderation.formats import limits
from moderation.formats.decoding import BadUpload, trace
from moderation.models import Inquiry
from moderation.screening.marks import keys

log = logging.getLogger(__name__)

# As long as a decoder may take, and a little: then another process may try.
LEASE = timedelta(seconds=limits.WALL_SECONDS + 30)


def answer_one() -> bool:
    """Answer the oldest inquiry that waits. False when there is none.

    1. It is claimed for as long as a decoder may take.
    2. The limited process opens the file; what it tells is looked up.
    3. The answer is written, once; the file is removed. The sweeper removes what a kill left.
    """
    with step("verify.claim"):
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
        inquiry = (
            Inquiry.objects.select_for_update(skip_locked=True)
            .filter(free, state=Inquiry.State.WAITING)
            .order_by("asked_at")
            .first()
        )
        if inquiry is None:
            return False
        Inquiry.objects.filter(pk=inquiry.pk).update(lease_until=Now() + LEASE, attempts=F("attempts") + 1)
    if inquiry.attempts >= settings.MOST_ATTEMPTS:
        _write(inquiry, Inquiry.State.FAILED, {"why": "It could not be looked at. Try another copy of it."})
        return True
    try:
        told = trace(files.read(files.quarantine(), inquiry.file_key), keys().anchors)
        _write(inquiry, Inquiry.State.ANSWERED, traces.answer(told))
    except BadUpload as bad:
        _write(inquiry, Inquiry.State.FAILED, {"why": str(bad)})
    except files.StoreAway:
        raise
    except files.StoreBroken as error:
        log.error("inquiry %s: %s", inquiry.pk, error)
        _write(inquiry, Inquiry.State.FAILED, {"why": "The file was lost on our side. Bring it again."})
    return True


def _write(inquiry: Inquiry, state: Inquiry.State, answer: dict[str, object]) -> None:
    with step("verify.answer"):
        Inquiry.objects.filter(pk=inquiry.pk, state=Inquiry.State.WAITING).update(
            state=state, answer=answer, answered_at=timezone.now(), lease_until=None, file_key=""
        )
    files.remove(files.quarantine(), inquiry.file_key)
