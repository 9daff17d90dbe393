"""Pixels as files: PNG for a picture, H.264 in MP4 for a film; without a word of metadata. Knows no torch."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from generation.engine.items import Drawn
from moderation.formats import films


@dataclass(frozen=True)
class Encoded:
    """A file and what it is. `suffix` ends its name."""

    data: bytes
    suffix: Literal[".png", ".mp4"]
    media_type: Literal["image/png", "video/mp4"]


def original(drawn: Drawn) -> Encoded:
    """A medium as a file that loses nothing."""
    if not drawn.fps:
        return Encoded(picture(drawn.pixels[0]), ".png", "image/png")
    return Encoded(film(drawn.pixels, drawn.fps, lossless=True), ".mp4", "video/mp4")


def picture(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of height x width x 3 bytes, RGB."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return written.getvalue()


def film(pixels: NDArray[np.uint8], fps: int, *, lossless: bool = False) -> bytes:
    """An MP4 of frames x height x width x 3 bytes, RGB. See films.write. Grows with the pixels."""
    each = (av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in pixels)
    height, width = pixels.shape[1:3]
    # FFmpeg moves the index to the front in a second pass, and for that wants a file with a name.
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        films.write(file.name, each, (width, height), Fraction(fps), lossless=lossless)
        return file.read()


def frames(file: BinaryIO) -> Iterator[NDArray[np.uint8]]:
    """The frames of a film of ours, each height x width x 3 bytes, RGB, one in memory at a time."""
    with av.open(file, "r", format="mp4") as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
