"""Cases, the decisions in their life, and what the classifiers saw."""

from datetime import timedelta
from functools import reduce
from operator import or_
from typing import ClassVar, Self

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from journal.models import AppendOnly, append_only

# Every legal arrow of a case, once. A trigger refuses any other, and a CHECK knows the same list for decisions.
CASE_ARROWS = [
    ("pending", "in_review"),
    ("pending", "cleared"),
    ("pending", "refused"),
    ("pending", "withdrawn"),
    ("in_review", "cleared"),
    ("in_review", "refused"),
    ("in_review", "withdrawn"),
    ("cleared", "withdrawn"),
    ("refused", "in_review"),  # by appeal only
]

# A state that no decision explains is undone at commit, whoever wrote it.
STATE_NEEDS_DECISION = """
    IF (SELECT state FROM moderation_case WHERE id = NEW.id) IS DISTINCT FROM
       (SELECT to_state FROM moderation_decision WHERE case_id = NEW.id ORDER BY id DESC LIMIT 1) THEN
        RAISE EXCEPTION 'moderation_case % changed its state without a decision', NEW.id;
    END IF;
    RETURN NULL;
"""


class CaseQuerySet(models.QuerySet["Case"]):
    def waiting(self) -> Self:
        """Pending, and nobody is screening it: what the next claim may take, now or after its pause."""
        return self.filter(state=Case.State.PENDING, lease_token__isnull=True)

    def ready(self) -> Self:
        """Waiting, and not in a pause. One much longer than any that is made comes from a clock that ran ahead."""
        over = Q(retry_at__isnull=True) | Q(retry_at__lte=Now()) | Q(retry_at__gt=Now() + timedelta(minutes=10))
        return self.waiting().filter(over)

    def abandoned(self) -> Self:
        """Pending under a lease that ran out: the screening process was lost, or is too late to count.

        A lease that ends much later than any is given for comes from a clock that ran ahead.
        """
        ahead = Now() + timedelta(seconds=3 * settings.LEASE_SECONDS)
        ended = Q(lease_until__lt=Now()) | Q(lease_until__gt=ahead)
        return self.filter(ended, state=Case.State.PENDING)

    def given_up(self) -> Self:
        """Waiting after as many attempts as a case is given: no claim takes it any more."""
        return self.waiting().filter(attempts__gte=settings.MOST_ATTEMPTS)

    def reviewable_by(self, moderator: User) -> Self:
        """What this moderator may look at: never their own, severe ones only with the right for them."""
        if not moderator.has_perm("moderation.review_case"):
            return self.none()
        cases = self.exclude(person=moderator)
        if not moderator.has_perm("moderation.review_severe"):
            cases = cases.filter(severity__lt=Case.SEVERE)
        return cases

    def unclaimed(self) -> Self:
        """In review, and no moderator has it before them."""
        free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=timezone.now())
        return self.filter(free, state=Case.State.IN_REVIEW)


