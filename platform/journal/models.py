"""Rows that every room leans on: audit lines and their seals, wake-ups, idempotency keys, process beats."""

from datetime import timedelta
from typing import ClassVar

import pgtrigger
from django.apps import apps
from django.db import models
from django.utils import timezone

WRITE_LINE = """
    INSERT INTO journal_line (source, source_id, body, written_at)
    VALUES (TG_TABLE_NAME, NEW.id::text, to_jsonb(NEW)::text, clock_timestamp());
    RETURN NULL;
"""


def append_only() -> list[pgtrigger.Trigger]:
    """Refuse every change but INSERT."""
    return [
        pgtrigger.Protect(name="no_update", operation=pgtrigger.Update),
        pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            operation=pgtrigger.Truncate,
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            func="RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;",
        ),
    ]


def audited() -> list[pgtrigger.Trigger]:
    """Refuse every change but INSERT, and write each new row into the audit lines."""
    return [
        *append_only(),
        pgtrigger.Trigger(name="audit", operation=pgtrigger.Insert, when=pgtrigger.After, func=WRITE_LINE),
    ]


class AppendOnly(models.Model):
    """A row that is written once. Its insert also writes an audit line, which the sealer chains.

    The triggers are the second lock; the first is that the application's role has no UPDATE, DELETE or
    TRUNCATE on these tables (see `prepare_database`).
    """

    class Meta:
        abstract = True
        triggers: ClassVar = audited()

    @classmethod
    def tables(cls) -> set[str]:
        """The names of all audited tables."""
        return {model._meta.db_table for model in apps.get_models() if issubclass(model, cls)}


class Line(models.Model):
    """One audited row as it was when written. `seq` is given by the sealer, once, and nothing else ever changes."""

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=63)
    source_id = models.CharField(max_length=64)
    body = models.TextField()
    written_at = models.DateTimeField()
    seq = models.BigIntegerField(null=True, unique=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["id"], name="journal_line_unsealed", condition=models.Q(seq__isnull=True)),
            models.Index(fields=["source", "source_id"], name="journal_line_source"),
        ]
        triggers: ClassVar = [
            append_only()[1],
            append_only()[2],
            pgtrigger.Trigger(
                name="seal_once",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                func="""
                    IF OLD.seq IS NOT NULL
                       OR (OLD.id, OLD.source, OLD.source_id, OLD.body, OLD.written_at)
                          IS DISTINCT FROM (NEW.id, NEW.source, NEW.source_id, NEW.body, NEW.written_at) THEN
                        RAISE EXCEPTION 'journal_line % is written once', OLD.id;
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]


class Seal(models.Model):
    """One link of the audit chain: the digest of the one before and of every line in it."""

    id = models.BigIntegerField(primary_key=True)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        triggers: ClassVar = append_only()


class Wakeup(models.Model):
    """A message that a transaction wants sent. The relay sends it and deletes the row."""

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=16)
    created_at = models.DateTimeField(default=timezone.now)


class IdempotentCall(models.Model):
    """One request that must take effect once: same person, route and key within 24 hours."""

    TERM = timedelta(hours=24)

    id = models.BigAutoField(primary_key=True)
    person_id = models.BigIntegerField()
    route = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    # What the call made, as "job:<uuid>" or "refused:<id>". Written in the transaction that made it.
    outcome = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["person_id", "route", "key"], name="journal_one_call_per_key"),
        ]
        indexes: ClassVar = [models.Index(fields=["person_id", "digest"], name="journal_call_digest")]


class ProcessBeat(models.Model):
    """A long-lived process that said it is at work. Stale after `STALE`, forgotten after `KEPT`."""

    STALE = timedelta(seconds=15)
    KEPT = timedelta(days=1)

    name = models.CharField(max_length=128, primary_key=True)
    kind = models.CharField(max_length=16)
    note = models.CharField(max_length=200, default="")
    beat_at = models.DateTimeField(default=timezone.now)

    @classmethod
    def beat(cls, name: str, kind: str, note: str = "") -> None:
        """Say that the process `name` is alive and armed."""
        cls.objects.update_or_create(name=name, defaults={"kind": kind, "note": note, "beat_at": timezone.now()})

    @classmethod
    def alive(cls, kind: str) -> int:
        """How many processes of `kind` have said so lately."""
        return cls.objects.filter(kind=kind, beat_at__gt=timezone.now() - cls.STALE).count()
