"""Protected persons and styles: who added them on what ground, until when, and what is known of their faces."""

import uuid
from typing import ClassVar, Self

import pgtrigger
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from journal.models import AppendOnly

KEEP = "moderation.keep_registry"


MAY_KEEP = """
    IF NOT EXISTS (
        SELECT FROM accounts_user person
         WHERE person.id = NEW.KEEPER AND person.is_active AND (person.is_superuser OR EXISTS (
            SELECT FROM auth_permission permission
              JOIN django_content_type model ON model.id = permission.content_type_id
             WHERE model.app_label = 'moderation' AND permission.codename = 'keep_registry'
               AND (EXISTS (SELECT FROM accounts_user_user_permissions own
                             WHERE own.user_id = person.id AND own.permission_id = permission.id)
                 OR EXISTS (SELECT FROM accounts_user_groups mine JOIN auth_group_permissions given USING (group_id)
                             WHERE mine.user_id = person.id AND given.permission_id = permission.id))))
    ) THEN
        RAISE EXCEPTION 'person % may not keep the registry', NEW.KEEPER;
    END IF;
    RETURN NEW;
"""


def by_a_keeper(column: str) -> pgtrigger.Trigger:
    """Refuse a row that does not name somebody who may keep the registry now: automation never adds to it."""
    return pgtrigger.Trigger(
        name="by_a_keeper",
        operation=pgtrigger.Insert,
        when=pgtrigger.Before,
        func=MAY_KEEP.replace("KEEPER", column),
    )


def newer(operation: pgtrigger.Operation) -> pgtrigger.Trigger:
    """Count the change, in the transaction that makes it: whoever matches by the registry compares the count.

    The row's lock puts changes into one order, so that a count once seen holds everything before it.
    """
    return pgtrigger.Trigger(
        name="newer",
        operation=operation,
        when=pgtrigger.After,
        func="""
            UPDATE moderation_registrystate SET changes = changes + 1, mark = gen_random_uuid() WHERE id = 1;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the row that counts the changes of the registry is missing';
            END IF;
            RETURN NULL;
        """,
    )


