"""Put hashes of pictures on a list, and take them off; remember what was refused here, and forgive it."""

from collections.abc import Mapping
from hashlib import sha256

from django.db import connection
from django.utils import timezone

from journal.transactions import require_transaction, step
from moderation.models import BlockedPicture, Case, Decision, ListChange
from moderation.provenance.hashes import LEAST_QUALITY

AT_ONCE = 5_000
# Imports and retirements wait for each other: two of the same file at once are one.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('moderation_blockedpicture'))"


class OtherPolicy(Exception):
    """The list names some of these pictures under another policy."""

    def __init__(self, source: str, code: str, digits: str) -> None:
        super().__init__(
            f"The list “{source}” names {digits[:16]}… under {code} already. Retire it there first, or name {code}."
        )


class Imported:
    """What came of an import: how many were added, were there already, and had been retired and stay so."""

    def __init__(self, added: int, there: int, retired: int) -> None:
        self.added, self.there, self.retired = added, there, retired


def import_list(
    hashes: Mapping[str, str], *, source: str, policy_code: str, file_sha256: str, by: str, again: bool = False
) -> Imported:
    """Put these hashes, each with what the list says of it, on a list: all of them or none.

    Run again with the same file it adds nothing. What was retired from the list stays retired unless `again`.
    Raises OtherPolicy.
    """
    added, there, retired = [], 0, 0
    with step("blocklist.import"):
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        wanted = list(hashes)
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            rows = BlockedPicture.objects.filter(source=source, case__isnull=True, digits__in=part)
            standing, gone = {}, set()
            for digits, code, retired_at in rows.values_list("digits", "policy_code", "retired_at"):
                if retired_at is None:
                    standing[digits] = code
                else:
                    gone.add(digits)
            if (other := next((one for one, code in standing.items() if code != policy_code), None)) is not None:
                raise OtherPolicy(source, standing[other], other)
            gone -= standing.keys()
            there += len(standing)
            retired += len(gone)
            added += [one for one in part if one not in standing and (again or one not in gone)]
        if added:
            change = ListChange.objects.create(
                act=ListChange.Act.IMPORT, source=source, policy_code=policy_code, hashes=len(added),
                digest=digest(added), file_sha256=file_sha256, by=by,
            )  # fmt: skip
            BlockedPicture.objects.bulk_create(
                (
                    BlockedPicture(
                        digits=one, source=source, reference=hashes[one], policy_code=policy_code, added_with=change
                    )
                    for one in added
                ),
                batch_size=AT_ONCE,
            )
    return Imported(len(added), there, 0 if again else retired)


def retire(*, source: str = "", digits: str = "", case: int | None = None, by: str, reason: str) -> int:
    """Take what a list names, one hash, or what a case left, off every look-up. The rows stay. Returns how many."""
    with step("blocklist.retire"):
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        meant = BlockedPicture.objects.standing()
        if source:
            meant = meant.filter(source=source)
        if digits:
            meant = meant.filter(digits=digits)
        if case is not None:
            meant = meant.filter(case=case)
        found = list(meant.values_list("digits", flat=True))
        if found:
            ListChange.objects.create(
                act=ListChange.Act.RETIRE, source=source, hashes=len(found), digest=digest(found), by=by, reason=reason
            )
            meant.update(retired_at=timezone.now(), retired_by=by, retired_reason=reason)
    return len(found)


def digest(hashes: list[str]) -> str:
    """Over hashes in any order."""
    return sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def remember(case: Case, decision: Decision) -> None:
    """Keep what a case looks like that is refused, in the transaction that refuses it: its hashes, and no pixels.

    Nothing where no policy is named, and of what has too little in it to be told from others.
    """
    require_transaction()
    if not decision.policy_code:
        return
    told = {digits for _, digits, quality in case.derivative_traces if quality >= LEAST_QUALITY}
    BlockedPicture.objects.bulk_create(
        [
            BlockedPicture(
                digits=digits, source=BlockedPicture.REFUSED_HERE, policy_code=decision.policy_code, case=case,
                reference=f"decision {decision.pk}",
            )
            for digits in sorted(told)
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def forgive(case: Case, decision: Decision) -> None:
    """Look no more for what a case looks like: its refusal was overturned by this decision, in whose transaction."""
    require_transaction()
    BlockedPicture.objects.standing().filter(case=case).update(
        retired_at=timezone.now(), retired_by=f"decision {decision.pk}", retired_reason="the refusal was overturned"
    )
