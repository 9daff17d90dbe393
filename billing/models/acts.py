"""What billing admins do by hand: asked for with a reason, decided by whoever may, written down for good."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from billing.models.sale import Payment
from journal.models import AppendOnly

# Above the limit a second person decides, and it is another one: in two sessions, too.
ANOTHER_PERSON = pgtrigger.Trigger(
    name="another_person",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    declare=[("act", "billing_act%ROWTYPE")],
    func="""
        SELECT * INTO act FROM billing_act WHERE id = NEW.act_id;
        IF act.needs_second AND NEW.is_granted AND act.asked_by_id = NEW.decided_by_id THEN
            RAISE EXCEPTION 'act % needs a second person, and % asked for it', NEW.act_id, NEW.decided_by_id;
        END IF;
        RETURN NEW;
    """,
)


class Act(AppendOnly):
    """Something that a billing admin wants done with a person's credits, money or plan, and why."""

    class Kind(models.TextChoices):
        CORRECTION = "correction", "correction"
        REFUND = "refund", "refund"
        PLAN = "plan", "plan change"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="acts")
    # Credits given (or taken, below zero) for a correction; money in its smallest unit for a refund.
    amount = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True, default="")
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, null=True, related_name="acts")
    # Whether the person keeps the credits that a refund pays back.
    keeps_credits = models.BooleanField(default=False)
    # For a plan change: the price to change to, or nothing to end it; and whether at once.
    plan = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=500)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    needs_second = models.BooleanField()
    # The form that asked: a double click asks once.
    key = models.CharField(max_length=64, unique=True)

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(reason=""), name="act_has_reason")]


class ActDecision(AppendOnly):
    """What became of an act: granted, by whom, or declined, and why. One for each, for good."""

    id = models.BigAutoField(primary_key=True)
    act = models.OneToOneField(Act, on_delete=models.PROTECT, related_name="decision")
    is_granted = models.BooleanField()
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=500, blank=True, default="")

    class Meta(AppendOnly.Meta):
        triggers: ClassVar = [*AppendOnly.Meta.triggers, ANOTHER_PERSON]


class ActOutcome(AppendOnly):
    """What came of an act that was granted, once Stripe and the ledger have had their say."""

    id = models.BigAutoField(primary_key=True)
    act = models.OneToOneField(Act, on_delete=models.PROTECT, related_name="outcome")
    is_done = models.BooleanField()
    # Why not, or nothing.
    said = models.CharField(max_length=300, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)


class Export(AppendOnly):
    """Somebody took a sheet of figures out of the console: which, of what time, and when."""

    id = models.BigAutoField(primary_key=True)
    sheet = models.CharField(max_length=20)
    since = models.DateField()
    until = models.DateField()
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
