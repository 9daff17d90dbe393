"""Open a case and move it. Every move is one conditional UPDATE, one Decision and one CaseOutcome, or nothing."""

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from journal import files, outbox
from journal.transactions import require_transaction, step
from moderation import outcomes
from moderation.actions.freezes import freeze, is_frozen
from moderation.actions.known import forgive, remember
from moderation.actions.samples import draw
from moderation.models import Case, Decision, Screening

State = Case.State
Kind = Decision.ActorKind


class CaseTaken(Exception):
    """The case is no longer where the caller thinks: decided, claimed by another, or its lease ran out."""

    def __init__(self, case: Case) -> None:
        super().__init__(f"Case {case.pk} was decided or taken over by somebody else. Nothing was changed.")
        self.case = case


class CannotRelease(Exception):
    """The file for release is missing or is not the one that was made."""

    def __init__(self, case: Case, why: str) -> None:
        super().__init__(f"Case {case.pk} cannot be released: {why}.")
        self.case = case
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """Why a case moves and who says so: what goes into its Decision."""

    kind: Decision.ActorKind
    reason: str
    actor: User | None = None
    policy_code: str = ""
    policy_version: str = ""
    verdict: str = ""
    screening: Screening | None = None


def open_case(*, subject: str, key: uuid.UUID, person: User, evidence: dict[str, Any]) -> Case:
    """Open a pending case and wake the screening process, in the caller's transaction.

    The second case for one subject raises IntegrityError.
    """
    require_transaction()
    case = Case.objects.create(subject=Case.Subject(subject), key=key, person=person, evidence=evidence)
    outbox.wake("screen")
    return case


def clear(case: Case, ruling: Ruling, *, fence: Mapping[str, Any], fields: Mapping[str, Any] | None = None) -> Decision:
    """Release a case: the gate opens here and nowhere else.

    1. A medium's file for release is read back and hashed, outside the transaction.
    2. One transaction: decision, state, whatever the outcome moves, and chance may draw it for a second look.

    The machine never clears for a person whose work is frozen: that case is held. `fence` is a condition on the
    row that makes the caller its holder (a lease token, a claim). Raises CaseTaken, or CannotRelease when the
    file is missing or was changed.
    """
    fields = dict(fields or {})
    if case.subject != Case.Subject.PROMPT:
        _check_derivative(case, fields)
    with step("moderation.release"):
        if ruling.kind == Kind.MACHINE and is_frozen(case.person):
            return hold(case, _instead(ruling, "its person's work is frozen"), fence=fence, fields=fields)
        decision = _move(
            case,
            {State.PENDING, State.IN_REVIEW},
            State.CLEARED,
            ruling,
            fence=fence,
            fields=fields | {"decided_at": timezone.now()},
            tell=outcomes.registered().cleared,
        )
        if decision.from_state == State.IN_REVIEW:
            # Perhaps an appeal brought it here: what it looks like is not looked for any more.
            forgive(case, decision)
        if ruling.kind == Kind.MACHINE and case.subject == Case.Subject.MEDIUM:
            draw(case, decision.screening)
    return decision


def refuse(
    case: Case,
    ruling: Ruling,
    *,
    fence: Mapping[str, Any],
    fields: Mapping[str, Any] | None = None,
    severe: bool = False,
) -> Decision:
    """Refuse a case, and freeze the person's other work if the block is severe. Raises CaseTaken.

    What a person refuses, or the block is severe, is remembered by its looks, so that it asks when it comes again.
    """
    with step("moderation.refuse"):
        decision = _move(
            case,
            {State.PENDING, State.IN_REVIEW},
            State.REFUSED,
            ruling,
            fence=fence,
            fields=dict(fields or {}) | {"decided_at": timezone.now()},
            tell=outcomes.registered().refused,
        )
        if severe or ruling.kind == Kind.MODERATOR:
            remember(case, decision)
        if severe:
            freeze(case)
    return decision


def hold(case: Case, ruling: Ruling, *, fence: Mapping[str, Any], fields: Mapping[str, Any] | None = None) -> Decision:
    """Ask a person. Raises CaseTaken."""
    deadline = timezone.now() + timedelta(seconds=settings.REVIEW_DEADLINE_SECONDS)
    with step("moderation.hold"):
        return _move(
            case,
            {State.PENDING},
            State.IN_REVIEW,
            ruling,
            fence=fence,
            fields=dict(fields or {}) | {"deadline": deadline},
            tell=outcomes.registered().held,
        )


