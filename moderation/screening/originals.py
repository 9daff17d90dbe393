"""What the sieve sees of a case: one picture, or several of a film or of what lets its ground shine through."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class Original:
    """An original as the sieve sees it: at least one view; of a film the file besides."""

    views: tuple[View, ...]
    film: bytes | None = None


def is_flat(picture: "Image.Image") -> bool:
    """Every pixel has one colour: a classifier has nothing to see in it, and would call it harmless."""
    return all(least == most for least, most in picture.getextrema())  # type: ignore[misc]
