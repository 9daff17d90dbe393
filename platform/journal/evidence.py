"""What a room alone can say about its audited rows: whether what they vouch for is still what it was.

A room registers its check in `AppConfig.ready()`; `audit verify` asks them all. The journal knows none of them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One place where the audit no longer says what was written."""

    place: str
    what: str


Check = Callable[[], Iterable[Finding]]

_registered: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Add a check under a name of its room's. It runs in the snapshot of the whole verification, and only reads."""
    _registered[name] = check


def names() -> set[str]:
    """The checks that this process knows."""
    return set(_registered)


def findings() -> Iterator[Finding]:
    """What all the rooms found."""
    for name in sorted(_registered):
        yield from _registered[name]()
