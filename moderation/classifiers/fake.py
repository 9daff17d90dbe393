"""Classifiers without weights, shipped for tests: they read the mark that the fake engine paints."""

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from moderation.policy import KNOWN, LEXICON, UPLOAD, PolicySet
from moderation.signals import Face, ItemFault, Signal

if TYPE_CHECKING:
    from PIL import Image

# The upper left pixel, as generation/engine/fake.py paints it.
MARKS = {
    (200, 10, 0): "review",
    (200, 20, 0): "block",
    (200, 30, 0): "severe",
    (200, 40, 0): "nan",
    (200, 50, 0): "crash",
    (200, 60, 0): "kill",
}
SEEN = ("review", "block", "severe")


def _quiet(policies: PolicySet, subject: str) -> list[Signal]:
    """0 for whatever the policies ask of real models about such a subject."""
    return [
        Signal(signal, 0.0, model, version or "fake")
        for signal, model, version in sorted(policies.asked(subject))
        if model not in (KNOWN, LEXICON, UPLOAD, "fake")
    ]


class FakePictureClassifier:
    """Says 0 to whatever the policies ask of real models, and 1 to the mark that it sees."""

    name = "fake"
    version = "1"

    def __init__(self, policies: PolicySet) -> None:
        self._quiet = list(dict.fromkeys(_quiet(policies, "medium") + _quiet(policies, "upload")))

    def load(self) -> None:
        """There is nothing to load."""

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        return [self._look(index, picture) for index, picture in enumerate(pictures)]

    def _look(self, index: int, picture: "Image.Image") -> list[Signal]:
        seen = MARKS.get(picture.convert("RGB").getpixel((0, 0)), "")  # type: ignore[arg-type]
        if seen == "crash":
            raise ItemFault(index, "the fake classifier was asked to choke on it")
        if seen == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        score = float("nan") if seen == "nan" else 0.0
        marks = [Signal(mark, 1.0 if mark == seen else score, self.name, self.version) for mark in SEEN]
        return [*self._quiet, *marks]


# What the fake face finder takes for a face: a square of this side and of this red. Green and blue say whose it is.
FACE_SIDE = 64
FACE_RED = 231


class FakeFaceFinder:
    """Finds squares of 64 pixels and one colour whose red is 231, and squares of 16 pixels as faces too small.

    Faces of the same green and blue are the same person's: their descriptors differ only where those do. No picture
    that is not made for a test has such a square; it says nothing about real faces.
    """

    name = "fake-faces"
    version = "1"

    def load(self) -> None:
        """There is nothing to load."""

    def faces(self, picture: "Image.Image") -> list[Face]:
        found = []
        step = FACE_SIDE // 4
        pixels = picture.convert("RGB")
        whose = {
            (x, y): pixels.getpixel((x + step // 2, y + step // 2))
            for x in range(0, picture.width - step + 1, step)
            for y in range(0, picture.height - step + 1, step)
        }
        marked = {place: colour for place, colour in whose.items() if colour[0] == FACE_RED}  # type: ignore[index]
        while marked:
            left, top = min(marked)
            colour = marked[left, top]
            wide = 1
            while marked.get((left + wide * step, top)) == colour:
                wide += 1
            high = 1
            while marked.get((left, top + high * step)) == colour:
                high += 1
            for x in range(wide):
                for y in range(high):
                    marked.pop((left + x * step, top + y * step), None)
            _, green, blue = colour  # type: ignore[misc]
            numbers = tuple((green if place % 2 else blue) / 255 for place in range(128))
            found.append(Face((left, top, left + wide * step, top + high * step), 1.0, numbers))
        return found


class FakePromptClassifier:
    """Says 0 to whatever the policies ask of real models about a prompt."""

    name = "fake"
    version = "1"

    def __init__(self, policies: PolicySet) -> None:
        self._quiet = _quiet(policies, "prompt")

    def load(self) -> None:
        """There is nothing to load."""

    def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
        mark = Signal("prompt", 0.0, self.name, self.version)
        return [[*self._quiet, mark] for _ in prompts]
