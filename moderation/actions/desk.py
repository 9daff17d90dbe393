"""What a moderator does at the review desk."""

from collections.abc import Collection

from django.db import IntegrityError
from django.utils import timezone

from accounts.models import User
from journal.transactions import step
from moderation.actions.cases import CaseTaken, Ruling, clear, refuse, withdraw
from moderation.actions.samples import waiting
from moderation.models import Case, Decision, Sample, SecondLook
from moderation.rules import policies


def claim_next(moderator: User, *, leaving_out: Collection[int] = ()) -> Case | None:
    """Give the moderator the next case for ten minutes: their open one, else the severest, then the oldest.

    Rows that another moderator is being given at this moment are skipped, so two never get the same.
    None when nothing waits for them.
    """
    now = timezone.now()
    with step("desk.claim"):
        cases = Case.objects.reviewable_by(moderator).exclude(pk__in=leaving_out)
        case = (
            cases.filter(state=Case.State.IN_REVIEW, claimed_by=moderator, claimed_until__gt=now)
            .select_for_update(of=("self",))
            .first()
        ) or (
            cases.unclaimed()
            .order_by("-severity", "opened_at", "id")
            .select_for_update(skip_locked=True, of=("self",))
            .first()
        )
        if case is not None:
            _give(case, moderator)
    return case


def claim(case: Case, moderator: User) -> bool:
    """Give the moderator this very case. False if another has it, or if it needs no decision any more."""
    with step("desk.claim"):
        free = (
            Case.objects.reviewable_by(moderator)
            .unclaimed()
            .select_for_update(of=("self",))
            .filter(pk=case.pk)
            .exists()
        )
        if free:
            _give(case, moderator)
    return free or Case.objects.get(pk=case.pk).is_claimed_by(moderator)


def let_go(case: Case, moderator: User) -> bool:
    """Give a case back undecided. False if it was not theirs any more."""
    return bool(Case.objects.filter(pk=case.pk, claimed_by=moderator).update(claimed_by=None, claimed_until=None))


def decide(case: Case, *, moderator: User, to: str, reason: str, policy_code: str) -> Decision:
    """Release (`to` is cleared) or refuse a case that the moderator has before them, credits and all.

    One transaction. Raises CaseTaken when it is not theirs: their ten minutes ended, another decided, or it is
    their own work. Raises CannotRelease when there is no sound file to release.
    """
    act = {Case.State.CLEARED: clear, Case.State.REFUSED: refuse}[Case.State(to)]
    if not Case.objects.reviewable_by(moderator).filter(pk=case.pk).exists():
        raise CaseTaken(case)
    ruling = Ruling(
        kind=Decision.ActorKind.MODERATOR,
        actor=moderator,
        reason=reason,
        policy_code=policy_code,
        policy_version=policies().version,
    )
    return act(case, ruling, fence={"claimed_by": moderator, "claimed_until__gt": timezone.now()})


class AlreadyLooked(Exception):
    """Another moderator gave this sample its second look, or it is not released any more."""


def look_again(sample: Sample, *, moderator: User, policy_code: str, reason: str) -> SecondLook:
    """Write down what a moderator found in a sample; what breaks a policy is withdrawn in the same transaction.

    Raises AlreadyLooked, also where it is their own work; nothing is written then.
    """
    try:
        with step("samples.look"):
            if not waiting(moderator).filter(pk=sample.pk).exists():
                raise AlreadyLooked(sample.pk)
            found = SecondLook.objects.create(
                sample=sample, moderator=moderator, policy_code=policy_code, reason=reason.strip()[:500]
            )
            if policy_code:
                withdraw(sample.case, moderator=moderator, reason=reason, policy_code=policy_code)
    except (IntegrityError, CaseTaken) as error:
        raise AlreadyLooked(sample.pk) from error
    return found


def _give(case: Case, moderator: User) -> None:
    until = timezone.now() + Case.CLAIM
    Case.objects.filter(pk=case.pk).update(claimed_by=moderator, claimed_until=until)
    case.claimed_by, case.claimed_until = moderator, until
