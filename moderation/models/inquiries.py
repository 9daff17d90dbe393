"""What anybody asks about a file: whether it came from here."""

import uuid
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User


class Inquiry(models.Model):
    """A file that somebody brought to the verify page, and what was found. The file is gone once it was looked at.

    Whoever knows its id may read the answer, for a day (docs/retention.md). Hundreds a day; nothing refers to it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "being looked at"
        ANSWERED = "answered", "answered"
        FAILED = "failed", "not to be read"  # `answer` says why

    FOLDER: ClassVar = "inquiries"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    # None where nobody is signed in.
    person = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="inquiries")
    # A salted digest of the address: for the limit, and for nothing else.
    asker = models.CharField(max_length=64)
    # In quarantine; empty once it is gone.
    file_key = models.CharField(max_length=200, blank=True)
    answer = models.JSONField(default=dict)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="waiting", answered_at__isnull=True)
                | Q(state__in=["answered", "failed"], answered_at__isnull=False),
                name="inquiry_answered_has_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["asked_at"], name="inquiry_waiting", condition=Q(state="waiting")),
            models.Index(fields=["asked_at"], name="inquiry_age"),
            models.Index(fields=["asker", "-asked_at"], name="inquiry_of_asker"),
        ]
        triggers: ClassVar = [
            pgtrigger.FSM(
                name="inquiry_arrows", field="state", transitions=[("waiting", "answered"), ("waiting", "failed")]
            ),
        ]
