"""Drawings of all things in every set, cut out and repainted, with what composing them needs to know."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from training.colours import PAINTED, Pixels, main_colour, repaint
from training.drawings import DATA, OWN, SIDE, crop, icons, render, shape
from training.world.things import THINGS, Thing

# What the painter is to paint in, noto Apache-2.0, fluent MIT: words do not say which, so each more costs all of them.
# Tested with: openmoji CC BY-SA 4.0, never learnt from.
SETS = {"fluent": "fluent-emoji-flat", "noto": "noto"}
UNSEEN = {"openmoji": "openmoji"}
# What the CLIP and the judge see beside them, so that a thing is not one drawing of it: twemoji CC BY 4.0, fluent's
# shaded drawings MIT, noto's first version Apache-2.0, emojione CC BY 4.0. The last two are older and lack some things.
MORE = {"twemoji": "twemoji", "shaded": "fluent-emoji", "old": "noto-v1", "one": "emojione"}
# What the gate is calibrated on.
JUDGED = {**SETS, "twemoji": "twemoji"}
_OWN_OF = {"fluent": "a", "noto": "b", "twemoji": "a", "shaded": "a", "old": "b", "one": "b", "openmoji": "b"}


@dataclass(frozen=True)
class Sprite:
    """One drawing in one colour, cut out: SIDE x SIDE pixels, RGBA, as large as the square allows."""

    pixels: Pixels

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom of what is drawn, in shares of the square."""
        rows, columns = np.where(self.pixels[..., 3] > 127)
        side = self.pixels.shape[0]
        return columns.min() / side, rows.min() / side, (columns.max() + 1) / side, (rows.max() + 1) / side

    @cached_property
    def seat(self) -> float:
        """How far below the square's top the thing begins in its middle third: where somebody would sit."""
        left, _, right, _ = self.bounds
        side = self.pixels.shape[0]
        third = (right - left) / 3
        middle = self.pixels[:, int((left + third) * side) : max(int((right - third) * side), 1), 3] > 127
        tops = np.where(middle.any(0), middle.argmax(0), side)
        return float(np.median(tops)) / side


Sprites = dict[tuple[str, str], dict[str, Sprite]]


def has(sets: dict[str, str]) -> bool:
    """Whether these sets are installed."""
    return all(icons(package) is not None for package in sets.values())


def _natural(thing: Thing, style: str, found: Any) -> Pixels | None:
    """A thing as a set draws it, None where one of MORE does not."""
    if found is None:
        return shape(f"{thing.word}/{style}")
    if thing.icon.startswith("own:"):
        return crop(render(OWN[f"{thing.icon[4:]}-{_OWN_OF[style]}"], 128))
    bodies, aliases = found["icons"], found.get("aliases", {})
    name = aliases[thing.icon]["parent"] if thing.icon not in bodies and thing.icon in aliases else thing.icon
    if name not in bodies and style in MORE:
        return None
    if name not in bodies:
        raise KeyError(f"The {style} set has no drawing named {thing.icon}")
    side = int(bodies[name].get("width", found.get("width", 16)))
    return crop(render(bodies[name]["body"], side))


def _painted(thing: Thing, rgba: Pixels) -> dict[str, Pixels]:
    """Colour name -> drawing; each is called by its colour, or is left out."""
    if thing.only:
        return {thing.only: rgba}
    natural = main_colour(rgba[..., :3], rgba[..., 3] > 127)
    kept = {natural: rgba} if natural not in thing.never else {}
    for colour in PAINTED:
        if colour != natural and colour not in thing.never and (other := repaint(rgba, colour)) is not None:
            kept[colour] = other
    return kept


def _stored(sets: dict[str, str], cache: Path) -> Path:
    """Where the sprites of these sets are kept, as this code makes them."""
    here = Path(__file__).parent
    code = b"".join(path.read_bytes() for path in (here / "things.py", here / "sprites.py"))
    code += b"".join((here.parent / name).read_bytes() for name in ("colours.py", "drawings.py"))
    key = hashlib.sha256(code + repr(sorted(sets)).encode()).hexdigest()[:16]
    return cache / f"sprites-{key}.npz"


def is_ready(sets: dict[str, str], *, cache: Path = DATA) -> bool:
    """Whether the real drawings of these sets are at hand: made already, or installed."""
    return _stored(sets, cache).is_file() or has(sets)


def load(sets: dict[str, str] | None = None, *, cache: Path = DATA) -> Sprites:
    """(word, style) -> colour -> sprite. From the cache, if the sets and the code are the same as when it was made."""
    wanted = sets or SETS
    stored = _stored(wanted, cache)
    flat: dict[str, Pixels] = {}
    if stored.is_file():
        with np.load(stored) as read:
            flat = {name: read[name] for name in read.files}
    else:
        for style, package in wanted.items():
            found = icons(package)
            for thing in THINGS:
                if (natural := _natural(thing, style, found)) is not None:
                    for colour, rgba in _painted(thing, natural).items():
                        flat[f"{thing.word}|{style}|{colour}"] = rgba
        if has(wanted):
            cache.mkdir(exist_ok=True)
            half = stored.with_suffix(".tmp.npz")
            np.savez_compressed(half, **flat)  # type: ignore[arg-type]
            half.replace(stored)
    sprites: Sprites = {}
    for name, rgba in flat.items():
        word, style, colour = name.split("|")
        assert rgba.shape == (SIDE, SIDE, 4)
        sprites.setdefault((word, style), {})[colour] = Sprite(rgba)
    return sprites
