"""Jobs, their media, and whose turn it is."""

import uuid
from collections.abc import Set as AbstractSet
from typing import ClassVar, Self

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from generation.engine import MODES
from journal.events import announce
from journal.models import AppendOnly, append_only
from journal.transactions import require_transaction
from moderation.models import Case, Upload

# Every legal arrow of a job, once. A trigger refuses any other.
JOB_ARROWS = [
    ("checking", "queued"),
    ("checking", "in_review"),
    ("checking", "refused"),
    ("checking", "cancelled"),
    ("queued", "running"),
    ("queued", "cancelled"),
    ("queued", "failed"),
    ("running", "queued"),
    ("running", "screening"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("screening", "in_review"),
    ("screening", "done"),
    ("screening", "cancelled"),
    ("in_review", "queued"),
    ("in_review", "screening"),
    ("in_review", "refused"),
    ("in_review", "done"),
    ("in_review", "cancelled"),
]

# The same for a medium; once it is drawn, its case decides.
MEDIUM_ARROWS = [
    ("waiting", "drawn"),
    ("waiting", "failed"),
    ("waiting", "cancelled"),
    ("drawn", "cancelled"),
]


class JobQuerySet(models.QuerySet["Job"]):
    def of(self, person: User) -> Self:
        """A person's own jobs. Every page and every API call starts here."""
        return self.filter(person=person)

    def open(self) -> Self:
        """Jobs that are not final."""
        return self.exclude(state__in=Job.FINAL)

    def following(self, last: "Job | None", *, newest_first: bool = True) -> Self:
        """What comes after `last` in a listing by age; everything, where it is None."""
        jobs = self.order_by(*(("-created_at", "id") if newest_first else ("created_at", "-id")))
        if last is None:
            return jobs
        same = models.Q(created_at=last.created_at)
        if newest_first:
            return jobs.filter(models.Q(created_at__lt=last.created_at) | same & models.Q(id__gt=last.pk))
        return jobs.filter(models.Q(created_at__gt=last.created_at) | same & models.Q(id__lt=last.pk))


class Job(models.Model):
    """One request: what is asked for, where it is, and who is drawing it under which lease.

    Expected to reach tens of millions of rows; each query on the path uses one of the partial indexes below,
    which hold only the open jobs.
    """

    class State(models.TextChoices):
        CHECKING = "checking", "being checked"  # the prompt is being judged
        QUEUED = "queued", "waiting"  # waits for a worker
        RUNNING = "running", "drawing"  # a worker holds the lease
        SCREENING = "screening", "being looked at"  # a medium waits for the classifiers
        IN_REVIEW = "in_review", "held for a person"  # the prompt or a medium waits for a person
        DONE = "done", "done"  # every medium is final
        REFUSED = "refused", "refused"  # an input was refused
        FAILED = "failed", "failed"  # the machinery failed; nothing was charged
        CANCELLED = "cancelled", "cancelled"  # by the person

    FINAL: ClassVar = (State.DONE, State.REFUSED, State.FAILED, State.CANCELLED)
    ARROWS: ClassVar = JOB_ARROWS

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="jobs")
    state = models.CharField(max_length=12, choices=State.choices, default=State.CHECKING)
    mode = models.CharField(max_length=32, default="text_to_image")
    model = models.CharField(max_length=64)
    # How far it may leave what went in: 0 to 1.
    strength = models.FloatField(null=True)
    prompt = models.TextField()
    negative_prompt = models.TextField(blank=True, default="")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    steps = models.PositiveSmallIntegerField()
    guidance_scale = models.FloatField()
    # Of a film; a picture is one frame, at 0 frames a second.
    frames = models.PositiveSmallIntegerField(default=1, db_default=1)
    fps = models.PositiveSmallIntegerField(default=0, db_default=0)
    n = models.PositiveSmallIntegerField()
    # Credits for one medium, and for all.
    unit_price = models.PositiveIntegerField()
    price = models.PositiveIntegerField()
    # Jobs of one key can be drawn in one batch.
    batch_key = models.CharField(max_length=160)
    created_at = models.DateTimeField(default=timezone.now)
    # 0: as the plan has it. 1: after everything else of the same person's. Nothing goes ahead of what the plan gives.
    priority = models.PositiveSmallIntegerField(default=0, db_default=0)
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=128, blank=True, default="")
    progress_step = models.PositiveSmallIntegerField(default=0)
    # A sentence for the person when the job failed.
    failure = models.CharField(max_length=300, blank=True, default="")

    objects = JobQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [("operate", "May watch queues and workers")]
        indexes: ClassVar = [
            models.Index(fields=["person", "-created_at", "id"], name="job_of_person"),
            models.Index(
                fields=["person", "priority", "queued_at", "id"], name="job_next", condition=Q(state="queued")
            ),
            models.Index(fields=["lease_until"], name="job_leases", condition=Q(state="running")),
            models.Index(fields=["lease_token"], name="job_batch", condition=Q(lease_token__isnull=False)),
            models.Index(
                fields=["person"],
                name="job_open",
                condition=Q(state__in=["checking", "queued", "running", "screening", "in_review"]),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "checking",
                        "queued",
                        "running",
                        "screening",
                        "in_review",
                        "done",
                        "refused",
                        "failed",
                        "cancelled",
                    ]
                ),
                name="job_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state="running") & Q(lease_token__isnull=True)),
                name="job_lease_only_while_running",
            ),
            models.CheckConstraint(condition=Q(priority__in=[0, 1]), name="job_priority_only_downwards"),
            models.CheckConstraint(condition=Q(mode__in=list(MODES)), name="job_mode_known"),
            models.CheckConstraint(
                condition=Q(strength__isnull=True) | Q(strength__gte=0, strength__lte=1), name="job_strength_is_a_share"
            ),
            models.CheckConstraint(
                condition=Q(fps=0, frames=1) | Q(fps__gte=1, frames__gte=1), name="job_picture_is_one_frame"
            ),
            models.CheckConstraint(condition=Q(n__gte=1) & Q(price=F("n") * F("unit_price")), name="job_price_is_n"),
        ]
        triggers: ClassVar = [
            pgtrigger.FSM(name="job_arrows", field="state", transitions=JOB_ARROWS),
            pgtrigger.Protect(name="job_no_delete", operation=pgtrigger.Delete),
        ]

    @property
    def is_final(self) -> bool:
        """Nothing will change any more, but for appeals."""
        return self.state in self.FINAL

    @property
    def progress(self) -> float:
        """How much of the drawing is done, 0 to 1."""
        return self.progress_step / self.steps if self.steps else 0.0

    def move(
        self, sources: AbstractSet[str], to: str, *, reason: str, actor: User | None = None, **fields: object
    ) -> bool:
        """Move to `to` if the job is still in one of `sources`, write it down, and tell whoever follows it.

        The condition is part of the UPDATE, so of two that press at once one wins; the other gets False.
        `fields` are written in the same UPDATE.
        """
        allowed = {source for source in sources if (source, to) in self.ARROWS}
        require_transaction()
        if to in self.FINAL:
            fields["finished_at"] = timezone.now()
        if to != self.State.RUNNING:
            fields |= {"lease_token": None, "lease_until": None}
        row = Job.objects.select_for_update().filter(pk=self.pk, state__in=allowed)
        before = row.values_list("state", flat=True).first()
        if before is None:
            return False
        Job.objects.filter(pk=self.pk).update(state=to, **fields)
        JobHistory.objects.create(job=self, from_state=before, to_state=to, reason=reason, actor=actor)
        announce("job", str(self.pk))
        self.state = to
        for name, value in fields.items():
            setattr(self, name, value)
        return True

    @property
    def is_film(self) -> bool:
        """Its media are films."""
        return self.fps > 0

    @property
    def noun(self) -> str:
        """What one of its media is called."""
        return "film" if self.is_film else "picture"

    @property
    def seconds(self) -> float:
        """How long a film of it lasts."""
        return self.frames / self.fps if self.fps else 0.0

    @property
    def title(self) -> str:
        """Its words, or, where it has none, what it does."""
        return self.prompt or MODES[self.mode].title

    def prompt_policy(self) -> str:
        """The policy that its prompt's case names, or nothing."""
        case = Case.objects.filter(subject=Case.Subject.PROMPT, key=self.pk).first()
        return case.policy_code if case else ""

    def queue_place(self) -> int | None:
        """How many people's turns come before this job's, plus one. None when it does not wait.

        An estimate: the person's own earlier jobs count one turn each. Grows with the people who wait, not with
        their jobs.
        """
        if self.state != self.State.QUEUED:
            return None
        turn = Turn.objects.filter(person=self.person_id).first()
        queued = Job.objects.filter(person=self.person_id, state=self.State.QUEUED)
        since = self.queued_at or timezone.now()
        own = queued.filter(Q(priority__lt=self.priority) | Q(priority=self.priority, queued_at__lt=since)).count()
        if turn is None:
            return own + 1
        ahead = Turn.objects.filter(next_job__isnull=False, frozen=False, virtual_time__lt=turn.virtual_time).count()
        return ahead + own + 1


