"""Add to the registry of protected persons and styles, end an entry, and bring pictures of whom it protects.

Only people do: each verb names one who may keep the registry, and the database refuses any other.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.core.files.base import File
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from journal import files, outbox
from journal.transactions import require_transaction, step
from moderation.formats import limits
from moderation.models import Descriptor, Ending, Protected, ReferencePicture, RegistryLook, RegistryState
from moderation.models.registry import KEEP
from moderation.registry import opened, ring, seal_of

# More pictures of one person than this find nobody better.
MOST_PICTURES = 10
AT_ONCE = 200


class EntryOver(Exception):
    """The entry protects nobody any more: it was ended, or its time is over."""

    def __init__(self, entry: Protected) -> None:
        super().__init__(f"Entry {entry.pk} is over. Add a new one.")


class PictureRefused(Exception):
    """A reference picture that is not taken. The message says why, for whoever brought it."""


@dataclass(frozen=True)
class Facts:
    """What an entry says. `document` is what documents the basis, `key` of the form that it came by."""

    kind: str
    name: str
    basis: str
    document: str
    aliases: Sequence[str] = ()
    alone: bool = False
    unlike: Sequence[str] = ()
    instead: dict[str, str] = field(default_factory=dict)
    outright: bool = False
    expires_at: datetime | None = None
    key: uuid.UUID = field(default_factory=uuid.uuid4)


def add(facts: Facts, *, keeper: User) -> Protected:
    """Protect somebody or a style. The same form sent twice adds one entry. Raises PermissionDenied."""
    _allow(keeper)
    with step("registry.add"):
        lock_registry()
        known = Protected.objects.filter(key=facts.key).first()
        if known is not None:
            return known
        return Protected.objects.create(
            key=facts.key,
            kind=facts.kind,
            name=facts.name,
            aliases=list(facts.aliases),
            alone=facts.alone,
            unlike=list(facts.unlike),
            instead=facts.instead,
            outright=facts.outright,
            basis=facts.basis,
            document=facts.document,
            added_by=keeper,
            expires_at=facts.expires_at,
        )


def end(entry: Protected, *, keeper: User, why: str, note: str) -> bool:
    """End an entry and erase what is known of its faces, in one transaction. False if it was ended already."""
    _allow(keeper)
    with step("registry.end"):
        lock_registry()
        if Ending.objects.filter(entry=entry).exists():
            return False
        Ending.objects.create(entry=entry, why=why, note=note, ended_by=keeper)
        _erase(Descriptor.objects.filter(template__entry=entry))
    return True


def bring(entry: Protected, file: "File[bytes]", *, keeper: User) -> ReferencePicture:
    """Have the screening process describe the one face in a picture. Nothing of it is opened here.

    Raises PictureRefused, EntryOver, PermissionDenied.
    """
    _allow(keeper)
    if entry.kind != Protected.Kind.PERSON:
        raise PictureRefused("A style has no face. Pictures belong to persons.")
    if not file.size:
        raise PictureRefused("The file is empty. Choose another.")
    most = limits.MOST_BYTES["picture"]
    if file.size > most:
        raise PictureRefused(f"The file is larger than {most // 1_000_000} MB. Choose a smaller one.")
    reference = ReferencePicture(entry=entry, brought_by=keeper)
    name = f"{ReferencePicture.FOLDER}/{reference.brought_at:%Y-%m-%dT%H}/{reference.pk}"
    # The file is written before the row: the sweeper removes one that no row names.
    reference.file_key = files.write_once(files.quarantine(), name, file)
    try:
        with step("registry.bring"):
            lock_registry()
            if not Protected.objects.current().filter(pk=entry.pk).exists():
                raise EntryOver(entry)
            if entry.references.exclude(state=ReferencePicture.State.FAILED).count() >= MOST_PICTURES:
                raise PictureRefused(f"This person has {MOST_PICTURES} pictures; more would find nobody better.")
            reference.save(force_insert=True)
            outbox.wake("screen")
    except BaseException:
        files.remove(files.quarantine(), name)
        raise
    return reference


def looked(keeper: User, *, entry: Protected | None = None, searched: str = "", shown: Sequence[int] = ()) -> None:
    """Write down that somebody was shown an entry or a list, before they are."""
    RegistryLook.objects.create(keeper=keeper, entry=entry, searched=searched[:200], shown=list(shown))


def erase_expired() -> int:
    """Erase what is known of faces whose entry is over. Returns how many."""
    with step("registry.erase"):
        lock_registry()
        over = Protected.objects.over().values("pk")
        return _erase(Descriptor.objects.filter(template__entry__in=over))


def rekey() -> int:
    """Seal everything that is known of faces with the first of the keys. Returns how many.

    Raises SealBroken where one does not open, SealingKeysUnusable; then none was sealed anew.
    """
    with step("registry.rekey"):
        lock_registry()
        kept = Descriptor.objects.kept().select_related("template").order_by("pk")
        for one in kept:
            belongs = seal_of(one.template.pk, one.template.entry_id)
            kept.filter(pk=one.pk).update(sealed=ring().seal(opened(one).descriptor, belongs))
        return len(kept)


def forget_references() -> int:
    """Remove reference pictures that were answered: a screening process that was killed left them. Returns how many."""
    left = ReferencePicture.objects.filter(~Q(state=ReferencePicture.State.WAITING) & ~Q(file_key=""))
    done = 0
    for reference in left.order_by("brought_at")[:AT_ONCE]:
        forget_file(reference)
        done += 1
    return done


def forget_unnamed_references() -> int:
    """Remove reference pictures that no waiting row names: who brought them was killed at that. Returns how many.

    Lists the hours that are over, so it costs what is left there.
    """
    begun = f"{timezone.now() - timedelta(hours=1):%Y-%m-%dT%H}"
    done = 0
    for hour in files.listing(files.quarantine(), ReferencePicture.FOLDER, files=False):
        if hour >= begun:
            continue
        folder = f"{ReferencePicture.FOLDER}/{hour}"
        named = set(ReferencePicture.objects.filter(file_key__startswith=folder).values_list("file_key", flat=True))
        for name in files.listing(files.quarantine(), folder, files=True):
            if f"{folder}/{name}" not in named:
                files.remove(files.quarantine(), f"{folder}/{name}")
                done += 1
        if not named:
            files.remove_folder(files.quarantine(), folder)
    return done


def forget_file(reference: ReferencePicture) -> None:
    """Remove the picture of a reference: what was to be told of it is told."""
    files.remove(files.quarantine(), reference.file_key)
    ReferencePicture.objects.filter(pk=reference.pk).update(file_key="")
    reference.file_key = ""


def lock_registry() -> None:
    """Wait for every other change of the registry to be over, and keep others waiting, in the caller's transaction."""
    require_transaction()
    RegistryState.objects.select_for_update().get()


def _erase(descriptors: QuerySet[Descriptor]) -> int:
    return descriptors.filter(erased_at__isnull=True).update(sealed=b"", erased_at=timezone.now())


def _allow(keeper: User) -> None:
    if not keeper.has_perm(KEEP):
        raise PermissionDenied("Senior moderators keep the registry.")
