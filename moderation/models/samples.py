"""What the machine released is looked at again by chance, so that what it misses can be estimated."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from journal.models import AppendOnly
from moderation.models.cases import Case


class Sample(AppendOnly):
    """A released picture or film that chance drew for a second look, and how likely that was."""

    class Stratum(models.TextChoices):
        NEAR = "near", "near a threshold"
        FAR = "far", "far from every threshold"

    id = models.BigAutoField(primary_key=True)
    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="sample")
    stratum = models.CharField(max_length=4, choices=Stratum.choices)
    # With which it was drawn, 0 (never) to 1 (always): it stands for 1 / probability released ones.
    probability = models.FloatField()
    at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(probability__gt=0, probability__lte=1), name="sample_probability"),
            models.CheckConstraint(condition=Q(stratum__in=["near", "far"]), name="sample_stratum_known"),
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
