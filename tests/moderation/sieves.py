"""An armoury for tests: the shipped fake classifiers, with one more that fails in whatever way is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from moderation.arming import load_armoury
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.fake import MARKS
from moderation.signals import ItemFault, MachineryFault, Signal

COLOURS = {name: colour for colour, name in MARKS.items()}


def marked(image: Image.Image, mark: str) -> Image.Image:
    """A picture that the fake classifiers read as `mark`."""
    image = image.copy()
    image.putpixel((0, 0), COLOURS[mark])
    return image


@dataclass(frozen=True)
class Faults:
    """How the sieve fails; each field alone is one difference from a sieve that works."""

    score: float | None = None
    silent: bool = False
    version: str = ""
    raises: Exception | None = None
    raises_over: str = ""
    item_fault: bool = False
    machinery_fault: bool = False
    one_answer_less: bool = False
    meanwhile: Callable[[], None] | None = None


class FaultyArmoury:
    """The same answers as a sound armoury's, but for one fault."""

    def __init__(self, sound: Armoury, faults: Faults) -> None:
        self.sound = sound
        self.faults = faults

    def required(self, subject: str) -> frozenset[str]:
        return self.sound.required(subject)

    def screen_prompts(self, prompts: Sequence[tuple[str, str]]) -> list[list[Signal]]:
        return self._spoil(self.sound.screen_prompts(prompts))

    def screen_pictures(self, pictures: Sequence[Image.Image]) -> list[list[Signal]]:
        if self.faults.raises and self.faults.raises_over:
            if any(picture.getpixel((0, 0)) == COLOURS[self.faults.raises_over] for picture in pictures):
                raise self.faults.raises
            return self.sound.screen_pictures(pictures)
        return self._spoil(self.sound.screen_pictures(pictures))

    def named(self, prompts: Sequence[str]) -> list[list[Signal]]:
        return self.sound.named(prompts)

    def _spoil(self, answers: list[list[Signal]]) -> list[list[Signal]]:
        faults = self.faults
        if faults.meanwhile:
            faults.meanwhile()
        if faults.raises:
            raise faults.raises
        if faults.item_fault:
            raise ItemFault(0, "for the test")
        if faults.machinery_fault:
            raise MachineryFault("out of memory")
        if faults.one_answer_less:
            return answers[1:]
        return [[spoiled for signal in answer for spoiled in self._one(signal)] for answer in answers]

    def _one(self, signal: Signal) -> list[Signal]:
        if self.faults.silent:
            return []
        changes: dict[str, Any] = signal.__dict__.copy()
        if self.faults.score is not None:
            changes["score"] = self.faults.score
        if self.faults.version:
            changes |= {"version": self.faults.version, "model": self.faults.version}
        return [Signal(**changes)]


def armed(faults: Faults | None = None) -> Any:
    """A sound armoury of fake classifiers, or one with a fault."""
    sound = load_armoury()
    return FaultyArmoury(sound, faults) if faults else sound
