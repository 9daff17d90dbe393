"""Two things in one picture, for models that draw one thing better than two: each is drawn alone, and they are laid
together as the words say.

After LLM-grounded Diffusion (Lian et al., 2023), which draws each thing of a layout by itself; here rules read the
layout off the words.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from scipy import ndimage

# height x width x 3 of 0..1, as the decoder gave them; a cut-out has its opacity as a fourth.
Picture = NDArray[np.float32]
Layer = NDArray[np.float32]

# From where a pixel is something else than the ground, and from where wholly so: the largest difference of a channel.
NEAR, FAR = 0.08, 0.2
# What is smaller than this share of the picture is a speck, and no thing.
LEAST = 0.002
# How much of the side what is laid together may take.
ROOM = 0.92

_COLOUR = "(?:(?:light|dark|bright|plain) )?(?:red|orange|yellow|green|blue|purple|white|black|pink|brown|gr[ae]y)"
_BACKGROUND = r"(?:[\w-]+ ){1,3}(?:background|backdrop|wall)"
# Where it all is: said first, or anywhere before a pause.
_GROUND_FIRST = re.compile(rf"^(?:on |against )?(?:an? )?({_BACKGROUND})(?:,| with) ", re.IGNORECASE)
_GROUND = re.compile(
    rf"(?:,| on| against| with| in front of) (?:(?:an?|the) )?(?:{_BACKGROUND}|{_COLOUR})"
    "(?= *[,;.!?]| (?:and|with) an? |$)",
    re.IGNORECASE,
)

# A thing follows, and neither a time nor the sky.
_HEAPS = "cherries|grapes|jeans|gloves|socks|scissors|glasses|popcorn|bacon|lightning"
_A = (
    r"(?= (?:(?:an?|the|his|her|two|three|four|five) "
    r"(?!(?:[\w-]+ ){0,2}(?:day|night|morning|afternoon|evening|sky|skies|left|right|side|top)\b)"
    rf"|(?:[\w-]+ ){{0,2}}(?:{_HEAPS})\b))"
)
_WEAK = "(?:(?:standing|lying|placed) )?on", "under", "and"
# What the words between two things say: the relation, and whether the second thing is named first. Those of _WEAK count
# where no other is said: "a cat and a dog riding a horse" is a ride.
RELATIONS: tuple[tuple[str, bool, bool, re.Pattern[str]], ...] = tuple(
    (relation, is_turned, words in _WEAK, re.compile(rf" (?:{words}){_A}", re.IGNORECASE))
    for relation, is_turned, words in (
        ("riding", False, "riding(?: on)?|rides|(?:sitting|sits)(?: on)?|on the back of"),
        ("riding", True, "(?:being )?ridden by"),
        ("holding", False, "holding|holds|carrying|carries"),
        ("holding", True, "(?:being )?(?:held|carried) by|in the hands? of"),
        ("above", False, "(?:(?:floating|flying|hanging) )?(?:above|over)"),
        ("above", True, "below|beneath|underneath"),
        ("left of", False, "(?:(?:to|on) the )?left of|next to|beside"),
        ("left of", True, "(?:(?:to|on) the )?right of"),
        ("on", False, "(?:(?:standing|lying|placed) )?on top of"),
        ("on", False, _WEAK[0]),
        ("on", True, _WEAK[1]),
        ("left of", False, _WEAK[2]),
    )
)
# "A box with a frog on it": what stands to the first thing how.
_WITH = re.compile(rf" with{_A}", re.IGNORECASE)
_IT = re.compile(" (on|above|over|below|under|beside|next to) (?:it|top)$", re.IGNORECASE)
_TO_IT = {"on": ("on", True), "above": ("above", True), "over": ("above", True), "below": ("above", False),
          "under": ("on", False), "beside": ("left of", False), "next to": ("left of", False)}  # fmt: skip
# Said of a place, or of what is not there, it is no pair that rules could lay out.
_NO_PAIR = re.compile(
    r"\b(?:(?:on|to|at) the (?:left|right)(?! of)|without|neither|not?|(?:above|below) and)\b", re.IGNORECASE
)
_BARE = re.compile(rf"(?:an? |the )?{_COLOUR}", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """What a prompt says of two things: each in words of its own with the ground, the first being above, or left, or
    the rider, or the holder."""

    relation: str
    first: str
    second: str


def pair_of(prompt: str) -> Pair | None:
    """Read two things and their relation, in English; None where a prompt is of one thing, or of something else.

    The relation is the one said first, but a weak one only where there is no other; of those said in one place the one
    with more words. What is said after a pause ("in flat style") and the ground are of both.
    """
    said, both = " ".join(prompt.split()).rstrip(" ,;.!?"), ""
    if match := _GROUND_FIRST.search(said):
        said, both = said[match.end() :], f", {match[1]}"
    elif match := _GROUND.search(said):
        said, both = said[: match.start()] + said[match.end() :], match[0]
    pause = re.search(r" *[,;.!?] ", said)
    if pause and not _NO_PAIR.search(said[: pause.start()]) and _between(said[: pause.start()]):
        said, both = said[: pause.start()], both + said[pause.start() :]
    found = None if _NO_PAIR.search(said) else _between(said)
    if found is None:
        return None
    relation, is_turned, first, second = found
    if is_turned:
        first, second = second, first
    return Pair(relation, first + both, second + both)


def _between(said: str) -> tuple[str, bool, str, str] | None:
    """The relation, whether it is turned, what is said before it and behind."""
    if (to_it := _IT.search(said)) and (between := _WITH.search(said)):
        relation, is_turned = _TO_IT[to_it[1].lower()]
        said = said[: to_it.start()]
    else:
        found = [
            (is_weak, match.start(), -match.end(), relation, is_turned, match)
            for relation, is_turned, is_weak, words in RELATIONS
            if (match := words.search(said))
        ]
        if not found:
            return None
        *_, relation, is_turned, between = min(found, key=lambda each: each[:3])
    first, second = said[: between.start()].strip(" ,"), said[between.end() :].strip(" ,")
    if not first or not second or _BARE.fullmatch(first):
        return None
    return relation, is_turned, first, second


@dataclass(frozen=True)
class Box:
    """Where something is laid, in shares of the shorter side."""

    left: float
    top: float
    width: float
    height: float


def ground_of(picture: Picture) -> NDArray[np.float32]:
    """The colour of a picture's ground: the middle one of its border."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    colour: NDArray[np.float32] = np.median(border, axis=0)
    return colour