def withdraw(
    case: Case, *, moderator: User | None, reason: str, policy_code: str, policy_version: str = "", severe: bool = False
) -> Decision:
    """Take back what was released: dark at once, since showing is a join to the case. Raises CaseTaken.

    No moderator is the machine, which found it on a list. What a person takes back is remembered by its looks. A severe
    one freezes the person's other work, as if it had been refused.
    """
    kind = Kind.MODERATOR if moderator else Kind.MACHINE
    ruling = Ruling(kind=kind, actor=moderator, reason=reason, policy_code=policy_code, policy_version=policy_version)
    with step("moderation.withdraw"):
        decision = _move(
            case, {State.CLEARED}, State.WITHDRAWN, ruling, fence={}, fields={}, tell=outcomes.registered().withdrawn
        )
        if moderator:
            remember(case, decision)
        if severe:
            freeze(case)
    return decision


def abandon(*, subject: str, key: uuid.UUID, reason: str, actor: User | None = None) -> bool:
    """End the undecided case of a subject that its owner gave up, in the caller's transaction.

    No outcome is told: the caller is the one who knows. False when there is no such case or it was decided.
    """
    require_transaction()
    case = Case.objects.filter(subject=subject, key=key).first()
    if case is None:
        return False
    ruling = Ruling(kind=Kind.OWNER if actor else Kind.MACHINE, actor=actor, reason=reason[:500])
    try:
        _move(case, {State.PENDING, State.IN_REVIEW}, State.WITHDRAWN, ruling, fence={}, fields={}, tell=None)
    except CaseTaken:
        return False
    return True


def _instead(ruling: Ruling, why: str) -> Ruling:
    return Ruling(
        kind=ruling.kind,
        actor=ruling.actor,
        reason=f"{ruling.reason}; held, because {why}"[:500],
        policy_code=ruling.policy_code,
        policy_version=ruling.policy_version,
        verdict=ruling.verdict,
        screening=ruling.screening,
    )


def _check_derivative(case: Case, fields: Mapping[str, Any]) -> None:
    key = fields.get("derivative_key", case.derivative_key)
    sha256 = fields.get("derivative_sha256", case.derivative_sha256)
    if not key or not sha256:
        raise CannotRelease(case, "no file for release was made of it")
    try:
        found = files.digest(files.read(files.released(), key))
    except files.StoreAway:
        raise
    except files.StoreBroken as error:
        raise CannotRelease(case, "its file for release cannot be read") from error
    if found != sha256:
        raise CannotRelease(case, "its file for release is not the one that was made")


def _move(
    case: Case,
    sources: Collection[str],
    to: Case.State,
    ruling: Ruling,
    *,
    fence: Mapping[str, Any],
    fields: Mapping[str, Any],
    tell: Callable[[Case, Decision], None] | None,
) -> Decision:
    """Move a case if it is still in `sources` and behind `fence`, and write it down.

    Whoever comes second finds the row moved and gets CaseTaken; nothing of theirs is written.
    """
    require_transaction()
    allowed = [source for source in sources if (source, to) in Case.ARROWS]
    held = Case.objects.select_for_update(of=("self",)).filter(pk=case.pk, state__in=allowed, **fence).first()
    if held is None:
        raise CaseTaken(case)
    changes: dict[str, Any] = {
        **fields,
        "state": to,
        "policy_code": ruling.policy_code,
        "lease_token": None,
        "lease_until": None,
        "retry_at": None,
        "claimed_by": None,
        "claimed_until": None,
    }
    Case.objects.filter(pk=case.pk).update(**changes)
    for name, value in changes.items():
        setattr(case, name, value)
    screening = ruling.screening or held.screenings.order_by("-pk").first()
    decision = Decision.objects.create(
        case=case,
        from_state=held.state,
        to_state=to,
        actor_kind=ruling.kind,
        actor=ruling.actor,
        reason=ruling.reason.strip()[:500],
        policy_code=ruling.policy_code,
        policy_version=ruling.policy_version or (screening.policy_version if screening else ""),
        verdict=ruling.verdict or (screening.verdict if screening else ""),
        screening=screening,
        signals_sha256=screening.signals_sha256 if screening else "",
        original_sha256=held.evidence.get("original_sha256", ""),
        derivative_sha256=case.derivative_sha256,
        perceptual_distance=case.derivative_distance,
    )
    if tell is not None:
        tell(case, decision)
    return decision
