"""What was released is looked at again: by chance, so that what the machine misses can be estimated, or since the sieve
changed and would not release it today."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from journal.models import AppendOnly
from moderation.models.cases import Case


class SampleQuerySet(models.QuerySet["Sample"]):
    def by_chance(self) -> Self:
        """What an estimate may rest on. What a rescan chose stands for nothing but itself."""
        return self.exclude(stratum=Sample.Stratum.RESCAN)


class Sample(AppendOnly):
    """What was released and is to have a second look: chance drew it, and how likely that was; or a rescan asks."""

    class Stratum(models.TextChoices):
        NEAR = "near", "near a threshold"
        FAR = "far", "far from every threshold"
        RESCAN = "rescan", "the sieve of today would not release it"

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="samples")
    stratum = models.CharField(max_length=6, choices=Stratum.choices)
    # With which it was drawn, 0 (never) to 1 (always): it stands for 1 / probability released ones. 1 for a rescan.
    probability = models.FloatField()
    # Of a rescan: what asks, for the moderator; a digest of what asks, so that nobody is asked the same thing twice;
    # and under which policies.
    reason = models.CharField(max_length=500, blank=True, default="")
    cause = models.CharField(max_length=64, blank=True, default="")
    policy_version = models.CharField(max_length=64, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    objects = SampleQuerySet.as_manager()

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(probability__gt=0, probability__lte=1), name="sample_probability"),
            models.CheckConstraint(condition=Q(stratum__in=["near", "far", "rescan"]), name="sample_stratum_known"),
            models.UniqueConstraint(
                fields=["case"], condition=Q(stratum__in=["near", "far"]), name="sample_drawn_once"
            ),
            models.UniqueConstraint(
                fields=["case", "cause"], condition=Q(stratum="rescan"), name="sample_asked_once_for_a_cause"
            ),
            models.CheckConstraint(
                condition=Q(stratum__in=["near", "far"], reason="", cause="")
                | (Q(stratum="rescan", probability=1) & ~Q(reason="") & ~Q(cause="")),
                name="sample_rescan_has_reason",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["at"], name="sample_at")]


class SecondLook(AppendOnly):
    """What a moderator found in a sample: that it was rightly released, or the policy that it breaks."""

    id = models.BigAutoField(primary_key=True)
    sample = models.OneToOneField(Sample, on_delete=models.PROTECT, related_name="second_look")
    moderator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # Empty when no policy is broken.
    policy_code = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(policy_code="") | ~Q(reason=""), name="second_look_miss_has_reason"),
        ]
