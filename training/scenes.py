"""Scenes: one thing in one colour before one background, and the words for it.

Which combinations of thing, colour and background are held out is decided by a hash of their names: the same on every
machine, and no list to keep.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.colours import NAMES, PAINTED, PALETTE, Pixels
from training.drawings import Painted
from training.objects import THINGS

SIDE = 64
HELD_OUT_PERCENT = 8


@dataclass(frozen=True, order=True)
class Combination:
    word: str
    colour: str
    background: str

    @property
    def held_out(self) -> bool:
        digest = hashlib.sha256(f"{self.word}|{self.colour}|{self.background}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


@dataclass(frozen=True)
class Caption:
    """The words, and which scenes they are true of."""

    text: str
    words: frozenset[str]
    colour: str | None
    background: str | None


def article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


MEANS: dict[str, frozenset[str]] = {}
for _thing in THINGS:
    for _name in (_thing.word, *_thing.also):
        MEANS[_name] = MEANS.get(_name, frozenset()) | {_thing.word}
ALSO = {thing.word: thing.also for thing in THINGS}


def request(combination: Combination) -> str:
    """The plainest words for a combination: what the tests ask the painter for."""
    return f"{article(f'{combination.colour} {combination.word}')} on {combination.background}"


_PATTERNS = (
    "{it} on {b}",
    "{it} on {b}",
    "{it} on {ab} background",
    "{it} on {b} background",
    "{b} background with {it}",
    "{ab} background with {it}",
    "{it}, {b} background",
    "{it} in front of {ab} wall",
)
_OPENINGS = ("a picture of ", "a drawing of ", "a photo of ", "an image of ", "an icon of ", "an emoji of ")


def caption(
    combination: Combination, rng: np.random.Generator, *, full: float = 0.75, synonyms: float = 0.15
) -> Caption:
    """Word a scene. With probability `full` the caption names both colours; `synonyms` is how often it uses one."""
    word = combination.word
    if ALSO[word] and rng.random() < synonyms:
        word = str(rng.choice(ALSO[word]))
    colour: str | None = combination.colour
    background: str | None = combination.background
    if rng.random() >= full:
        drop = rng.integers(3)
        colour = None if drop != 0 else colour
        background = None if drop != 1 else background
    phrase = word if colour is None else f"{colour} {word}"
    it = article(phrase) if rng.random() < 0.9 else phrase
    if background is None:
        text = it
    else:
        pattern = _PATTERNS[rng.integers(len(_PATTERNS))]
        text = pattern.format(it=it, b=background, ab=article(background))
    if rng.random() < 0.15:
        text = _OPENINGS[rng.integers(len(_OPENINGS))] + text
    if rng.random() < 0.06:  # people also use words that we do not know
        parts = text.split()
        parts.insert(int(rng.integers(len(parts) + 1)), "whatever")
        text = " ".join(parts)
    return Caption(text, MEANS[word], colour, background)


@dataclass(frozen=True)
class Placement:
    size: int
    left: int
    top: int
    flip: bool = False
    shade: tuple[int, int, int] = (0, 0, 0)


CENTRED = Placement(size=46, left=9, top=9)


def anywhere(rng: np.random.Generator) -> Placement:
    size = int(rng.integers(38, 57))
    left, top = (int(rng.integers(0, SIDE - size + 1)) for _ in range(2))
    shade = tuple(int(x) for x in rng.integers(-14, 15, 3))
    return Placement(size, left, top, bool(rng.random() < 0.5), shade)  # type: ignore[arg-type]


class Scenes:
    """All combinations that the drawings allow, cut into a part to learn from and a part to test with."""

    def __init__(self, painted: Painted) -> None:
        self.painted = painted

    @cached_property
    def combinations(self) -> list[Combination]:
        found = set()
        for (word, _style), colours in self.painted.items():
            for colour in colours:
                found |= {Combination(word, colour, ground) for ground in PAINTED if ground != colour}
        return sorted(found)

    @cached_property
    def learnt(self) -> list[Combination]:
        return [one for one in self.combinations if not one.held_out]

    @cached_property
    def held_out(self) -> list[Combination]:
        return [one for one in self.combinations if one.held_out]

    @cached_property
    def words(self) -> list[str]:
        return sorted({one.word for one in self.combinations})

    def styles(self, combination: Combination) -> list[str]:
        return [
            style
            for style in ("fluent", "noto")
            if combination.colour in self.painted.get((combination.word, style), {})
        ]

    def draw(self, combination: Combination, style: str, placement: Placement = CENTRED) -> Pixels:
        """Draw a scene of SIDE x SIDE pixels, RGB."""
        rgba = self.painted[combination.word, style][combination.colour]
        thing = Image.fromarray(rgba).resize(
            (placement.size, placement.size), Image.Resampling.BILINEAR, reducing_gap=2
        )
        if placement.flip:
            thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        red, green, blue = (
            max(0, min(255, part + by))
            for part, by in zip(PALETTE[combination.background], placement.shade, strict=True)
        )
        scene = Image.new("RGB", (SIDE, SIDE), (red, green, blue))
        scene.paste(thing, (placement.left, placement.top), thing)
        return np.asarray(scene)

    def sample(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.uint8], list[Combination]]:
        """Draw `count` scenes to learn from, placed anywhere; each thing is as likely as any other."""
        by_word = self._learnt_by_word
        chosen = []
        for word in rng.choice(self.words, count):
            mine = by_word[str(word)]
            chosen.append(mine[rng.integers(len(mine))])
        pictures = [self.draw(one, str(rng.choice(self.styles(one))), anywhere(rng)) for one in chosen]
        return np.stack(pictures), chosen

    @cached_property
    def _learnt_by_word(self) -> dict[str, list[Combination]]:
        by_word: dict[str, list[Combination]] = {}
        for one in self.learnt:
            by_word.setdefault(one.word, []).append(one)
        return by_word


def vocabulary() -> list[str]:
    """Every word that a caption may use, in a fixed order."""
    text = " ".join((*_PATTERNS, *_OPENINGS, *MEANS, *NAMES, "a an the of and with no not"))
    for mark in "{}":
        text = text.replace(mark, " ")
    return sorted({word.strip(",") for word in text.split()} - {"it", "b", "ab", ""})
