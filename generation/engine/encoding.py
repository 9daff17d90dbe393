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

# What every browser plays, looked at by x264 as flat drawings are.
FOR_PLAYING = {"crf": "18", "preset": "medium", "tune": "animation"}
# Each pixel as it was; few players know it.
LOSSLESS = {"qp": "0", "preset": "ultrafast"}


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
    """An MP4 of frames x height x width x 3 bytes, RGB, that lasts exactly frames / fps seconds.

    For playing, sides must be even: H.264 keeps colours for two pixels together. Grows with the pixels.
    """
    height, width = pixels.shape[1:3]
    if not lossless and (height % 2 or width % 2):
        raise ValueError(f"A film for playing has even sides, not {width}x{height}.")
    # FFmpeg moves the index to the front in a second pass, and for that wants a file with a name.
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        # In the usual thousandths of a second a length like 81/16 s would be cut.
        options = {"movflags": "+faststart", "movie_timescale": str(1000 * fps)}
        with av.open(file.name, "w", format="mp4", options=options) as container:
            stream = container.add_stream("libx264rgb" if lossless else "libx264", rate=fps)
            stream.options = {**(LOSSLESS if lossless else FOR_PLAYING)}
            stream.width, stream.height = width, height
            stream.pix_fmt = "rgb24" if lossless else "yuv420p"
            stream.time_base = Fraction(1, fps)
            for number, each in enumerate(pixels):
                frame = av.VideoFrame.from_ndarray(each, format="rgb24")
                frame.pts, frame.duration, frame.time_base = number, 1, Fraction(1, fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return file.read()


def frames(file: BinaryIO) -> Iterator[NDArray[np.uint8]]:
    """The frames of a film of ours, each height x width x 3 bytes, RGB, one in memory at a time."""
    with av.open(file, "r") as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
