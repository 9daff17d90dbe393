"""Pictures that are known by their perceptual hash: from lists that others keep, and what was refused here."""

from typing import ClassVar, Self

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from journal.models import AppendOnly
from moderation.models.cases import Case

# What its words are: see the table moderation_blockedword in migration 0009_known.
WRITE_WORDS = """
    INSERT INTO moderation_blockedword (word, other, picture_id)
    SELECT half.word, half.other, added.id FROM added, moderation_halves(added.digits) half ORDER BY half.word;
    RETURN NULL;
"""
# A hash that counts no more is not looked for either; and no other column ever changes.
RETIRE = """
    IF OLD.retired_at IS NOT NULL OR NEW.retired_at IS NULL OR
       (to_jsonb(OLD) - '{retired_at,retired_by,retired_reason}'::text[]) IS DISTINCT FROM
       (to_jsonb(NEW) - '{retired_at,retired_by,retired_reason}'::text[]) THEN
        RAISE EXCEPTION 'moderation_blockedpicture % is written once, and retired once', OLD.id;
    END IF;
    DELETE FROM moderation_blockedword blocked USING moderation_halves(OLD.digits) half
     WHERE blocked.word = half.word AND blocked.other = half.other AND blocked.picture_id = OLD.id;
    RETURN NEW;
"""


class ListChange(AppendOnly):
    """One import into a list of hashes, or one retirement from it, by an operator. `digest` is over the hashes."""

    class Act(models.TextChoices):
        IMPORT = "import", "imported"
        RETIRE = "retire", "retired"

    id = models.BigAutoField(primary_key=True)
    act = models.CharField(max_length=8, choices=Act.choices)
    source = models.CharField(max_length=80, blank=True)
    policy_code = models.CharField(max_length=64, blank=True, default="")
    hashes = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    # Of the file as it was read; empty where there was none.
    file_sha256 = models.CharField(max_length=64, blank=True, default="")
    # The operator's name on their machine: the command line knows no accounts.
    by = models.CharField(max_length=120)
    reason = models.CharField(max_length=500, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(act__in=["import", "retire"]), name="listchange_act_known"),
            models.CheckConstraint(condition=~Q(act="retire") | ~Q(reason=""), name="listchange_retire_has_reason"),
        ]


class Embedding(models.Model):
    """What a CLIP made of the picture of a case, or of the frame of its film that is most like something refused.

    Kept beside the perceptual hashes and for the same end: once the case is refused, what is like it asks. Half a
    kilobyte for each case.
    """

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="embeddings")
    model = models.CharField(max_length=80)
    version = models.CharField(max_length=80)
    # A unit vector: float16, little-endian.
    vector = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "model", "version"], name="embedding_once_by_a_model"),
            models.CheckConstraint(condition=~Q(vector=b""), name="embedding_is_there"),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="embedding_stays", operation=pgtrigger.Delete | pgtrigger.Update),
        ]


class BlockedPictureQuerySet(models.QuerySet["BlockedPicture"]):
    def standing(self) -> Self:
        """What is looked for: not retired."""
        return self.filter(retired_at__isnull=True)


class BlockedPicture(models.Model):
    """The hash of a picture that is not to come in or go out, and who says so. No pixels of it are kept.

    Written once; it may be retired, once, and stays to be read. Expected to reach a million rows: lists of exchange
    programmes, and what is refused here. Each standing one has sixteen rows in moderation_blockedword, kept by the
    triggers, by which near ones are found (moderation/known.py); about 1.5 KB in all.
    """

    REFUSED_HERE: ClassVar = "refused here"

    id = models.BigAutoField(primary_key=True)
    digits = models.CharField(max_length=64)
    # Which list names it.
    source = models.CharField(max_length=80)
    # What the list says of it beside, for whoever asks there.
    reference = models.CharField(max_length=200, blank=True, default="")
    # The policy that the picture breaks: for moderators, never told to whoever brought it.
    policy_code = models.CharField(max_length=64)
    # The import that added it, or the case that was refused here.
    added_with = models.ForeignKey(ListChange, on_delete=models.PROTECT, null=True, related_name="pictures")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, null=True, related_name="blocked_pictures")
    added_at = models.DateTimeField(default=timezone.now)
    retired_at = models.DateTimeField(null=True)
    retired_by = models.CharField(max_length=120, blank=True, default="")
    retired_reason = models.CharField(max_length=500, blank=True, default="")

    objects = BlockedPictureQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["source", "digits"],
                condition=Q(retired_at__isnull=True, case__isnull=True),
                name="blocked_once_in_a_list",
            ),
            models.UniqueConstraint(fields=["case", "digits"], name="blocked_once_by_a_case"),
            models.CheckConstraint(condition=Q(digits__regex=r"^[0-9a-f]{64}$"), name="blocked_digits"),
            models.CheckConstraint(
                condition=Q(case__isnull=True, added_with__isnull=False)
                | Q(case__isnull=False, added_with__isnull=True),
                name="blocked_by_list_or_case",
            ),
            models.CheckConstraint(
                condition=Q(retired_at__isnull=True, retired_by="", retired_reason="")
                | (Q(retired_at__isnull=False) & ~Q(retired_by="") & ~Q(retired_reason="")),
                name="blocked_retired_has_who_and_why",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["added_at"], name="blocked_here_added", condition=Q(case__isnull=False)),
            models.Index(fields=["retired_at"], name="blocked_here_retired", condition=Q(case__isnull=False)),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="blocked_no_delete", operation=pgtrigger.Delete),
            # Once for a statement and not for each row: a list has a hundred thousand.
            pgtrigger.Trigger(
                name="blocked_words",
                level=pgtrigger.Statement,
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                referencing=pgtrigger.Referencing(new="added"),
                func=WRITE_WORDS,
            ),
            pgtrigger.Trigger(name="blocked_retire", operation=pgtrigger.Update, when=pgtrigger.Before, func=RETIRE),
        ]
