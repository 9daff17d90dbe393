"""Claim pending cases for one screening process, and give them back."""

import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from journal.leases import renewing
from journal.transactions import require_transaction, step
from moderation.formats import limits
from moderation.models import Case, Screening

# How many are screened together. Prompts cost little, and somebody waits for them.
BATCH = {Case.Subject.PROMPT: 32, Case.Subject.UPLOAD: 8, Case.Subject.MEDIUM: 8}
# After a fault of the machinery; the sweeper wakes us when it is over.
PAUSE = timedelta(seconds=2)
# For a question with a file: as long as a decoder may take, and a little. Then another process may try.
ANSWER = timedelta(seconds=limits.WALL_SECONDS + 30)
Asked = TypeVar("Asked", bound=Model)


@dataclass(frozen=True)
class Batch:
    """Cases of one kind under one lease. `token` fences every later write: who lost the lease decides nothing."""

    token: uuid.UUID
    worker: str
    subject: Case.Subject
    cases: Sequence[Case]


def claim(worker: str) -> Batch | None:
    """Take the oldest waiting cases of one kind: prompts first. None when nothing waits.

    A case that was tried before is taken alone, so that one which kills its process costs its neighbours nothing.
    The sieves of other processes skip what we lock. Costs one index look-up per kind.
    """
    token = uuid.uuid4()
    with step("screen.claim"):
        for subject, size in BATCH.items():
            waiting = (
                Case.objects.ready()
                .filter(subject=subject, attempts__lt=settings.MOST_ATTEMPTS)
                .order_by("opened_at", "id")
                .select_for_update(skip_locked=True, of=("self",))
                .select_related("person")
            )
            head = waiting.first()
            if head is None:
                continue
            cases = [head] if head.attempts else list(waiting.filter(attempts=0)[:size])
            Case.objects.filter(pk__in=[case.pk for case in cases]).update(
                lease_token=token, lease_until=_lease_end(), attempts=F("attempts") + 1, retry_at=None
            )
            for case in cases:
                case.attempts += 1
                case.lease_token = token
            return Batch(token=token, worker=worker, subject=subject, cases=cases)
    return None


def take_oldest(waiting: QuerySet[Asked], *, by: str) -> Asked | None:
    """The row that has waited longest by this field and is under nobody's lease, under ours now; None where none is.

    For questions that one process answers whole, and writes once: who lost the lease finds the answer given. To be
    called in a transaction. `attempts` of what is returned are those before this one.
    """
    require_transaction()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    oldest = waiting.filter(free).select_for_update(skip_locked=True).order_by(by).first()
    if oldest is not None:
        waiting.filter(pk=oldest.pk).update(lease_until=Now() + ANSWER, attempts=F("attempts") + 1)
    return oldest


def _lease_end() -> CombinedExpression:
    """By the clock of the database, which all hosts share."""
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)


def beating(batch: Batch) -> AbstractContextManager[None]:
    """Renew the lease of a batch in the background: the classifiers may take longer than it lasts."""
    began = time.monotonic()
    return renewing(lambda: renew(batch.token), what=f"batch {batch.token}", moved=lambda: began)


def renew(token: uuid.UUID) -> int:
    """Prolong a lease. Returns how many cases are still ours."""
    with step("screen.renew"):
        return Case.objects.filter(lease_token=token, state=Case.State.PENDING).update(lease_until=_lease_end())


def put_back(case: Case, token: uuid.UUID, *, counted: bool) -> bool:
    """Give a case back to be screened again. False if the lease was lost meanwhile.

    A fault of the machinery does not count against the case, and is waited out for a moment.
    """
    changes: dict[str, Any] = {"lease_token": None, "lease_until": None}
    if not counted:
        changes |= {"attempts": F("attempts") - 1, "retry_at": Now() + PAUSE}
    with step("screen.put_back"):
        return bool(Case.objects.filter(pk=case.pk, state=Case.State.PENDING, lease_token=token).update(**changes))


def note_fault(case: Case, *, worker: str, fault: str, policy_version: str) -> Screening:
    """Keep a screening that failed."""
    return Screening.objects.create(
        case=case, attempt=case.attempts, fault=fault[:300], policy_version=policy_version, worker=worker[:128]
    )
