"""Freeze a person's other work after a severe block, and lift it again."""

from django.utils import timezone

from accounts.models import User
from journal.transactions import require_transaction, step
from moderation import outcomes
from moderation.models import Case, Freeze


def is_frozen(person: User) -> bool:
    """Whether a severe block of this person still waits for a moderator."""
    return Freeze.objects.filter(person=person, lifted_at__isnull=True).exists()


def freeze(case: Case) -> None:
    """Stop the other work of the case's person, in the transaction that refuses it.

    Each severe block stands by itself: the work goes on when the last of them was lifted.
    """
    require_transaction()
    outcomes.registered().frozen(case.person, True)  # locks the person's turn, which comes before the freeze
    Freeze.objects.bulk_create([Freeze(person=case.person, case=case)], ignore_conflicts=True)


def lift(freeze: Freeze, *, moderator: User, reason: str) -> bool:
    """Lift one freeze; if no other stands, the person's work goes on. False if somebody else lifted it already."""
    with step("moderation.lift"):
        outcomes.registered().frozen(freeze.person, True)
        lifted = Freeze.objects.filter(pk=freeze.pk, lifted_at__isnull=True).update(
            lifted_at=timezone.now(), lifted_by=moderator, lift_reason=reason.strip()
        )
        if not is_frozen(freeze.person):
            outcomes.registered().frozen(freeze.person, False)
    return bool(lifted)
