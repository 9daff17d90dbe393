"""What this process knows of the registry: names for the words of prompts, and for the sieve faces.

The registry is what moderation/words/*.toml list and what people added at the desk. Whoever judges a prompt or a
picture refreshes first, which costs one look-up of one row; what is read is kept until that row says that it changed,
or until an entry expires. A registry that cannot be read is a fault of the machinery: nothing is judged without it.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError
from django.db.models.functions import Now

from moderation import names, sealing
from moderation.models import Descriptor, Protected, RegistryState
from moderation.names import Entry, Kind
from moderation.signals import MachineryFault

log = logging.getLogger(__name__)

KINDS: Mapping[str, Kind] = {Protected.Kind.PERSON: "persons", Protected.Kind.STYLE: "styles"}


class RegistryUnreadable(MachineryFault):
    """The registry cannot be read now, so nobody can say who is protected."""


@dataclass(frozen=True)
class State:
    """A state of the registry: what was changed last, and when time alone changes it again."""

    mark: UUID
    changes: int
    # The next entry to expire does so then; None where none will.
    ends: datetime | None = None

    def holds(self, mark: UUID, now: datetime) -> bool:
        """Whether it is still so."""
        return self.mark == mark and (self.ends is None or now < self.ends)


@dataclass(frozen=True)
class Face:
    """A face of a protected person, opened: in memory only. `finder` and `version` say which model described it."""

    entry_id: int
    finder: str
    version: str
    descriptor: tuple[float, ...]


_lock = threading.Lock()
_names: State | None = None
_faces: tuple[State, tuple[Face, ...]] | None = None


def refresh() -> None:
    """Match prompts by the registry as it is now. Raises RegistryUnreadable.

    The count is read before the entries, so that what is committed in between is read again the next time.
    """
    global _names
    mark, changes, now = _now()
    if _names is not None and _names.holds(mark, now):
        return
    with _lock:
        if _names is not None and _names.holds(mark, now):
            return
        try:
            current = list(Protected.objects.current().order_by("pk"))
        except DatabaseError as error:
            raise RegistryUnreadable(f"the registry cannot be read: {error}") from error
        added: dict[Kind, list[Entry]] = {kind: [] for kind in names.KINDS}
        for one in current:
            added[KINDS[one.kind]].append(entry(one))
        names.use(added, str(changes) if changes else "")
        _names = State(mark, changes, _first_to_expire(current))


def templates() -> tuple[Face, ...]:
    """The faces of everybody who is protected now, for the screening process. Raises RegistryUnreadable.

    One that cannot be opened spoils them all: nobody could say whose face goes unprotected.
    """
    global _faces
    mark, changes, now = _now()
    if _faces is not None and _faces[0].holds(mark, now):
        return _faces[1]
    with _lock:
        try:
            current = list(Protected.objects.current().filter(kind=Protected.Kind.PERSON))
            kept = Descriptor.objects.kept().filter(template__entry__in=current).select_related("template")
            found = tuple(opened(one) for one in kept.order_by("pk"))
        except (DatabaseError, sealing.SealBroken, sealing.SealingKeysUnusable) as error:
            raise RegistryUnreadable(f"the registry's faces cannot be read: {error}") from error
        _faces = State(mark, changes, _first_to_expire(current)), found
    return found


def descriptors(finder: str, version: str) -> list[tuple[float, ...]]:
    """The faces that this finder described, of this version: those of others are on no scale of its own."""
    found = templates()
    mine = [one.descriptor for one in found if (one.finder, one.version) == (finder, version)]
    if len(mine) < len(found):
        log.warning("%d registered faces were described by another finder and protect nobody", len(found) - len(mine))
    return mine


def entry(one: Protected) -> Entry:
    """A row as names.py matches by it. Who holds an office is known; any other person's aliases tell no name."""
    is_person = one.kind == Protected.Kind.PERSON
    return Entry(
        name=one.name,
        aliases=tuple(one.aliases),
        alone=one.alone,
        unlike=tuple(one.unlike),
        instead=one.instead,
        outright=one.outright,
        private=is_person and one.basis != Protected.Basis.OFFICE,
    )


def seal_of(template_id: int, entry_id: int) -> sealing.Belongs:
    """What a sealed descriptor belongs to: moved to another row, it does not open."""
    return sealing.Belongs(template=template_id, entry=entry_id)


def ring() -> sealing.Ring:
    """The keys of this house for what is kept of faces. Raises SealingKeysUnusable."""
    return sealing.ring(tuple(settings.REGISTRY_KEYS), settings.DATA / "registry")


def opened(one: Descriptor) -> Face:
    """A sealed face. Raises SealBroken, SealingKeysUnusable."""
    template = one.template
    return Face(
        entry_id=template.entry_id,
        finder=template.finder,
        version=template.finder_version,
        descriptor=ring().open(bytes(one.sealed), seal_of(template.pk, template.entry_id)),
    )


def _first_to_expire(current: list[Protected]) -> datetime | None:
    return min((one.expires_at for one in current if one.expires_at is not None), default=None)


def _now() -> tuple[UUID, int, datetime]:
    """The mark of the last change, how many there were, and the time, by the database."""
    try:
        row = RegistryState.objects.values_list("mark", "changes", Now()).first()
    except DatabaseError as error:
        raise RegistryUnreadable(f"the registry cannot be read: {error}") from error
    if row is None:
        raise RegistryUnreadable("the row that counts the changes of the registry is missing")
    mark, changes, now = row
    return mark, changes, now
