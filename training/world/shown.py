"""What somebody could show of a scene beside words: a sketch of it, a painted map, a window to be drawn anew."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

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
def _grid(side: int) -> NDArray[np.intp]:
    return np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))


def grown(flags: Flags, times: int) -> Flags:
    """The flags and their neighbours, so many times over; with a negative number shrunk."""
    if times < 0:
        return ~grown(~flags, -times)
    for _ in range(times):
        wider = flags.copy()
        wider[1:] |= flags[:-1]
        wider[:-1] |= flags[1:]
        wider[:, 1:] |= flags[:, :-1]
        wider[:, :-1] |= flags[:, 1:]
        flags = wider
    return flags


def wobbled(flags: Flags, rng: np.random.Generator, far: float) -> Flags:
    """The same shapes by an unsteady hand: every part moved by about `far` pixels, neighbours alike."""
    side = flags.shape[0]
    shift = [
        np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
        for coarse in rng.normal(0, far, (2, 6, 6)).astype(np.float32)
    ]
    rows, columns = np.clip(_grid(side) + np.rint(shift).astype(np.intp), 0, side - 1)
    return flags[rows, columns]


def sketch_of(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """White lines on black, side x side x 3: outlines, often some inner lines, as somebody would draw them."""
    lines = np.zeros(drawn.picture.shape[:2], bool)
    for mask in drawn.masks:
        lines |= mask & ~grown(mask, -1)
    if rng.random() < 0.6:
        values = np.asarray(Image.fromarray(drawn.picture).filter(ImageFilter.GaussianBlur(0.7)), dtype=np.int16)
        steep = float(rng.uniform(25, 70))
        lines[:, 1:] |= np.abs(np.diff(values, axis=1)).max(2) > steep
        lines[1:] |= np.abs(np.diff(values, axis=0)).max(2) > steep
    lines = grown(wobbled(lines, rng, float(rng.uniform(0, 1.6))), int(rng.integers(0, 3)))
    return np.repeat((lines * np.uint8(255))[..., None], 3, 2)


def map_of(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The kind of thing at each pixel (side x side), more or less as somebody would paint it with a broad brush."""
    kinds = np.zeros_like(drawn.kinds)
    far, brush = float(rng.uniform(0, 2.5)), int(rng.integers(0, 4))
    for mask in drawn.masks:
        found = drawn.kinds[mask]
        if len(found):
            # Grown twice and shrunk once: what is finer than the brush is filled.
            kinds[grown(grown(wobbled(mask, rng, far), 2 * brush), -brush)] = found[0]
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
