"""Classifiers without weights, shipped for tests: they read the mark that the fake engine paints."""

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from moderation.policy import LEXICON, UPLOAD, PolicySet
from moderation.signals import ItemFault, Signal

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
        if model not in (LEXICON, UPLOAD, "fake")
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
