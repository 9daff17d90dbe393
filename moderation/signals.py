"""What classifiers say, and the two ways in which they fail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Signal:
    """One named score, 0 (nothing) to 1 (certain), from one model of one version (a hash of its weights).

    field and words are for prompts and for what is written in pictures: where it was found, and which words. note and
    severity are for pictures that are known: what a moderator alone reads beside the score, and how severe it is at the
    least, 0 to 3; trace is what such a picture was compared by, and is kept with its case.
    """

    name: str
    score: float
    model: str
    version: str
    field: str = ""
    words: tuple[str, ...] = ()
    note: str = ""
    severity: int = 0
    trace: bytes = b""


class MachineryFault(Exception):
    """The classifiers cannot work now. No item is to blame; try again later."""


class ItemFault(Exception):
    """One item cannot be judged. `index` is its place in what was given; the others are not touched."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"item {index}: {why}")
        self.index = index
        self.why = why


class Unarmed(Exception):
    """Required classifiers could not be loaded. Whoever sees this must not screen."""

    def __init__(self, missing: dict[str, str]) -> None:
        reasons = "; ".join(f"{name}: {why}" for name, why in missing.items())
        super().__init__(f"classifiers are missing, so nothing can be screened ({reasons})")
        self.missing = missing


class Classifier(Protocol):
    """Loaded once; called from one thread."""

    name: str
    version: str

    def load(self) -> None:
        """Load the weights, checked. Raises any exception; the armoury turns it into Unarmed."""


class PictureClassifier(Classifier, Protocol):
    """Looks at pictures."""

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        """The signals of each RGB picture, in order. Raises ItemFault for one that it cannot judge."""


@dataclass(frozen=True)
class Face:
    """A face in a picture: left, top, right, bottom in pixels; how sure its finder is, 0..1; and 128 numbers, which lie
    near those of other pictures of the same person (distance below about 0.45) and far from other people's."""

    box: tuple[float, float, float, float]
    confidence: float
    descriptor: tuple[float, ...]


class FaceFinder(Protocol):
    """Finds faces, and says what tells them apart."""

    name: str
    version: str

    def faces(self, picture: "Image.Image") -> list[Face]:
        """The faces in an RGB picture, the largest first."""


class PromptClassifier(Classifier, Protocol):
    """Reads prompts."""

    def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
        """The signals of each prompt, in order."""
