"""PDQ, a perceptual hash of 256 bits: what was resized, encoded anew or a little changed has nearly the same.

After "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (Facebook, 2019). The package that has
it must be compiled on every machine, so it is done here; tests hold it against that package's numbers.
"""

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from moderation.provenance.hashes import BITS, Pdq

if TYPE_CHECKING:
    from PIL import Image

# Larger pictures are made smaller first: ten times faster, at a distance of four bits.
LARGEST = 512
_SMALL, _KEPT = 64, 16


def pdq(picture: "Image.Image") -> Pdq:
    """Hash a picture of any size, as RGB."""
    luma = _luma(picture)
    small = _times(_reader(luma.shape[0]), _times(luma, _reader(luma.shape[1]).T))
    return Pdq(_digits(_frequencies(small)), _quality(small))


def turned(picture: "Image.Image") -> list[Pdq]:
    """The hashes of a picture turned and mirrored in all eight ways, as it is first.

    Each is what `pdq` says of the picture turned so. To mirror the small one would be cheaper and up to 36 bits off:
    where it is read from is not in the middle.
    """
    luma = _luma(picture)
    # Steps backwards through memory are slow to multiply: so copies.
    rows, columns = ((one, np.ascontiguousarray(one[:, ::-1])) for one in map(_reader, luma.shape))
    across = [_times(luma, one.T) for one in columns]
    found = []
    for turns in range(4):
        # A quarter turn to the left is to transpose and then to mirror upside down.
        upside_down, mirrored = turns in (1, 2), turns in (2, 3)
        if turns % 2:
            upside_down, mirrored = mirrored, upside_down
        small = _times(rows[upside_down], across[mirrored])
        for way in (small.T, small) if turns % 2 else (small, small.T):
            found.append(Pdq(_digits(_frequencies(way)), _quality(way)))
    return found


def turned_digits(digits: str) -> list[str]:
    """From a hash alone, nearly the hashes of its picture turned and mirrored in all eight ways, as it is first.

    Turning changes the places of frequencies and the sign of every second one; bits tell the sign only as far as the
    middle frequency is nought, and a picture is not read from its middle. A transposed one is exact; those that are
    mirrored or turned were 12 to 56 bits off in 24 drawings, half of them farther than a match may be.
    For pictures that are not at hand.
    """
    number = int(digits, 16)
    bits = np.array([number >> place & 1 for place in range(BITS)], dtype=bool).reshape(_KEPT, _KEPT)
    # The first row and column are the frequency 1: odd ones change their sign.
    odd_rows = (np.arange(_KEPT) % 2 == 0)[:, None]
    ways = []
    for _ in range(4):
        ways += [bits, bits.T]
        bits = bits.T ^ odd_rows
    return [f"{sum(1 << int(place) for place in np.flatnonzero(way.ravel())):064x}" for way in ways]


def _luma(picture: "Image.Image") -> NDArray[np.float32]:
    """Brightnesses of 0..255."""
    if max(picture.size) > LARGEST:
        share = LARGEST / max(picture.size)
        picture = picture.resize((max(1, round(picture.width * share)), max(1, round(picture.height * share))))
    colours = np.asarray(picture.convert("RGB"), dtype=np.float32)
    luma: NDArray[np.float32] = colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return luma


@lru_cache(maxsize=LARGEST)
def _reader(length: int) -> NDArray[np.float32]:
    """What reads 64 places of a line of this length, 64 x length: blurred twice as far as they are apart, and then at
    even distances. At most 128 KB each, and a picture has two."""
    blurred = _blurred(_blurred(np.eye(length)))
    reader: NDArray[np.float32] = blurred[((np.arange(_SMALL) + 0.5) * length / _SMALL).astype(int)].astype(np.float32)
    return reader


def _times(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """A product of matrices, a few rows at a time.

    A larger one is shared out to threads, which wait for each other a hundred times longer than they work where
    others use the cores as well.
    """
    at_once = max(1, 2**18 // other.size)
    return np.concatenate([one[start : start + at_once] @ other for start in range(0, len(one), at_once)])


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A mean over a window down each column, shorter at the ends."""
    length = len(values)
    window = (length + 2 * _SMALL - 1) // (2 * _SMALL)
    half = (window + 2) // 2
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0)])
    places = np.arange(length)
    left, right = np.maximum(places - (window - half), 0), np.minimum(places + half, length)
    means: NDArray[np.float64] = (sums[right] - sums[left]) / (right - left)[:, None]
    return means


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
