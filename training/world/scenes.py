"""Scenes: one thing, several of a kind, or two in a relation, before a background, composed so that the relation holds.

A scene is what can be said; a layout is where its things stand. Which scenes are held out is decided by a hash of their
names: the same on every machine, and no list to keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.colours import PAINTED, PALETTE, Pixels
from training.world.sprites import Sprite, Sprites
from training.world.things import BY_WORD, COUNTS, HELD, HOLDERS, KINDS, PERCHES, RIDDEN, RIDERS, STAYS

RELATIONS = ("on", "above", "left of", "riding", "holding")
# Words for the first thing's size; the plain one lies between.
SIZES = {"small": (0.26, 0.36), "": (0.46, 0.66), "big": (0.8, 0.92)}
HELD_OUT_PERCENT = 8
# How often each kind of scene is learnt from.
SHARES = {"single": 0.4, "many": 0.15, "pair": 0.45}
# How often a thing has a colour that it has by nature; otherwise any that can be painted on.
NATURAL = 0.4


@dataclass(frozen=True, order=True)
class Item:
    """A thing in a colour. `size` is small, big, or nothing said."""

    word: str
    colour: str
    size: str = ""


@dataclass(frozen=True, order=True)
class Scene:
    """What a picture shows. `second` and `relation` come together; with them `count` is 1."""

    first: Item
    background: str
    count: int = 1
    relation: str = ""
    second: Item | None = None

    @property
    def items(self) -> list[Item]:
        """Each thing that is to be seen, the first one as often as it is there."""
        return [self.first] * self.count + ([self.second] if self.second else [])


@dataclass(frozen=True)
class Box:
    """Where a thing's square lies, in shares of the picture's side; may reach over its edge."""

    left: float
    top: float
    size: float
    flip: bool = False


@dataclass(frozen=True)
class Drawn:
    """A picture, side x side x 3 (RGB); the kind of thing at each pixel (0: background); where each item is seen."""

    picture: Pixels
    kinds: NDArray[np.uint8]
    masks: tuple[NDArray[np.bool_], ...]


def held_out(*names: str) -> bool:
    """Whether a combination of names is kept for the test."""
    digest = hashlib.sha256("|".join(names).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def is_learnt(scene: Scene) -> bool:
    """A scene is learnt from if none of its things in their colours, and not its pair, is held out."""
    if any(held_out(item.word, item.colour) for item in scene.items):
        return False
    return scene.second is None or not held_out(scene.first.word, scene.relation, scene.second.word)


def can(first: str, relation: str, second: str) -> bool:
    """Whether a relation makes sense for two things."""
    if first == second:
        return False
    match relation:
        case "riding":
            return first in RIDERS and second in RIDDEN
        case "holding":
            return first in HOLDERS and second in HELD
        case "on":
            return second in PERCHES and first not in STAYS and first not in PERCHES - {"mushroom", "turtle", "gift"}
        case _:
            return relation in RELATIONS


class World:
    """Everything that the drawings allow, and pictures of it."""

    def __init__(self, sprites: Sprites) -> None:
        self.sprites = sprites

    @cached_property
    def words(self) -> list[str]:
        return sorted({word for word, _ in self.sprites})

    @cached_property
    def colours(self) -> dict[str, list[str]]:
        """The colours that each thing has in at least one style."""
        found: dict[str, set[str]] = {}
        for (word, _), by_colour in self.sprites.items():
            found.setdefault(word, set()).update(by_colour)
        return {word: sorted(colours) for word, colours in found.items()}

    @cached_property
    def natural(self) -> dict[str, list[str]]:
        """The colours that each thing has before anybody paints it, by its styles."""
        found: dict[str, set[str]] = {}
        for (word, _), by_colour in self.sprites.items():
            found.setdefault(word, set()).add(next(iter(by_colour)))
        return {word: sorted(colours) for word, colours in found.items()}

    def _colour(self, word: str, rng: np.random.Generator) -> str:
        known = self.natural[word] if rng.random() < NATURAL else self.colours[word]
        return str(rng.choice(known))

    @cached_property
    def seconds(self) -> dict[tuple[str, str], list[str]]:
        """For a thing and a relation, what it can have it with; those with nothing are left out."""
        found = {
            (first, relation): [second for second in self.words if can(first, relation, second)]
            for first in self.words
            for relation in RELATIONS
        }
        return {key: words for key, words in found.items() if words}

    @cached_property
    def firsts(self) -> dict[str, list[str]]:
        return {relation: sorted({word for word, known in self.seconds if known == relation}) for relation in RELATIONS}

    def styles(self, item: Item) -> list[str]:
        """Those in which a thing has this colour."""
        return [style for style in self._styles if item.colour in self.sprites.get((item.word, style), {})]

    @cached_property
    def _styles(self) -> list[str]:
        return sorted({style for _, style in self.sprites})

    def sample(self, rng: np.random.Generator, *, kind: str = "", learnt: bool | None = True) -> Scene:
        """Draw lots for a scene: a learnt one, a held-out one, or with None any. Each thing is as likely as another."""
        kind = kind or str(rng.choice(list(SHARES), p=list(SHARES.values())))
        while True:
            scene = self._any(rng, kind)
            if learnt is None or is_learnt(scene) == learnt:
                return scene

    def _any(self, rng: np.random.Generator, kind: str) -> Scene:
        relation = str(rng.choice(RELATIONS)) if kind == "pair" else ""
        word = str(rng.choice(self.firsts[relation] if relation else self.words))
        size = str(rng.choice(list(SIZES), p=[0.2, 0.6, 0.2])) if kind == "single" else ""
        first = Item(word, self._colour(word, rng), size)
        second = None
        if relation:
            other = str(rng.choice(self.seconds[word, relation]))
            second = Item(other, self._colour(other, rng))
        taken = {item.colour for item in (first, second) if item}
        background = str(rng.choice([colour for colour in PAINTED if colour not in taken]))
        count = int(rng.choice(list(COUNTS.values()))) if kind == "many" else 1
        return Scene(first, background, count, relation, second)

    def draw(self, scene: Scene, rng: np.random.Generator, *, side: int = 64, style: str = "") -> Drawn:
        """Draw a scene. Its things share a style where they can; the background is a shade of its colour."""
        layer, masks = self.cut_out(scene, rng, side=side, style=style)
        picture = Image.new("RGB", (side, side), self.ground(scene, rng))
        picture.paste(layer, (0, 0), layer)
        kinds = np.zeros((side, side), np.uint8)
        for item, mask in zip(scene.items, masks, strict=True):
            kinds[mask] = KINDS.index(BY_WORD[item.word].kind) + 1
        return Drawn(np.asarray(picture), kinds, masks)

    def ground(self, scene: Scene, rng: np.random.Generator) -> tuple[int, int, int]:
        """A shade of the background's colour."""
        shade = rng.integers(-14, 15, 3)
        red, green, blue = (int(part) for part in np.clip(np.array(PALETTE[scene.background]) + shade, 0, 255))
        return red, green, blue

    def cut_out(
        self, scene: Scene, rng: np.random.Generator, *, side: int, style: str = ""
    ) -> tuple[Image.Image, tuple[NDArray[np.bool_], ...]]:
        """The scene's things before nothing, RGBA, and where each of them is seen."""
        style = style or str(rng.choice(self.styles(scene.first)))
        sprites = [self._sprite(item, rng, style) for item in scene.items]
        boxes = layout(scene, sprites, rng)
        layer = Image.new("RGBA", (side, side))
        masks = [np.zeros((side, side), bool) for _ in sprites]
        for number in order(scene):
            box, sprite = boxes[number], sprites[number]
            pixels = max(round(box.size * side), 2)
            thing = Image.fromarray(sprite.pixels).resize((pixels, pixels), Image.Resampling.BILINEAR, reducing_gap=2)
            if box.flip:
                thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            at = (round(box.left * side), round(box.top * side))
            whole = Image.new("RGBA", (side, side))
            whole.paste(thing, at)
            layer = Image.alpha_composite(layer, whole)
            seen = np.asarray(whole.getchannel("A")) > 127
            for other in masks:
                other &= ~seen
            masks[number] = seen
        return layer, tuple(masks)

    def _sprite(self, item: Item, rng: np.random.Generator, style: str) -> Sprite:
        styles = self.styles(item)
        chosen = style if style in styles else str(rng.choice(styles))
        return self.sprites[item.word, chosen][item.colour]


