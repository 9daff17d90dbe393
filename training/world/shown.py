"""What somebody could show of a scene beside words: a sketch of it, a painted map, a window to be drawn anew."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from training.world.scenes import Drawn
from training.world.things import KINDS

Flags = NDArray[np.bool_]

# A colour for each kind of thing, the ground first, as far from each other as twelve can be. The model card tells them.
COLOURS: dict[str, str] = {
    "ground": "#f4f1ea",
    "person": "#e6194b",
    "animal": "#8b5a2b",
    "food": "#ffa500",
    "vehicle": "#4363d8",
    "building": "#808080",
    "plant": "#2e8b3d",
    "sky": "#87ceeb",
    "toy": "#f032e6",
    "clothing": "#911eb4",
    "tool": "#1f1f1f",
    "household": "#c8b400",
}
assert tuple(COLOURS) == ("ground", *KINDS)
PALETTE = np.array([list(bytes.fromhex(colour[1:])) for colour in COLOURS.values()], np.uint8)


@cache
def _grid(side: int) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij")).astype(float)


def wobbled(flags: Flags, rng: np.random.Generator, far: float) -> Flags:
    """The same shapes by an unsteady hand: every part moved by about `far` pixels, neighbours alike."""
    side = flags.shape[0]
    coarse = rng.normal(0, far, (2, 6, 6))
    shift = ndimage.zoom(coarse, (1, side / 6, side / 6), order=1)
    bent = ndimage.map_coordinates(flags.astype(np.float32), _grid(side) + shift, order=1)
    return np.asarray(bent > 0.4)


def sketch_of(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """White lines on black, side x side x 3: outlines, often some inner lines, as somebody would draw them."""
    lines = np.zeros(drawn.picture.shape[:2], bool)
    for mask in drawn.masks:
        lines |= mask ^ ndimage.binary_erosion(mask)
    if rng.random() < 0.6:
        values = ndimage.gaussian_filter(drawn.picture.astype(np.float32), (0.7, 0.7, 0))
        steep = np.abs(np.diff(values, axis=1, append=values[:, -1:])).max(2)
        steep = np.maximum(steep, np.abs(np.diff(values, axis=0, append=values[-1:])).max(2))
        lines |= steep > rng.uniform(25, 70)
    lines = wobbled(lines, rng, float(rng.uniform(0, 1.6)))
    # None at all would be scipy's word for "until nothing changes".
    if thicker := int(rng.integers(0, 3)):
        lines = ndimage.binary_dilation(lines, iterations=thicker)
    return np.repeat((lines * np.uint8(255))[..., None], 3, 2)


def map_of(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The kind of thing at each pixel (side x side), more or less as somebody would paint it with a broad brush."""
    kinds = np.zeros_like(drawn.kinds)
    far, brush = float(rng.uniform(0, 2.5)), int(rng.integers(0, 4))
    for mask in drawn.masks:
        found = drawn.kinds[mask]
        if not len(found):
            continue
        painted = wobbled(mask, rng, far)
        if brush:
            painted = ndimage.binary_opening(ndimage.binary_dilation(painted, iterations=brush), iterations=brush)
        kinds[painted] = found[0]
    return kinds


def window_of(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """1 where a picture is to be drawn anew, side x side: about a thing, anywhere, by a brush, or all about it."""
    while True:
        window = _any_window(drawn, rng)
        if 0.01 < window.mean() < 0.95:
            return window


def _any_window(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    side = drawn.picture.shape[0]
    window = Image.new("L", (side, side))
    pen = ImageDraw.Draw(window)
    kind = rng.random()
    if kind < 0.45:
        rows, columns = np.where(drawn.masks[int(rng.integers(len(drawn.masks)))])
        if len(rows):
            more = rng.integers(2, 14, 4)
            box = (columns.min() - more[0], rows.min() - more[1], columns.max() + more[2], rows.max() + more[3])
            (pen.ellipse if rng.random() < 0.3 else pen.rectangle)([int(each) for each in box], 1)
    elif kind < 0.65:
        left, top = rng.integers(0, side * 3 // 4, 2)
        wide, high = rng.integers(side // 6, side * 3 // 4, 2)
        pen.rectangle((int(left), int(top), int(left + wide), int(top + high)), 1)
    elif kind < 0.85:
        points = rng.integers(0, side, (int(rng.integers(2, 6)), 2))
        pen.line([tuple(map(int, point)) for point in points], 1, int(rng.integers(10, 40)), joint="curve")
    else:
        # All about a part that stays, as when a picture is to be continued.
        pen.rectangle((0, 0, side, side), 1)
        wide, high = (int(each) for each in rng.integers(side // 3, side * 4 // 5, 2))
        left, top = int(rng.integers(0, side - wide)), int(rng.integers(0, side - high))
        pen.rectangle((left, top, left + wide, top + high), 0)
    return np.asarray(window)
