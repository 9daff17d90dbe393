"""What was refused in this house, as each CLIP sees it: in the memory of a screening process, and kept up to date.

Whoever looks at pictures asks for it; then what was refused or forgiven since is read, by two look-ups in an index. The
first time everything is: one row for each picture that stands refused.
"""

import threading
from datetime import datetime, timedelta

from django.db import Error
from django.db.models import Q
from django.utils import timezone

from moderation.classifiers.likeness import Refusal, Refusals
from moderation.models import BlockedPicture, Embedding
from moderation.rules import policies
from moderation.signals import MachineryFault

# Clocks of hosts differ, and what was committed late is dated before: so much is read again each time.
OVERLAP = timedelta(minutes=10)


class _Kept:
    """What one version of one CLIP knows, and until when it was read."""

    def __init__(self) -> None:
        self.by_case: dict[int, Refusal] = {}
        self.read_at: datetime | None = None
        self.table = Refusals(())


_lock = threading.Lock()
_kept: dict[tuple[str, str], _Kept] = {}


def of(model: str, version: str) -> Refusals:
    """All that stands refused, as this CLIP sees it. Raises MachineryFault where it cannot be read."""
    with _lock:
        kept = _kept.setdefault((model, version), _Kept())
        try:
            _refresh(kept, model, version)
        except Error as error:
            raise MachineryFault(f"what was refused cannot be read: {str(error).partition(chr(10))[0]}") from error
        return kept.table


def _refresh(kept: _Kept, model: str, version: str) -> None:
    now = timezone.now()
    changed = BlockedPicture.objects.filter(case__isnull=False)
    if kept.read_at is not None:
        since = kept.read_at - OVERLAP
        changed = changed.filter(Q(added_at__gt=since) | Q(retired_at__gt=since))
    cases = set(changed.values_list("case_id", flat=True))
    standing = dict(BlockedPicture.objects.standing().filter(case__in=cases).values_list("case_id", "policy_code"))
    seen = Embedding.objects.filter(model=model, version=version, case__in=standing)
    rows = {
        case_id: Refusal(case_id, standing[case_id], _severity(standing[case_id]), bytes(vector))
        for case_id, vector in seen.values_list("case_id", "vector")
    }
    was = {case_id: kept.by_case[case_id] for case_id in cases & kept.by_case.keys()}
    if rows != was:
        kept.by_case = {case_id: one for case_id, one in kept.by_case.items() if case_id not in was} | rows
        kept.table = Refusals(list(kept.by_case.values()))
    kept.read_at = now


def _severity(policy_code: str) -> int:
    policy = policies().named(policy_code)
    return policy.severity if policy else 0