def order(scene: Scene) -> list[int]:
    """In which order the items are drawn: who rides sits behind the near side of what they ride."""
    return [0, 1] if scene.second else list(range(scene.count))


def layout(scene: Scene, sprites: Sequence[Sprite], rng: np.random.Generator) -> list[Box]:
    """Place the items so that what is said of them holds, with some play."""
    if scene.second is None and scene.count == 1:
        size = float(rng.uniform(*SIZES[scene.first.size]))
        play = max(1 - size, 0)
        left, top = rng.uniform(0.2, 0.8, 2) * play
        return [Box(float(left), float(top), size, bool(rng.random() < 0.5))]
    if scene.second is None:
        return _several(scene.count, rng)
    first, second = _pair(scene.relation, sprites[0], sprites[1], rng)
    return _shifted([first, second], sprites, rng)


def _several(count: int, rng: np.random.Generator) -> list[Box]:
    """Side by side on a loose grid, none over another."""
    columns = {2: 2, 3: 3, 4: 2, 5: 3}[count]
    rows = -(-count // columns)
    cell = 1 / max(columns, rows)
    size = float(rng.uniform(0.82, 0.94)) * cell
    above = (1 - rows * cell) / 2
    cells = [(column, row) for row in range(rows) for column in range(columns)][:count]
    # A short last row stands in the middle.
    missing = rows * columns - count
    boxes = []
    for column, row in cells:
        inset = missing * cell / 2 if row == rows - 1 else 0
        x, y = rng.uniform(0, cell - size, 2)
        boxes.append(Box(column * cell + inset + float(x), above + row * cell + float(y), size))
    return boxes


def _pair(relation: str, one: Sprite, two: Sprite, rng: np.random.Generator) -> tuple[Box, Box]:
    """Boxes about the middle; `_shifted` brings them into the picture."""
    left1, top1, right1, bottom1 = one.bounds
    left2, top2, right2, _ = two.bounds
    play = float(rng.uniform(-0.04, 0.04))
    if relation == "left of":
        size1, size2 = (float(each) for each in rng.uniform(0.4, 0.48, 2))
        first = Box(0.25 - size1 / 2, 0.5 - size1 / 2 + play, size1, bool(rng.random() < 0.5))
        return first, Box(0.75 - size2 / 2, 0.5 - size2 / 2, size2, bool(rng.random() < 0.5))
    if relation == "above":
        size1, size2 = (float(each) for each in rng.uniform(0.36, 0.44, 2))
        gap = float(rng.uniform(0.06, 0.12))
        middle = 0.5 - gap / 2
        first = Box(0.5 - size1 / 2 + play, middle - bottom1 * size1, size1, bool(rng.random() < 0.5))
        return first, Box(0.5 - size2 / 2, middle + gap - top2 * size2, size2, bool(rng.random() < 0.5))
    if relation == "holding":
        size1, size2 = float(rng.uniform(0.66, 0.78)), float(rng.uniform(0.3, 0.38))
        to_right = bool(rng.random() < 0.5)
        # At the hand: half way down, on the outline, a third of it before the holder.
        hand = 0.5 - size1 / 2 + (right1 if to_right else left1) * size1
        left = hand - 0.3 * size2 if to_right else hand - 0.7 * size2
        height = 0.5 - size1 / 2 + (top1 + 0.55 * (bottom1 - top1)) * size1 - size2 / 2
        return Box(0.5 - size1 / 2, 0.5 - size1 / 2, size1), Box(left, height + play, size2, not to_right)
    # On and riding: the feet of the one on the seat of the other, sunk in where it is ridden.
    if relation == "riding":
        size1, size2 = float(rng.uniform(0.42, 0.5)), float(rng.uniform(0.6, 0.7))
        sunk = 0.3 * (bottom1 - top1) * size1
    else:
        size1, size2 = float(rng.uniform(0.34, 0.44)), float(rng.uniform(0.54, 0.64))
        sunk = 0.04
    top = 0.4
    seat = top + two.seat * size2
    middle = 0.5 - size2 / 2 + (left2 + right2) / 2 * size2
    first = Box(middle - size1 / 2 + play, seat + sunk - bottom1 * size1, size1, bool(rng.random() < 0.5))
    return first, Box(0.5 - size2 / 2, top, size2, bool(rng.random() < 0.5))


def _shifted(boxes: Sequence[Box], sprites: Sequence[Sprite], rng: np.random.Generator) -> list[Box]:
    """Move all of them together, so that what is drawn lies in the picture, and shrink them where it does not fit."""
    edges = np.array(
        [
            (
                box.left + (1 - sprite.bounds[2] if box.flip else sprite.bounds[0]) * box.size,
                box.top + sprite.bounds[1] * box.size,
                box.left + (1 - sprite.bounds[0] if box.flip else sprite.bounds[2]) * box.size,
                box.top + sprite.bounds[3] * box.size,
            )
            for box, sprite in zip(boxes, sprites, strict=True)
        ]
    )
    low, high = edges[:, :2].min(0), edges[:, 2:].max(0)
    scale = min(1.0, 0.96 / float((high - low).max()))
    room = 1 - (high - low) * scale
    start = room * rng.uniform(0.2, 0.8, 2)
    return [
        Box(
            float((box.left - low[0]) * scale + start[0]),
            float((box.top - low[1]) * scale + start[1]),
            box.size * scale,
            box.flip,
        )
        for box in boxes
    ]


def overlap(boxes: Sequence[Box]) -> bool:
    """Whether any two squares share a part."""
    return any(
        one.left < two.left + two.size
        and two.left < one.left + one.size
        and one.top < two.top + two.size
        and two.top < one.top + one.size
        for one, two in combinations(boxes, 2)
    )
