"""PDQ, a perceptual hash of 256 bits: what was resized, encoded anew or a little changed has nearly the same.

After "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (Facebook, 2019). The package that has
it must be compiled on every machine, so it is done here; tests hold it against that package's numbers.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

BITS = 256
# From this distance down two hashes are of one picture (the value that the hash's makers advise).
NEAR = 31
# Of 100: below it there is too little in a picture to tell it from others.
LEAST_QUALITY = 50
# Larger pictures are made smaller first: ten times faster, at a distance of four bits.
LARGEST = 512
_SMALL, _KEPT = 64, 16


@dataclass(frozen=True)
class Pdq:
    """A hash as 64 hexadecimal digits, as lists of such hashes write it; and how much there is to tell, 0 to 100."""

    digits: str
    quality: int

    def __sub__(self, other: "Pdq") -> int:
        """In how many of 256 bits two hashes differ."""
        return (int(self.digits, 16) ^ int(other.digits, 16)).bit_count()


def pdq(picture: "Image.Image") -> Pdq:
    """Hash a picture of any size, as RGB."""
    small = _luma(picture)
    return Pdq(_digits(_frequencies(small)), _quality(small))


def turned(picture: "Image.Image") -> list[Pdq]:
    """The hashes of a picture turned and mirrored in all eight ways, as it is first."""
    small = _luma(picture)
    quality = _quality(small)
    ways = [side for turns in range(4) for side in (np.rot90(small, turns), np.rot90(small, turns).T)]
    return [Pdq(_digits(_frequencies(way)), quality) for way in ways]


def _luma(picture: "Image.Image") -> NDArray[np.float32]:
    """64 x 64 brightnesses of 0..255: blurred as far as they are apart, then read at even distances."""
    if max(picture.size) > LARGEST:
        share = LARGEST / max(picture.size)
        picture = picture.resize((max(1, round(picture.width * share)), max(1, round(picture.height * share))))
    colours = np.asarray(picture.convert("RGB"), dtype=np.float32)
    luma = colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    for _ in range(2):
        luma = _blurred(_blurred(luma, 1), 0)
    rows, columns = (((np.arange(_SMALL) + 0.5) * length / _SMALL).astype(int) for length in luma.shape)
    small: NDArray[np.float32] = luma[rows][:, columns]
    return small


def _blurred(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """A mean over a window along one axis, shorter at the ends."""
    length = values.shape[axis]
    window = (length + 2 * _SMALL - 1) // (2 * _SMALL)
    half = (window + 2) // 2
    nothing = np.zeros_like(values.take([0], axis), dtype=np.float64)
    sums = np.concatenate([nothing, values.cumsum(axis, dtype=np.float64)], axis)
    places = np.arange(length)
    left, right = np.maximum(places - (window - half), 0), np.minimum(places + half, length)
    shape = (-1, 1) if axis == 0 else (1, -1)
    means = (sums.take(right, axis) - sums.take(left, axis)) / (right - left).reshape(shape)
    found: NDArray[np.float32] = means.astype(np.float32)
    return found


@cache
def _waves() -> NDArray[np.float32]:
    """The cosines of the 16 lowest frequencies but the constant one, 16 x 64."""
    rows, columns = np.arange(1, _KEPT + 1)[:, None], np.arange(_SMALL)[None]
    angles = np.pi / (2 * _SMALL) * rows * (2 * columns + 1)
    waves: NDArray[np.float32] = (np.sqrt(2 / _SMALL) * np.cos(angles)).astype(np.float32)
    return waves


def _frequencies(small: NDArray[np.float32]) -> NDArray[np.float32]:
    return (_waves() @ small @ _waves().T).astype(np.float32, copy=False)


def _digits(frequencies: NDArray[np.float32]) -> str:
    """A bit for each frequency that is stronger than the middle one; the last stands first in the number."""
    flat = frequencies.ravel()
    # The lower of the two middle ones, as the hash's makers take it.
    middle = np.partition(flat, BITS // 2 - 1)[BITS // 2 - 1]
    return f"{int(''.join('1' if value > middle else '0' for value in flat[::-1]), 2):064x}"


def _quality(small: NDArray[np.float32]) -> int:
    """How many steps from bright to dark there are between neighbours."""
    steps = [np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum() for axis in (0, 1)]
    return min(int(sum(steps) / 90), 100)
