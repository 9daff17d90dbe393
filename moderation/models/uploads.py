"""What people brought."""

import uuid
from typing import ClassVar, Self

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from moderation.models.cases import Case


class UploadQuerySet(models.QuerySet["Upload"]):
    def of(self, person: User) -> Self:
        """A person's own uploads. Every page and every API call starts here."""
        return self.filter(person=person)

    def usable(self) -> Self:
        """Uploads that may be drawn with: the sieve cleared them, and their term is not over."""
        return self.filter(case__state="cleared", erased_at__isnull=True)


class Upload(models.Model):
    """A file that a person brought, and what the limited decoder made of it.

    The file itself is kept until it was decoded, its pixels until their term ends (docs/retention.md); the row stays.
    What was judged is what is drawn with: once decoded, the sums never change.
    """

    class Role(models.TextChoices):
        PICTURE = "picture", "picture"  # to change, vary or set in motion
        MASK = "mask", "mask"  # white where a picture is drawn anew
        SKETCH = "sketch", "sketch"
        MAP = "map", "painted map"
        FILM = "film", "film"

    FOLDER: ClassVar = "uploads"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="uploads")
    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="upload")
    role = models.CharField(max_length=8, choices=Role.choices)
    sha256 = models.CharField(max_length=64)
    bytes = models.PositiveIntegerField()
    # In quarantine; empty once it is gone.
    raw_key = models.CharField(max_length=200, blank=True)
    pixels_key = models.CharField(max_length=200, blank=True, default="")
    pixels_sha256 = models.CharField(max_length=64, blank=True, default="")
    alpha_key = models.CharField(max_length=200, blank=True, default="")
    alpha_sha256 = models.CharField(max_length=64, blank=True, default="")
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    # What is known of the file: format, camera facts, whether it has content credentials; of a film its frames.
    record = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    decoded_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(null=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["person", "-created_at"], name="upload_of_person"),
            models.Index(fields=["person", "sha256"], name="upload_same", condition=Q(erased_at__isnull=True)),
            models.Index(fields=["created_at"], name="upload_kept", condition=Q(erased_at__isnull=True)),
            models.Index(fields=["created_at"], name="upload_raw", condition=~Q(raw_key="")),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(role__in=["picture", "mask", "sketch", "map", "film"]), name="upload_role_known"
            ),
            models.CheckConstraint(
                condition=Q(decoded_at__isnull=True, pixels_sha256="")
                | (Q(decoded_at__isnull=False, width__gte=1, height__gte=1) & ~Q(pixels_sha256="")),
                name="upload_decoded_has_pixels",
            ),
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True) | Q(raw_key="", pixels_key="", alpha_key=""),
                name="upload_erased_has_no_file",
            ),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="upload_no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="upload_keeps_file", fields=["person", "case", "role", "sha256", "bytes"]),
            pgtrigger.Trigger(
                name="upload_keeps_pixels",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Condition(
                    "OLD.decoded_at IS NOT NULL AND (OLD.decoded_at, OLD.pixels_sha256, OLD.alpha_sha256, OLD.width, "
                    "OLD.height, OLD.record) IS DISTINCT FROM (NEW.decoded_at, NEW.pixels_sha256, NEW.alpha_sha256, "
                    "NEW.width, NEW.height, NEW.record)"
                ),
                func="RAISE EXCEPTION 'what an upload was decoded to never changes'; RETURN NULL;",
            ),
        ]

    @property
    def folder(self) -> str:
        """Where its files lie, in both stores: by its day, so that what no row names is found when its term is over."""
        return f"{self.FOLDER}/{self.created_at:%Y-%m-%d}/{self.pk}"

    @property
    def kind(self) -> str:
        """What the decoder takes it for: picture or film."""
        return "film" if self.role == self.Role.FILM else "picture"

    @property
    def is_usable(self) -> bool:
        """It may be drawn with. For one row in hand; lists use the QuerySet's join."""
        return self.case.state == Case.State.CLEARED and self.erased_at is None