def cut_out(picture: Picture) -> Layer | None:
    """What stands before the ground, cut to its size, colours multiplied by opacity. None: nothing does."""
    ground = ground_of(picture)
    far = np.abs(picture - ground).max(-1)
    opacity = ((far - NEAR) / (FAR - NEAR)).clip(0, 1)[..., None]
    pieces, number = ndimage.label(far > FAR)
    sizes = ndimage.sum_labels(np.ones_like(far), pieces, range(1, number + 1)) if number else np.zeros(0)
    solid = np.isin(pieces, 1 + np.flatnonzero(sizes >= LEAST * far.size))
    if not solid.any():
        return None
    rows, columns = (np.flatnonzero(solid.any(axis)) for axis in (1, 0))
    # What is enclosed is the thing's, whatever its colour: a white belly on white.
    opacity[ndimage.binary_fill_holes(solid) & ~solid] = 1
    colour = np.where(opacity > 0, picture - (1 - opacity) * ground, 0)
    layer: Layer = np.concatenate([colour, opacity], -1)
    return layer[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def seat_of(thing: Layer) -> float:
    """How far down one can sit on a thing, as a share of its height: its middle third's highest point, mostly."""
    solid = thing[..., 3] > 0.5
    middle = solid[:, solid.shape[1] // 3 : -(-2 * solid.shape[1] // 3)]
    tops = middle.argmax(0)[middle.any(0)]
    return float(np.median(tops)) / len(solid) if tops.size else 0.0


def layout(relation: str, first: Layer, second: Layer) -> tuple[Box, Box]:
    """Where the two stand to each other, about their middle. As `training/world/scenes.py` composes what is learnt."""
    sizes = {"left of": (0.45, 0.45), "above": (0.42, 0.42), "holding": (0.72, 0.36), "riding": (0.5, 0.66)}
    size1, size2 = sizes.get(relation, (0.42, 0.58))
    wide1, high1 = _scaled(first, size1)
    wide2, high2 = _scaled(second, size2)
    match relation:
        case "left of":
            at1, at2 = (-0.03 - wide1, -high1 / 2), (0.03, -high2 / 2)
        case "above":
            at1, at2 = (-wide1 / 2, -0.04 - high1), (-wide2 / 2, 0.04)
        case "holding":
            # At the hand: half way down, on the outline, a third of it before the holder.
            at1, at2 = (-wide1, -high1 / 2), (-0.3 * wide2, 0.05 * high1 - high2 / 2)
        case _:
            sunk = 0.3 * high1 if relation == "riding" else 0.03
            at1, at2 = (-wide1 / 2, seat_of(second) * high2 + sunk - high1), (-wide2 / 2, 0.0)
    return Box(*at1, wide1, high1), Box(*at2, wide2, high2)


def _scaled(thing: Layer, size: float) -> tuple[float, float]:
    height, width = thing.shape[:2]
    return size * width / max(width, height), size * height / max(width, height)


def laid_together(relation: str, pictures: Sequence[Picture]) -> Picture:
    """One picture of two, before the first one's ground. The second is nearer: it hides the legs of who rides it."""
    first, second = pictures
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return first + second  # no number, wherever one of them has none: for the engine to see
    one, two = cut_out(first), cut_out(second)
    if one is None or two is None:
        return second if two is not None else first  # what there is, as it was drawn
    made = np.broadcast_to(ground_of(first), first.shape).copy()
    for thing, box in zip((one, two), _in_the_middle(layout(relation, one, two), made.shape), strict=True):
        _lay(thing, box, made)
    return made


def _in_the_middle(boxes: Sequence[Box], shape: tuple[int, ...]) -> list[Box]:
    """The same boxes in pixels, all together in the middle, smaller where they would not fit."""
    height, width = shape[:2]
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    wide = max(box.left + box.width for box in boxes) - left
    high = max(box.top + box.height for box in boxes) - top
    scale = min(height, width, ROOM * width / wide, ROOM * height / high)
    return [
        Box(
            width / 2 + (box.left - left - wide / 2) * scale,
            height / 2 + (box.top - top - high / 2) * scale,
            box.width * scale,
            box.height * scale,
        )
        for box in boxes
    ]


def _lay(thing: Layer, box: Box, onto: Picture) -> None:
    """Lay a cut-out where its box, in pixels, is."""
    wide, high = max(round(box.width), 1), max(round(box.height), 1)
    sized = torch.nn.functional.interpolate(
        torch.from_numpy(thing).permute(2, 0, 1)[None], size=(high, wide), mode="bilinear", antialias=True
    )[0]
    layer = sized.permute(1, 2, 0).numpy()
    place = onto[round(box.top) :, round(box.left) :][:high, :wide]
    layer = layer[: place.shape[0], : place.shape[1]]
    place[:] = place * (1 - layer[..., 3:]) + layer[..., :3]


class TwoThingsPipeline(StableDiffusionPipeline):  # type: ignore[misc]
    """Draws as StableDiffusionPipeline does, but each of two things alone, which are laid together then."""

    def __call__(
        self,
        prompt: list[str],
        negative_prompt: list[str],
        generator: list[torch.Generator],
        width: int,
        height: int,
        num_inference_steps: int,
        guidance_scale: float,
        guidance_rescale: float = 0.0,
        output_type: str = "np",
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] = ("latents",),
    ) -> SimpleNamespace:
        """Draw a picture for each prompt. A prompt of two things costs two pictures.

        Returns .images: for "np" n x height x width x 3 of 0..1 as the decoder gave them, for "pil" a list.
        """
        pairs = [pair_of(each) for each in prompt]
        said = [[pair.first, pair.second] if pair else [each] for each, pair in zip(prompt, pairs, strict=True)]

        def for_each_part(values: Sequence[Any]) -> list[Any]:
            return [value for value, parts in zip(values, said, strict=True) for _ in parts]

        drawn = super().__call__(
            prompt=[part for parts in said for part in parts],
            negative_prompt=for_each_part(negative_prompt),
            # One for both parts: they are drawn from it one after the other, so no two have the same noise.
            generator=for_each_part(generator),
            width=width,
            height=height,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            output_type="np",
            callback_on_step_end=callback_on_step_end,
            callback_on_step_end_tensor_inputs=list(callback_on_step_end_tensor_inputs),
        )
        rest = iter(drawn.images)
        made = [laid_together(pair.relation, [next(rest), next(rest)]) if pair else next(rest) for pair in pairs]
        images = np.stack(made)
        return SimpleNamespace(images=self.numpy_to_pil(images.clip(0, 1)) if output_type == "pil" else images)
