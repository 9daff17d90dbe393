"""What somebody asks the sieve, with no job behind it: whether a file came from here, or what the policies say."""

import uuid
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User


class Inquiry(models.Model):
    """A question and its answer. Files that came with it are gone once they were looked at.

    Whether a file came from here whoever knows the id may read, for a day (docs/retention.md); what the policies say of
    texts and pictures only who asked. Thousands a day; nothing refers to it.
    """

    class Kind(models.TextChoices):
        ORIGIN = "origin", "whether a file came from here"
        MODERATION = "moderation", "what the policies say of texts and pictures"

    class State(models.TextChoices):
        WAITING = "waiting", "being looked at"
        ANSWERED = "answered", "answered"
        FAILED = "failed", "not to be read"  # `answer` says why

    FOLDER: ClassVar = "inquiries"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.ORIGIN)
    # Of a moderation: what is asked about, in order, each {"text": ...} or {"file": key}.
    question = models.JSONField(default=list)
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
            models.CheckConstraint(condition=Q(kind__in=["origin", "moderation"]), name="inquiry_kind_known"),
            models.CheckConstraint(
                condition=Q(state="waiting", answered_at__isnull=True)
                | Q(state__in=["answered", "failed"], answered_at__isnull=False),
                name="inquiry_answered_has_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["asked_at"], name="inquiry_waiting", condition=Q(state="waiting")),
            models.Index(fields=["asked_at"], name="inquiry_age"),
            models.Index(fields=["asker", "kind", "-asked_at"], name="inquiry_of_asker"),
        ]
        triggers: ClassVar = [
            pgtrigger.FSM(
                name="inquiry_arrows", field="state", transitions=[("waiting", "answered"), ("waiting", "failed")]
            ),
        ]


class Metered(models.Model):
    """How many texts and pictures a person had judged on one day, whatever came of it. Kept: bills rest on it."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="metered")
    day = models.DateField()
    texts = models.PositiveIntegerField(default=0)
    pictures = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["person", "day"], name="metered_once_a_day")]
