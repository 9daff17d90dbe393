"""Freeze a person's other work after a severe block, and lift it again."""

from django.utils import timezone

from accounts.models import User
from journal.transactions import require_transaction, step
from moderation import outcomes
from moderation.models import Case, Freeze


def is_frozen(person: User) -> bool:
    """Whether a severe block of this person still waits for a moderator."""
    return Freeze.objects.filter(person=person, lifted_at__isnull=True).exists()


def freeze(case: Case) -> Freeze | None:
    """Stop the other work of the case's person, in the transaction that refuses it. None if it was stopped already."""
    require_transaction()
    Freeze.objects.bulk_create([Freeze(person=case.person, case=case)], ignore_conflicts=True)
    opened = Freeze.objects.filter(person=case.person, case=case, lifted_at__isnull=True).first()
    if opened is not None:
        outcomes.registered().frozen(case.person, True)
    return opened


def lift(freeze: Freeze, *, moderator: User, reason: str) -> bool:
    """Let the person's work go on. False if somebody else lifted it already."""
    with step("moderation.lift"):
        lifted = Freeze.objects.filter(pk=freeze.pk, lifted_at__isnull=True).update(
            lifted_at=timezone.now(), lifted_by=moderator, lift_reason=reason.strip()
        )
        if not lifted:
            return False
        outcomes.registered().frozen(freeze.person, False)
    return True
