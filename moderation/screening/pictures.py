"""Read an original from quarantine as pixels, or say why not. Never imported by the web process."""

import io
import warnings
from typing import Any

from PIL import Image

from journal import files
from moderation.signals import MachineryFault

FORMATS = ("PNG", "JPEG", "WEBP")
# Far above what any model draws, far below what fills the memory.
MOST_PIXELS = 40_000_000


def read_original(evidence: dict[str, Any]) -> Image.Image:
    """The picture that a case is about, as RGB.

    Raises Unreadable when the file is missing, is not the one that was drawn, or is not a whole picture, and
    MachineryFault when the store does not answer.
    """
    try:
        data = files.read(files.quarantine(), evidence["original_key"])
    except files.StoreAway as error:
        raise MachineryFault(str(error)) from error
    except files.StoreBroken as error:
        raise Unreadable(str(error)) from error
    if files.digest(data) != evidence["original_sha256"]:
        raise Unreadable("the file in quarantine is not the one that was drawn")
    return decode(data, size=(evidence["width"], evidence["height"]))


class Unreadable(Exception):
    """An original that cannot be looked at; the message says why."""


def decode(data: bytes, *, size: tuple[int, int]) -> Image.Image:
    """Decode a picture of a known size, of few formats and of bounded pixels. Raises Unreadable."""
    if size[0] * size[1] > MOST_PIXELS:
        raise Unreadable(f"the picture has more than {MOST_PIXELS:,} pixels")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                # The header is read, the pixels are not yet.
                if file.size != size:
                    raise Unreadable(f"the picture is {file.size[0]}x{file.size[1]}, not {size[0]}x{size[1]}")
                picture = file.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Warning) as error:
        raise Unreadable(f"the file is no whole picture: {error}") from error
    if all(least == most for least, most in picture.getextrema()):  # type: ignore[misc]
        # A classifier has nothing to see in it, and would call it harmless.
        raise Unreadable("the picture is one flat colour")
    return picture
