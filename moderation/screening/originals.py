"""What the sieve sees of a case: one picture, or several of a film or of what lets its ground shine through."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from moderation.provenance.hashes import Pdq
from moderation.provenance.pdq import turned

if TYPE_CHECKING:
    from PIL import Image


class Unreadable(Exception):
    """An original that cannot be looked at; the message says why."""


class Flat(Unreadable):
    """One colour all over: there is nothing to look at."""


class Unfit(Exception):
    """An upload that is not taken, and needs no classifier to say so. The message is for the person."""


@dataclass(frozen=True)
class View:
    """One picture for the classifiers. `where` says which of several it is, and is empty when there is one."""

    picture: "Image.Image"
    where: str = ""

    @cached_property
    def hashes(self) -> list[Pdq]:
        """Its perceptual hashes in all ways to turn and mirror it, as it is first. Taken once."""
        return turned(self.picture)


@dataclass(frozen=True)
class Original:
    """An original as the sieve sees it: at least one view; of a film the file besides."""

    views: tuple[View, ...]
    film: bytes | None = None

    @property
    def traces(self) -> list[tuple[str, str, int]]:
        """What its views look like, as a case keeps it: where, 64 hexadecimal digits, quality."""
        return [(view.where, view.hashes[0].digits, view.hashes[0].quality) for view in self.views]


def is_flat(picture: "Image.Image") -> bool:
    """Every pixel has one colour: a classifier has nothing to see in it, and would call it harmless."""
    return all(least == most for least, most in picture.getextrema())  # type: ignore[misc]
