"""The colours that captions name, and how a pixel gets its name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 38, 45),
    "orange": (247, 140, 30),
    "yellow": (252, 215, 50),
    "green": (50, 165, 75),
    "blue": (45, 110, 225),
    "purple": (140, 65, 190),
    "white": (246, 246, 246),
    "black": (36, 36, 42),
    "pink": (245, 140, 185),
    "brown": (125, 78, 50),
    "grey": (140, 145, 150),
}
NAMES = list(PALETTE)
# Backgrounds and repainted objects use these; the other three only name what a drawing is by nature.
PAINTED = NAMES[:8]


def lab(rgb: NDArray[np.floating] | Pixels) -> NDArray[np.float64]:
    """Turn sRGB (0..255, last axis 3) into CIELAB, where distance is about what the eye sees."""
    unit = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    xyz = xyz / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_PALETTE_LAB = lab(np.array(list(PALETTE.values()), dtype=np.uint8))


def name_index(rgb: NDArray[np.floating] | Pixels, names: int = len(NAMES)) -> NDArray[np.intp]:
    """Give each pixel the index of its nearest colour among the first `names` of NAMES."""
    distance = np.square(lab(rgb)[..., None, :] - _PALETTE_LAB[:names]).sum(-1)
    return distance.argmin(-1)


def main_colour(rgb: Pixels, mask: NDArray[np.bool_]) -> str:
    """Name the colour that most pixels under `mask` have."""
    return NAMES[int(np.bincount(name_index(rgb[mask]), minlength=len(NAMES)).argmax())]


def repaint(rgba: Pixels, colour: str) -> Pixels | None:
    """Give a drawing another main colour and leave its details as they are.

    The pixels of its most frequent colours (60 % of its area or more) take the new colour, lighter or darker as they
    were. Returns None where the result would not be called by that colour.
    """
    mask = rgba[..., 3] > 127
    rgb = rgba[..., :3]
    index = name_index(rgb)
    counts = np.bincount(index[mask], minlength=len(NAMES))
    chosen: list[int] = []
    for candidate in np.argsort(-counts):
        chosen.append(int(candidate))
        if counts[chosen].sum() >= 0.6 * mask.sum():
            break
    touched = np.isin(index, chosen)
    light = lab(rgb)[..., 0]
    middle = float(np.median(light[touched & mask]))
    ratio = np.clip(1 + (light - middle) / 130, 0.55, 1.3)[..., None]
    target = np.array(PALETTE[colour], dtype=np.float64)
    tinted = np.where(ratio <= 1, target * ratio, target + (255 - target) * (ratio - 1) * 1.2)
    out = rgba.copy()
    out[..., :3] = np.where(touched[..., None], np.clip(tinted, 0, 255), rgb).astype(np.uint8)
    return out if main_colour(out[..., :3], mask) == colour else None