class RegistryState(models.Model):
    """One row: how often the registry changed, and a mark of the last change that no other state ever had."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    changes = models.PositiveIntegerField(default=0)
    mark = models.UUIDField(default=uuid.uuid4)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="registry_state_is_one")]
        triggers: ClassVar = [pgtrigger.Protect(name="registry_state_no_delete", operation=pgtrigger.Delete)]


class ProtectedQuerySet(models.QuerySet["Protected"]):
    def current(self) -> Self:
        """What protects now: not ended, and not expired by the clock of the database, which all hosts share."""
        lasting = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
        return self.filter(lasting, ending__isnull=True)

    def over(self) -> Self:
        """What protects nobody any more."""
        return self.filter(Q(ending__isnull=False) | Q(expires_at__lte=Now()))

    def search(self, words: str) -> Self:
        """Entries with these words in their name or in an alias."""
        return self.filter(Q(name__icontains=words) | Q(aliases__icontains=words)) if words else self


class Protected(AppendOnly):
    """A protected person or style. Nothing in it ever changes: a change is an ending and a new entry."""

    class Kind(models.TextChoices):
        PERSON = "person", "person"
        STYLE = "style", "style"

    class Basis(models.TextChoices):
        OWN = "own", "the person's own request"
        REPRESENTATIVE = "representative", "a representative's request"
        OFFICE = "office", "public office"
        ORDER = "order", "an order of a court or an authority"
        RIGHTS = "rights", "the rights holder's request"

    id = models.BigAutoField(primary_key=True)
    # Of the form that it came by: pressed twice, it is added once.
    key = models.UUIDField(unique=True, default=uuid.uuid4)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    name = models.CharField(max_length=120)
    aliases = models.JSONField(default=list)
    # The surname by itself says who is meant.
    alone = models.BooleanField(default=False)
    # What is written so and is something else.
    unlike = models.JSONField(default=list)
    # Of a style: what one may say in its place, by language.
    instead = models.JSONField(default=dict)
    # Of a style: nobody may answer for it. A person is always protected outright.
    outright = models.BooleanField(default=False)
    basis = models.CharField(max_length=14, choices=Basis.choices)
    # What documents it, and where that is to be found.
    document = models.TextField(max_length=2000)
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(db_default=Now())
    # It protects until then; None without end.
    expires_at = models.DateTimeField(null=True)

    objects = ProtectedQuerySet.as_manager()

    class Meta(AppendOnly.Meta):
        permissions: ClassVar = [("keep_registry", "May keep the registry of protected persons and styles")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=["person", "style"]), name="protected_kind_known"),
            models.CheckConstraint(
                condition=Q(basis__in=["own", "representative", "office", "order", "rights"]),
                name="protected_basis_known",
            ),
            models.CheckConstraint(condition=Q(name__regex=r"\S"), name="protected_has_name"),
            models.CheckConstraint(condition=Q(document__regex=r"\S"), name="protected_has_document"),
            models.CheckConstraint(
                condition=Q(kind="style") | Q(instead={}, outright=False), name="protected_softened_only_as_style"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="protected_expiry")]
        triggers: ClassVar = [*AppendOnly.Meta.triggers, by_a_keeper("added_by_id"), newer(pgtrigger.Insert)]

    @property
    def is_ended(self) -> bool:
        """Somebody ended it."""
        return hasattr(self, "ending")

    @property
    def is_current(self) -> bool:
        """It protects now."""
        return not self.is_ended and (self.expires_at is None or self.expires_at > timezone.now())


class Ending(AppendOnly):
    """The end of an entry: who ended it and why. The entry stays, and protects nobody any more."""

    class Why(models.TextChoices):
        OPT_OUT = "opt_out", "whom it protects wants it no longer"
        WITHDRAWN = "withdrawn", "what it rested on fell away"
        REPLACED = "replaced", "a corrected entry takes its place"
        MISTAKEN = "mistaken", "it was a mistake"

    id = models.BigAutoField(primary_key=True)
    entry = models.OneToOneField(Protected, on_delete=models.PROTECT, related_name="ending")
    why = models.CharField(max_length=9, choices=Why.choices)
    note = models.CharField(max_length=500)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(db_default=Now())

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(why__in=["opt_out", "withdrawn", "replaced", "mistaken"]), name="ending_why_known"
            ),
            models.CheckConstraint(condition=Q(note__regex=r"\S"), name="ending_has_note"),
        ]
        triggers: ClassVar = [*AppendOnly.Meta.triggers, by_a_keeper("ended_by_id"), newer(pgtrigger.Insert)]


class RegistryLook(AppendOnly):
    """Somebody was shown an entry, or a list of them: what they searched for, and which entries they saw."""

    id = models.BigAutoField(primary_key=True)
    keeper = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # None for a list.
    entry = models.ForeignKey(Protected, on_delete=models.PROTECT, null=True, related_name="looks")
    searched = models.CharField(max_length=200, blank=True, default="")
    shown = models.JSONField(default=list)
    at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        indexes: ClassVar = [models.Index(fields=["keeper", "-at"], name="registry_look_of_keeper")]


class Template(AppendOnly):
    """That a face of a protected person is known, by which model. What is known of it is sealed, in `Descriptor`."""

    id = models.BigAutoField(primary_key=True)
    entry = models.ForeignKey(Protected, on_delete=models.PROTECT, related_name="templates")
    finder = models.CharField(max_length=80)
    finder_version = models.CharField(max_length=80)
    # Whoever brought the picture.
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(db_default=Now())

    class Meta(AppendOnly.Meta):
        triggers: ClassVar = [*AppendOnly.Meta.triggers, by_a_keeper("added_by_id")]


class DescriptorQuerySet(models.QuerySet["Descriptor"]):
    def kept(self) -> Self:
        """Not erased."""
        return self.filter(erased_at__isnull=True)


class Descriptor(models.Model):
    """The numbers that describe a face, sealed; erased with the entry they belong to. Beside the template, since the
    audit keeps a copy of every row of its tables for good."""

    template = models.OneToOneField(Template, on_delete=models.PROTECT, primary_key=True, related_name="descriptor")
    sealed = models.BinaryField()
    erased_at = models.DateTimeField(null=True)

    objects = DescriptorQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True) & ~Q(sealed=b"") | Q(erased_at__isnull=False, sealed=b""),
                name="descriptor_sealed_or_erased",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["template"], name="descriptor_kept", condition=Q(erased_at__isnull=True))
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(name="descriptor_no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="descriptor_keeps_template", fields=["template"]),
            pgtrigger.Protect(
                name="descriptor_stays_erased",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__erased_at__isnull=False),
            ),
            newer(pgtrigger.Insert | pgtrigger.Update),
        ]


class ReferencePicture(models.Model):
    """A picture that a keeper brought for an entry, until its face was described. The row stays, the file does not."""

    class State(models.TextChoices):
        WAITING = "waiting", "being looked at"
        KEPT = "kept", "a face was described"
        FAILED = "failed", "not used"  # `why` says why

    FOLDER: ClassVar = "references"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    entry = models.ForeignKey(Protected, on_delete=models.PROTECT, related_name="references")
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    # In quarantine; empty once it is gone.
    file_key = models.CharField(max_length=200, blank=True)
    why = models.CharField(max_length=300, blank=True, default="")
    template = models.OneToOneField(Template, on_delete=models.PROTECT, null=True, related_name="reference")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    brought_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    brought_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="waiting", answered_at__isnull=True, template__isnull=True)
                | Q(state="kept", answered_at__isnull=False, template__isnull=False)
                | (Q(state="failed", answered_at__isnull=False, template__isnull=True) & ~Q(why="")),
                name="reference_state_told",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["brought_at"], name="reference_waiting", condition=Q(state="waiting")),
            models.Index(fields=["brought_at"], name="reference_left", condition=~Q(state="waiting") & ~Q(file_key="")),
            models.Index(fields=["entry", "brought_at"], name="reference_of_entry"),
        ]
        triggers: ClassVar = [
            by_a_keeper("brought_by_id"),
            pgtrigger.Protect(name="reference_no_delete", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="reference_keeps_who", fields=["entry", "brought_by", "brought_at"]),
            pgtrigger.FSM(
                name="reference_arrows", field="state", transitions=[("waiting", "kept"), ("waiting", "failed")]
            ),
        ]
