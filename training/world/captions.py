"""Words for scenes, and whether words are true of a scene: yes, no, or not to be told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.colours import NAMES
from training.world.scenes import Item, Scene
from training.world.things import COUNTS, THINGS, names_of

# A relation in words, {a} being the first thing. What a template claims is beside it: `beside` holds either way round.
PHRASES: dict[str, tuple[tuple[str, str], ...]] = {
    "on": (
        ("{a} on {b}", "on"),
        ("{a} on top of {b}", "on"),
        ("{a} standing on {b}", "on"),
        ("{b} under {a}", "on"),
        ("{b} with {a} on it", "on"),
    ),
    "above": (
        ("{a} above {b}", "above"),
        ("{a} over {b}", "above"),
        ("{a} floating above {b}", "above"),
        ("{b} below {a}", "above"),
    ),
    "left of": (
        ("{a} left of {b}", "left of"),
        ("{a} to the left of {b}", "left of"),
        ("{b} right of {a}", "left of"),
        ("{b} to the right of {a}", "left of"),
        ("{a} next to {b}", "beside"),
        ("{b} beside {a}", "beside"),
        ("{a} and {b}", "with"),
    ),
    "riding": (
        ("{a} riding {b}", "riding"),
        ("{a} rides {b}", "riding"),
        ("{a} sitting on {b}", "riding"),
        ("{b} ridden by {a}", "riding"),
    ),
    "holding": (
        ("{a} holding {b}", "holding"),
        ("{a} holds {b}", "holding"),
        ("{b} held by {a}", "holding"),
        ("{a} with {b}", "with"),
    ),
}
# What follows from what is seen, beside itself. "?" behind: some would say so and some not.
FOLLOWS = {
    "on": ("with", "above?"),
    "above": ("with",),
    "left of": ("with", "beside"),
    "riding": ("with", "on?", "above?"),
    "holding": ("with", "beside?"),
}
GROUNDS = (
    "{it} on {g}",
    "{it} on {ag} background",
    "{it} on {g} background",
    "{g} background with {it}",
    "{it}, {g} background",
    "{it} in front of {ag} wall",
)
OPENINGS = ("a picture of ", "a drawing of ", "a photo of ", "an image of ", "an icon of ", "an emoji of ")
# What moves how, in words. A picture alone does not show it: pictures are told with them at times, films mostly.
MOVING = {
    "left": ("moving left", "moving to the left", "going left"),
    "right": ("moving right", "moving to the right", "going right"),
    "up": ("moving up", "rising"),
    "down": ("moving down", "falling"),
    "bounce": ("bouncing", "jumping"),
    "turn": ("turning", "spinning", "rotating"),
    "grow": ("growing", "getting bigger"),
    "shrink": ("shrinking", "getting smaller"),
}
SIZE_WORDS = {"small": ("small", "tiny", "little"), "big": ("big", "large", "huge")}
MANY_WORDS = {number: word for word, number in COUNTS.items()}
_IRREGULAR = {"sheep": "sheep", "fish": "fish", "mouse": "mice", "goose": "geese", "wolf": "wolves", "man": "men",
              "woman": "women", "person": "people", "knife": "knives", "leaf": "leaves", "tooth": "teeth",
              "ox": "oxen", "dice": "dice", "deer": "deer", "moose": "moose", "octopus": "octopuses",
              "cherries": "cherries", "grapes": "grapes", "jeans": "jeans", "gloves": "gloves", "socks": "socks",
              "scissors": "scissors", "glasses": "glasses", "shrimp": "shrimp", "squid": "squid"}  # fmt: skip

# name -> the things that it is true of.
MEANS: dict[str, frozenset[str]] = {}
for _thing in THINGS:
    for _name in names_of(_thing):
        MEANS[_name] = MEANS.get(_name, frozenset()) | {_thing.word}


@dataclass(frozen=True)
class Claim:
    """What is said of one thing; None where nothing is."""

    words: frozenset[str]
    colour: str | None = None
    size: str | None = None

    def fits(self, item: Item) -> bool:
        """Whether it may be this thing. Sizes are compared apart: only a thing by itself has one."""
        return item.word in self.words and self.colour in (None, item.colour)


@dataclass(frozen=True)
class Caption:
    """The words, and what they claim. `count` is None where one thing is meant."""

    text: str
    first: Claim
    count: int | None = None
    relation: str = ""
    second: Claim | None = None
    background: str | None = None


def article(phrase: str) -> str:
    """The phrase with its article; things that come as a pair or a heap have none."""
    head = phrase.split()[-1]
    if head in {
        "cherries",
        "grapes",
        "jeans",
        "gloves",
        "socks",
        "scissors",
        "glasses",
        "popcorn",
        "bacon",
        "lightning",
    }:
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def plural(word: str) -> str:
    """Several of a thing."""
    head, _, rest = word.partition(" of ")
    if rest:
        return f"{plural(head)} of {rest}"
    *before, last = word.split()
    if last in _IRREGULAR:
        several = _IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        several = last + "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        several = last[:-1] + "ies"
    else:
        several = last + "s"
    return " ".join([*before, several])


def request(scene: Scene, motion: str = "") -> str:
    """The plainest words for a scene: what the tests ask the painter for."""
    moving = MOVING[motion][0] if motion else ""
    return _text(scene, _plain(scene.first, scene.count), _plain(scene.second), 0, GROUNDS[0], moving)


def _plain(item: Item | None, count: int = 1) -> str:
    if item is None:
        return ""
    parts = [item.size, item.colour, item.word]
    if count > 1:
        return " ".join(filter(None, [MANY_WORDS[count], item.size, item.colour, plural(item.word)]))
    return article(" ".join(filter(None, parts)))


def _text(scene: Scene, first: str, second: str, phrase: int, ground: str, moving: str) -> str:
    it = PHRASES[scene.relation][phrase][0].format(a=first, b=second) if scene.relation else first
    if moving:
        it = f"{it} {moving}"
    if not ground:
        return it
    return ground.format(it=it, g=scene.background, ag=article(scene.background))


def caption(
    scene: Scene, rng: np.random.Generator, *, full: float = 0.75, synonyms: float = 0.15, motion: str = ""
) -> Caption:
    """Word a scene, and how it moves. With probability `full` all colours are named; `synonyms` is how often a thing
    has another name."""
    whole = bool(rng.random() < full)
    first, said = _item(scene.first, scene.count, rng, whole, synonyms)
    second, said2 = _item(scene.second, 1, rng, whole, synonyms) if scene.second else ("", None)
    phrase = int(rng.integers(len(PHRASES[scene.relation]))) if scene.relation else 0
    tells_ground = bool(rng.random() < (0.85 if whole else 0.35))
    ground = str(rng.choice(GROUNDS)) if tells_ground else ""
    moving = str(rng.choice(MOVING[motion])) if motion else ""
    text = _text(scene, first, second, phrase, ground, moving)
    if rng.random() < 0.12:
        text = str(rng.choice(OPENINGS)) + text
    return Caption(
        text,
        said,
        scene.count if scene.count > 1 else None,
        PHRASES[scene.relation][phrase][1] if scene.relation else "",
        said2,
        scene.background if tells_ground else None,
    )


def _item(item: Item, count: int, rng: np.random.Generator, whole: bool, synonyms: float) -> tuple[str, Claim]:
    thing = next(names for names in _NAMES[item.word])
    word = str(rng.choice(_NAMES[item.word][1:])) if len(_NAMES[item.word]) > 1 and rng.random() < synonyms else thing
    colour = item.colour if whole or rng.random() < 0.4 else None
    size = item.size if item.size and rng.random() < 0.9 else None
    sized = str(rng.choice(SIZE_WORDS[size])) if size else ""
    claim = Claim(MEANS[word], colour, size)
    if count > 1:
        return " ".join(filter(None, [MANY_WORDS[count], sized, colour, plural(word)])), claim
    return article(" ".join(filter(None, [sized, colour, word]))), claim


_NAMES = {thing.word: names_of(thing) for thing in THINGS}


def is_true(caption: Caption, scene: Scene) -> bool | None:
    """Whether the caption is true of the scene. None: it cannot be told, or people would not agree."""
    if caption.background not in (None, scene.background):
        return False
    if caption.relation:
        return _related(caption, scene)
    fitting = [item for item in (scene.first, scene.second) if item and caption.first.fits(item)]
    if not fitting:
        return False
    if caption.count is not None:
        return scene.count == caption.count and scene.second is None
    if scene.count > 1:
        return None
    if caption.first.size is None:
        return True
    # Beside another thing a size is a matter of comparing.
    return None if scene.second else fitting[0].size == caption.first.size


def _related(caption: Caption, scene: Scene) -> bool | None:
    if scene.second is None or caption.second is None:
        return False
    as_said = caption.first.fits(scene.first) and caption.second.fits(scene.second)
    turned = caption.first.fits(scene.second) and caption.second.fits(scene.first)
    symmetric = caption.relation in ("beside", "with")
    if not as_said and not (turned and symmetric):
        return False
    if caption.relation == scene.relation or caption.relation in FOLLOWS[scene.relation]:
        return True
    return None if f"{caption.relation}?" in FOLLOWS[scene.relation] else False


def vocabulary() -> list[str]:
    """Every word that a caption may use, in a fixed order."""
    phrases = [template for group in PHRASES.values() for template, _ in group]
    sizes = [word for words in SIZE_WORDS.values() for word in words]
    moves = [phrase for phrases in MOVING.values() for phrase in phrases]
    said = (*phrases, *GROUNDS, *OPENINGS, *sizes, *moves, *MANY_WORDS.values(), *MEANS, *map(plural, MEANS), *NAMES)
    text = " ".join(said)
    for mark in ("{a}", "{b}", "{it}", "{g}", "{ag}", ","):
        text = text.replace(mark, " ")
    return sorted({*text.split(), "a", "an", "the", "of", "and", "with", "no", "not"})