class Case(models.Model):
    """The moderation state of one prompt, upload or medium. It carries its own evidence and knows no job.

    Expected to reach hundreds of millions of rows: two for each picture. Everything on the path uses one of the
    partial indexes, which hold only what is undecided.
    """

    class Subject(models.TextChoices):
        PROMPT = "prompt", "prompt"
        UPLOAD = "upload", "upload"
        MEDIUM = "medium", "picture"

    class State(models.TextChoices):
        PENDING = "pending", "being looked at"  # waits for the classifiers
        IN_REVIEW = "in_review", "held for a person"  # waits for a moderator
        CLEARED = "cleared", "released"  # may be used or shown
        REFUSED = "refused", "refused"  # stays dark, an appeal may reopen it
        WITHDRAWN = "withdrawn", "withdrawn"  # taken back: after release, or by its owner before any decision

    ARROWS: ClassVar = CASE_ARROWS
    # From this severity on a block freezes the person's other work, and a senior moderator decides.
    SEVERE: ClassVar = 3
    # How long a moderator keeps a case that they opened.
    CLAIM: ClassVar = timedelta(minutes=10)

    id = models.BigAutoField(primary_key=True)
    subject = models.CharField(max_length=8, choices=Subject.choices)
    # The id of the prompt's job, of the upload or of the medium.
    key = models.UUIDField()
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="cases")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    severity = models.PositiveSmallIntegerField(default=0)
    # Every policy that asked or refused, and the one that its state rests on; empty when none does.
    policy_codes = models.JSONField(default=list)
    policy_code = models.CharField(max_length=64, blank=True, default="")
    evidence = models.JSONField()
    # What the machine found, in words, for the moderator. Unlike signals it may hold words of the prompt.
    findings = models.JSONField(default=list)
    opened_at = models.DateTimeField(default=timezone.now)
    screened_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    # In review: refused as not decided in time after this.
    deadline = models.DateTimeField(null=True)
    # The lease of the screening process.
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    # Not screened again before this: the machinery failed a moment ago.
    retry_at = models.DateTimeField(null=True)
    # The lease of the review desk.
    claimed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="claimed_cases")
    claimed_until = models.DateTimeField(null=True)
    # The file made for release, in the released store. Empty until it is made, and always for a prompt.
    derivative_key = models.CharField(max_length=200, blank=True, default="")
    derivative_sha256 = models.CharField(max_length=64, blank=True, default="")
    # Bits in which the perceptual hashes of original and derivative differ.
    derivative_distance = models.PositiveSmallIntegerField(null=True)
    # Perceptual hashes of what is seen in it, each [where, 64 hexadecimal digits, quality]; see moderation/traces.py.
    # Of what was blocked, where no such file is made: of what was screened.
    derivative_traces = models.JSONField(default=list)
    # Of a film: the frame that stands for it, in the released store beside it.
    poster_key = models.CharField(max_length=200, blank=True, default="")
    poster_sha256 = models.CharField(max_length=64, blank=True, default="")

    objects = CaseQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [
            ("review_case", "May review cases"),
            ("review_severe", "May review severe cases"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subject", "key"], name="case_one_per_subject"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "in_review", "cleared", "refused", "withdrawn"]),
                name="case_state_known",
            ),
            models.CheckConstraint(condition=Q(subject__in=["prompt", "upload", "medium"]), name="case_subject_known"),
            models.CheckConstraint(
                condition=Q(lease_token__isnull=True, lease_until__isnull=True)
                | Q(lease_token__isnull=False, lease_until__isnull=False, state="pending"),
                name="case_lease_only_while_pending",
            ),
            models.CheckConstraint(
                condition=Q(claimed_by__isnull=True, claimed_until__isnull=True)
                | Q(claimed_by__isnull=False, claimed_until__isnull=False, state="in_review"),
                name="case_claim_only_in_review",
            ),
            models.CheckConstraint(
                condition=~Q(state="in_review") | Q(deadline__isnull=False), name="case_review_has_deadline"
            ),
            # The gate, in SQL: nothing without a hashed derivative is ever shown.
            models.CheckConstraint(
                condition=~Q(state="cleared", subject="medium")
                | (~Q(derivative_key="") & ~Q(derivative_sha256="") & Q(derivative_distance__isnull=False)),
                name="case_cleared_medium_has_derivative",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["cleared", "refused"]) | Q(decided_at__isnull=False),
                name="case_decided_has_time",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["subject", "opened_at", "id"],
                name="case_waiting",
                condition=Q(state="pending", lease_token__isnull=True),
            ),
            models.Index(fields=["opened_at"], name="case_pending", condition=Q(state="pending")),
            models.Index(fields=["lease_until"], name="case_leases", condition=Q(lease_token__isnull=False)),
            models.Index(fields=["-severity", "opened_at", "id"], name="case_review", condition=Q(state="in_review")),
            models.Index(fields=["deadline"], name="case_overdue", condition=Q(state="in_review")),
            models.Index(fields=["claimed_by"], name="case_claims", condition=Q(claimed_by__isnull=False)),
            models.Index(fields=["person", "-opened_at"], name="case_of_person"),
            models.Index(fields=["derivative_sha256"], name="case_files", condition=~Q(derivative_sha256="")),
        ]
        triggers: ClassVar = [
            pgtrigger.FSM(name="case_arrows", field="state", transitions=CASE_ARROWS),
            pgtrigger.Protect(
                name="case_opens_pending", operation=pgtrigger.Insert, condition=~pgtrigger.Q(new__state="pending")
            ),
            pgtrigger.Protect(name="case_no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="case_keeps_subject", fields=["subject", "key", "person", "opened_at", "evidence"]),
            pgtrigger.Trigger(
                name="case_keeps_derivative",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Condition(
                    "OLD.state IN ('cleared', 'withdrawn') AND (OLD.derivative_key, OLD.derivative_sha256, "
                    "OLD.derivative_distance, OLD.derivative_traces, OLD.poster_key, OLD.poster_sha256) IS DISTINCT "
                    "FROM (NEW.derivative_key, NEW.derivative_sha256, NEW.derivative_distance, NEW.derivative_traces, "
                    "NEW.poster_key, NEW.poster_sha256)"
                ),
                func="RAISE EXCEPTION 'the derivative of a case that was cleared never changes'; RETURN NULL;",
            ),
            pgtrigger.Trigger(
                name="case_state_explained",
                operation=pgtrigger.Update,
                when=pgtrigger.After,
                timing=pgtrigger.Deferred,
                condition=pgtrigger.Condition("OLD.state IS DISTINCT FROM NEW.state"),
                func=STATE_NEEDS_DECISION,
            ),
        ]

    @property
    def is_severe(self) -> bool:
        """A senior moderator decides it."""
        return self.severity >= self.SEVERE

    @property
    def is_claimed(self) -> bool:
        """A moderator has it before them now."""
        return self.claimed_until is not None and self.claimed_until > timezone.now()

    def is_claimed_by(self, moderator: User) -> bool:
        """Whether this moderator has it before them now."""
        return self.is_claimed and self.claimed_by_id == moderator.pk


class Screening(models.Model):
    """One run of the classifiers over one case, whatever came of it."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="screenings")
    attempt = models.PositiveSmallIntegerField()
    # clear, review or block; empty when it failed, and then `fault` says how.
    verdict = models.CharField(max_length=8, blank=True)
    fault = models.CharField(max_length=300, blank=True)
    policy_version = models.CharField(max_length=64)
    worker = models.CharField(max_length=128)
    # What policies in shadow would have done: [{"policy": code, "action": review or block}].
    shadow = models.JSONField(default=list)
    # Which views of it were looked at: of a film each frame's time. Empty when there was one, and for a prompt.
    views = models.JSONField(default=list)
    # Over every signal, so that a decision which names the digest names them all.
    signals_sha256 = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        triggers: ClassVar = append_only()


class Signal(models.Model):
    """One named score that a classifier gave in a screening."""

    id = models.BigAutoField(primary_key=True)
    screening = models.ForeignKey(Screening, on_delete=models.PROTECT, related_name="signals")
    name = models.CharField(max_length=80)
    # None when it is not a finite number; then `fault` holds what came instead.
    score = models.FloatField(null=True)
    fault = models.CharField(max_length=40, blank=True, default="")
    model = models.CharField(max_length=80)
    version = models.CharField(max_length=80)
    # The policy that reads it, and from where on it asks a person. None when no policy reads it.
    policy_code = models.CharField(max_length=64, blank=True, default="")
    threshold = models.FloatField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(score__isnull=False) | ~Q(fault=""), name="signal_score_or_fault"),
        ]
        triggers: ClassVar = append_only()


class Decision(AppendOnly):
    """One line in the life of a case: who moved it where, why, under which policies, over which files."""

    class ActorKind(models.TextChoices):
        MACHINE = "machine", "the classifiers"
        MODERATOR = "moderator", "a moderator"
        OWNER = "owner", "its owner"
        CLOCK = "clock", "the clock"  # its deadline passed
        APPEAL = "appeal", "an appeal"

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="decisions")
    from_state = models.CharField(max_length=10)
    to_state = models.CharField(max_length=10)
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    # None for the machine and the clock.
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500)
    # The policy it rests on. Empty when none was broken.
    policy_code = models.CharField(max_length=64, blank=True, default="")
    policy_version = models.CharField(max_length=64, blank=True, default="")
    # What the policies said of the last screening: clear, review, block or unscreened.
    verdict = models.CharField(max_length=10, blank=True, default="")
    screening = models.ForeignKey(Screening, on_delete=models.PROTECT, null=True, related_name="+")
    signals_sha256 = models.CharField(max_length=64, blank=True, default="")
    original_sha256 = models.CharField(max_length=64, blank=True, default="")
    derivative_sha256 = models.CharField(max_length=64, blank=True, default="")
    perceptual_distance = models.PositiveSmallIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        ordering: ClassVar = ["id"]
        # Written in the order of their time: a few kilobytes tell which blocks a week lies in.
        indexes: ClassVar = [BrinIndex(fields=["created_at"], name="decision_at")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=reduce(or_, [Q(from_state=source, to_state=to) for source, to in CASE_ARROWS]),
                name="decision_arrow_known",
            ),
            models.CheckConstraint(
                condition=~Q(from_state="refused") | Q(actor_kind="appeal"), name="decision_only_appeal_reopens"
            ),
            models.CheckConstraint(
                condition=Q(actor_kind__in=["machine", "clock"], actor__isnull=True)
                | Q(actor_kind__in=["moderator", "owner", "appeal"], actor__isnull=False),
                name="decision_actor_fits_kind",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="decision_has_reason"),
        ]

    @property
    def word(self) -> str:
        """Where it moved the case, in the word that pages use."""
        return Case.State(self.to_state).label


class Freeze(models.Model):
    """A severe block stopped a person's other work until a moderator looks: each block by itself."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="freezes")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="freezes")
    opened_at = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    lift_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["case"], condition=Q(lifted_at__isnull=True), name="freeze_one_open_per_case"
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | (Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(lift_reason="")),
                name="freeze_lift_has_person_and_reason",
            ),
        ]
        triggers: ClassVar = [pgtrigger.Protect(name="freeze_no_delete", operation=pgtrigger.Delete)]


class Look(AppendOnly):
    """A moderator was shown an original that was not released."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="looks")
    moderator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        indexes: ClassVar = [models.Index(fields=["moderator", "-at"], name="look_of_moderator")]