class JobHistory(models.Model):
    """One arrow that a job took."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="history")
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12)
    reason = models.CharField(max_length=200)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        triggers: ClassVar = append_only()


class MediumQuerySet(models.QuerySet["Medium"]):
    def of(self, person: User) -> Self:
        """A person's own media, shown or not."""
        return self.filter(job__person=person)

    def shown(self) -> Self:
        """Media that their owner may see: those whose case is cleared. Everything else stays dark."""
        return self.filter(case__state="cleared", state=Medium.State.DRAWN)


class Medium(models.Model):
    """One picture or film that a job makes. The row exists from the start, as a slot."""

    class State(models.TextChoices):
        WAITING = "waiting", "not drawn yet"
        DRAWN = "drawn", "drawn"  # the original is in quarantine, its case decides
        FAILED = "failed", "failed"  # could not be drawn; not charged
        CANCELLED = "cancelled", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="media")
    index = models.PositiveSmallIntegerField()
    seed = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    failure = models.CharField(max_length=200, blank=True, default="")
    original_key = models.CharField(max_length=200, blank=True, default="")
    original_sha256 = models.CharField(max_length=64, blank=True, default="")
    case = models.OneToOneField("moderation.Case", on_delete=models.PROTECT, null=True, related_name="medium")
    drawn_at = models.DateTimeField(null=True)

    objects = MediumQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["job", "index"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "index"], name="medium_one_per_slot"),
            models.CheckConstraint(
                condition=~Q(state="drawn") | (Q(case__isnull=False) & ~Q(original_sha256="") & ~Q(original_key="")),
                name="medium_drawn_has_original_and_case",
            ),
        ]
        triggers: ClassVar = [
            pgtrigger.FSM(name="medium_arrows", field="state", transitions=MEDIUM_ARROWS),
            pgtrigger.Protect(name="medium_no_delete", operation=pgtrigger.Delete),
        ]

    @property
    def cause(self) -> str:
        """The name of its hold in the ledger."""
        return f"medium:{self.pk}"

    @property
    def is_shown(self) -> bool:
        """Its case is cleared. For one row in hand; lists use the QuerySet's join."""
        return self.state == self.State.DRAWN and self.case is not None and self.case.state == "cleared"

    @property
    def word(self) -> str:
        """Its state in one of the words that pages and the API use."""
        if self.state == self.State.DRAWN and self.case is not None:
            return {"pending": "screening", "cleared": "released"}.get(self.case.state, self.case.state)
        return self.state


class Turn(models.Model):
    """One person's place in line: their next job, and how much they were served, in credits over weight.

    Start-time fair queueing: the person with the least virtual time is next. Whoever comes back from idling
    starts at the least virtual time of those who wait, or, if nobody does, at the greatest of all: so nobody saves
    up turns, and nobody loses by having been served. One row per person, so the claim costs the same whether one
    person queued one job or ten thousand.
    """

    person = models.OneToOneField(User, on_delete=models.PROTECT, primary_key=True, related_name="turn")
    next_job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False)
    next_model = models.CharField(max_length=64, blank=True, default="")
    next_key = models.CharField(max_length=160, blank=True, default="")
    virtual_time = models.BigIntegerField(default=0)
    last_served_at = models.DateTimeField(null=True)
    weight = models.PositiveSmallIntegerField(default=1)
    # A severe block stands: nothing of theirs is drawn until a moderator looked.
    frozen = models.BooleanField(default=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-virtual_time"], name="turn_served"),
            models.Index(
                F("virtual_time"),
                F("last_served_at").asc(nulls_first=True),
                name="turn_line",
                condition=Q(next_job__isnull=False, frozen=False),
            ),
            models.Index(
                fields=["next_key", "virtual_time"],
                name="turn_key",
                condition=Q(next_job__isnull=False, frozen=False),
            ),
            models.Index(
                fields=["next_model", "virtual_time"],
                name="turn_model",
                condition=Q(next_job__isnull=False, frozen=False),
            ),
        ]


class Input(models.Model):
    """What goes into a job beside its words: a released medium of the person's own, or an upload."""

    class Role(models.TextChoices):
        PICTURE = "picture", "picture"  # to change, vary or set in motion
        MASK = "mask", "mask"  # white where it is drawn anew
        CONTROL = "control", "outline"  # a sketch or a painted map
        LAST = "last", "last picture"  # what a film ends with
        FILM = "film", "film"

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="inputs")
    role = models.CharField(max_length=8, choices=Role.choices)
    medium = models.ForeignKey(Medium, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    upload = models.ForeignKey(Upload, on_delete=models.PROTECT, null=True, related_name="inputs")

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "role"], name="input_one_per_role"),
            models.CheckConstraint(
                condition=Q(role__in=["picture", "mask", "control", "last", "film"]), name="input_role_known"
            ),
            models.CheckConstraint(
                condition=Q(medium__isnull=True, upload__isnull=False) | Q(medium__isnull=False, upload__isnull=True),
                name="input_is_one_thing",
            ),
        ]
        triggers: ClassVar = append_only()


class RefusedAttempt(AppendOnly):
    """A request whose prompt was refused at once: there is no job and no hold, but it is remembered."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    field = models.CharField(max_length=32)
    policy_code = models.CharField(max_length=64)
    policy_version = models.CharField(max_length=64)
    # Of the prompt, with a salt of its own, so that the row can stay when the words may not.
    prompt_sha256 = models.CharField(max_length=64)
    salt = models.CharField(max_length=32)
    at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        indexes: ClassVar = [models.Index(fields=["person", "-at"], name="attempt_of_person")]
