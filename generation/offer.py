"""What can be asked for: the catalogue as the web process sees it, and the checks on an order."""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from generation.engine import MODES, ModeCard, ModelCard, load_catalogue
from moderation.rules import policies

LONGEST_PROMPT = 2000
LARGEST_SEED = 2**63 - 1


class BadOrder(Exception):
    """One field of a request is not what it may be. `field` names it, the message says what to do."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


TEXT_TO_IMAGE = "text_to_image"
# What may go in beside the words, in the order in which it is asked for.
INPUTS = ("picture", "mask", "control", "last", "film")


@lru_cache
def catalogue() -> dict[str, ModelCard]:
    """Every model card there is, read once a process. Changing a card asks for a restart."""
    return load_catalogue(settings.CATALOGUE, weights_root=settings.WEIGHTS)


@lru_cache
def cards() -> dict[str, ModelCard]:
    """What is sold here, in the operator's order: the models named by VAGLIO_MODELS, or those that need no fetching.

    Raises ImproperlyConfigured for a name that the catalogue does not have, and where nothing draws from words: the
    studio begins with that.
    """
    known = catalogue()
    if unknown := sorted(set(settings.MODELS) - set(known)):
        raise ImproperlyConfigured(f"VAGLIO_MODELS names {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
    names = settings.MODELS or [name for name, card in known.items() if not card.sources]
    if not any(TEXT_TO_IMAGE in known[name].modes for name in names):
        raise ImproperlyConfigured(f"None of {', '.join(names) or 'no model'} draws from words. Sell one that does.")
    return {name: known[name] for name in names}


@lru_cache
def sold_modes() -> tuple[str, ...]:
    """The modes that can be asked for: those that some model of what is sold does."""
    return tuple(mode for mode in MODES if any(mode in card.modes for card in cards().values()))


def default_card(mode: str = TEXT_TO_IMAGE) -> ModelCard:
    """The card that is drawn with when none is named: the first of what is sold that does the mode, one of
    `sold_modes`."""
    return next(card for card in cards().values() if mode in card.modes)


def from_price(card: ModelCard) -> int:
    """Credits for one medium as the card has it when nobody chooses."""
    return price_of(card.first)


def price_of(way: ModeCard) -> int:
    """Credits for one medium drawn in this way, when nobody chooses."""
    return unit_price(way, way.release_sizes[0], way.steps.default)


def unit_price(way: ModeCard, released: tuple[int, int], steps: int, frames: int | None = None) -> int:
    """Credits for one medium that is released at this size, by the card's formula."""
    return way.price.credits(way.native_size(released), steps, frames=frames or way.frames[0], fps=way.fps)


@dataclass(frozen=True)
class Order:
    """A request that was checked: every value is one the model can draw.

    width and height are of the released picture, in pixels; the card says at which size it is drawn.
    """

    card: ModelCard
    way: ModeCard
    prompt: str
    negative_prompt: str
    width: int
    height: int
    n: int
    steps: int
    guidance_scale: float
    seed: int | None
    # 0, or 1 for one that waits behind the person's other jobs.
    priority: int = 0
    # What goes in beside the words: by its role the id of a released medium, or of an upload, of the person's own.
    inputs: Mapping[str, uuid.UUID] = field(default_factory=dict)
    # How far it may leave what went in.
    strength: float | None = None
    # Of a film; a picture is one frame.
    frames: int = 1
    # Policies whose soft block the person answers for.
    acknowledged: tuple[str, ...] = ()

    @property
    def fps(self) -> int:
        """Frames a second; 0 for a picture."""
        return self.way.fps if self.way.mode.is_film else 0

    @property
    def unit_price(self) -> int:
        """Credits for one medium, by the card's formula."""
        return unit_price(self.way, (self.width, self.height), self.steps, self.frames)

    @property
    def price(self) -> int:
        """Credits for the whole order."""
        return self.unit_price * self.n

    @property
    def batch_key(self) -> str:
        """Orders of one key can be drawn in one batch."""
        key = f"{self.card.name}|{self.way.mode.name}|{self.width}x{self.height}|{self.steps}|{self.guidance_scale:g}"
        strength = "" if self.strength is None else f"|{self.strength:g}"
        return f"{key}{strength}{f'|{self.frames}' if self.fps else ''}"

    def fields(self) -> dict[str, Any]:
        """The parsed fields, for the digest of an idempotent call."""
        return {
            "model": self.card.name,
            "mode": self.way.mode.name,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "size": f"{self.width}x{self.height}",
            "n": self.n,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "seed": self.seed,
            "priority": self.priority,
            "inputs": {role: str(key) for role, key in self.inputs.items()},
            "strength": self.strength,
            "frames": self.frames,
        } | ({"acknowledged": list(self.acknowledged)} if self.acknowledged else {})


def check(
    *,
    prompt: object = None,
    negative_prompt: object = "",
    model: object = None,
    size: object = None,
    n: object = 1,
    steps: object = None,
    guidance_scale: object = None,
    seed: object = None,
    priority: object = None,
    mode: object = None,
    picture: object = None,
    mask: object = None,
    control: object = None,
    last: object = None,
    film: object = None,
    strength: object = None,
    frames: object = None,
    acknowledge: object = None,
) -> Order:
    """Turn what somebody sent into an Order. Raises BadOrder naming the first field that is wrong.

    Whose the pictures and films are that it starts from is asked when it is submitted.
    """
    inputs = {"picture": picture, "mask": mask, "control": control, "last": last, "film": film}
    known = cards()
    wanted = _mode(mode)
    name = model if model not in (None, "") else default_card(wanted).name
    if not isinstance(name, str) or name not in known:
        raise BadOrder("model", f"There is no model {str(name)[:64]!r}. Choose one of: {', '.join(sorted(known))}.")
    card = known[name]
    if wanted not in card.modes:
        raise BadOrder("model", f"{card.title} cannot do that ({MODES[wanted].title.lower()}). Choose another model.")
    way = card.modes[wanted]
    width, height = _size(card, way, size)
    return Order(
        card=card,
        way=way,
        prompt=_prompt("prompt", prompt, required=not way.mode.may_be_wordless),
        negative_prompt=_prompt("negative_prompt", negative_prompt, required=False),
        width=width,
        height=height,
        n=_whole("n", n, 1, way.n_max),
        steps=way.steps.default if steps in (None, "") else _whole("steps", steps, way.steps.least, way.steps.most),
        guidance_scale=(
            way.guidance_scale.default
            if guidance_scale in (None, "")
            else _decimal("guidance_scale", guidance_scale, way.guidance_scale.least, way.guidance_scale.most)
        ),
        seed=None if seed in (None, "") else _whole("seed", seed, 0, LARGEST_SEED),
        priority=_priority(priority),
        inputs=_inputs(way, inputs),
        strength=_strength(way, strength),
        frames=_frames(card, way, frames),
        acknowledged=_acknowledged(acknowledge),
    )


def _mode(value: object) -> str:
    if value in (None, ""):
        return TEXT_TO_IMAGE
    if not isinstance(value, str) or value not in sold_modes():
        raise BadOrder("mode", f"mode is one of {', '.join(sold_modes())}, not {str(value)[:32]!r}.")
    return value


MISSING = {
    "picture": "Choose the picture to start from: one that you bring, or a released one of yours.",
    "mask": "Mark the part of the picture that is to be drawn anew.",
    "control": "Draw a sketch, or paint a map, for the picture to follow.",
    "last": "Choose the picture that the film ends with.",
    "film": "Choose the film to start from: one that you bring, or a released one of yours.",
}


def _inputs(way: ModeCard, given: Mapping[str, object]) -> dict[str, uuid.UUID]:
    found: dict[str, uuid.UUID] = {}
    for role, value in given.items():
        if role not in way.mode.needs:
            if value not in (None, ""):
                raise BadOrder(role, f"{way.mode.name} has no use for this ({role}). Leave it out.")
            continue
        if value in (None, ""):
            raise BadOrder(role, MISSING[role])
        try:
            found[role] = uuid.UUID(str(value)[:64])
        except ValueError:
            raise BadOrder(role, f"{role} is the id of an upload or of something released of yours.") from None
    return found


def _frames(card: ModelCard, way: ModeCard, value: object) -> int:
    if not way.mode.is_film:
        if value not in (None, "", "1") and (isinstance(value, bool) or value != 1):
            raise BadOrder("frames", f"{way.mode.name} draws pictures. Leave frames out.")
        return 1
    if value in (None, ""):
        return way.frames[0]
    number = _whole("frames", value, min(way.frames), max(way.frames))
    if number not in way.frames:
        raise BadOrder("frames", f"{card.title} draws films of {', '.join(map(str, way.frames))} frames, not {number}.")
    return number


def _acknowledged(value: object) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else [] if value is None else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise BadOrder("acknowledge", "acknowledge is a list of policies, as a refusal names them.")
    codes = sorted({one.strip() for one in given} - {""})
    for code in codes:
        policy = policies().named(code)
        if policy is None or policy.acknowledge is None:
            raise BadOrder("acknowledge", f"{code[:64]!r} is no policy that anybody may acknowledge. Leave it out.")
    return tuple(codes)


def _strength(way: ModeCard, value: object) -> float | None:
    if way.strength is None:
        if value not in (None, ""):
            raise BadOrder("strength", f"{way.mode.name} has no strength. Leave it out.")
        return None
    if value in (None, ""):
        return way.strength.default
    return _decimal("strength", value, way.strength.least, way.strength.most)


def _prompt(field: str, value: object, *, required: bool) -> str:
    value = "" if value is None else value
    if not isinstance(value, str):
        raise BadOrder(field, "Describe what you want in words.")
    text = value.strip()
    if required and not text:
        raise BadOrder(field, "Describe what you want to see; the prompt is empty.")
    if len(text) > LONGEST_PROMPT:
        raise BadOrder(
            field,
            f"The text has {len(text):,} characters; at most {LONGEST_PROMPT:,} can be read. Shorten it.",
        )
    if any(ord(character) < 32 and character not in "\n\r\t" for character in text):
        raise BadOrder(field, "The text holds a control character. Remove it, or type the text again.")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise BadOrder(field, "The text holds half of a character (a lone surrogate). Type that part again.")
    return text


def _size(card: ModelCard, way: ModeCard, value: object) -> tuple[int, int]:
    offered = [f"{width}x{height}" for width, height in way.release_sizes]
    if value in (None, "", "auto"):
        value = offered[0]
    if not isinstance(value, str) or value not in offered:
        raise BadOrder("size", f"{card.title} draws {', '.join(offered)}, not {str(value)[:32]!r}.")
    width, _, height = value.partition("x")
    return int(width), int(height)


def _whole(field: str, value: object, least: int, most: int) -> int:
    try:
        if isinstance(value, bool | float) or value is None:
            raise ValueError
        number = int(str(value)[:32])
    except ValueError:
        raise BadOrder(field, f"{field} must be a whole number from {least} to {most}.") from None
    if not least <= number <= most:
        raise BadOrder(field, f"{field} must be from {least} to {most}, not {number}.")
    return number


def _decimal(field: str, value: object, least: float, most: float) -> float:
    try:
        number = float(str(value)[:32])
    except ValueError:
        raise BadOrder(field, f"{field} must be a number from {least:g} to {most:g}.") from None
    if not least <= number <= most:
        raise BadOrder(field, f"{field} must be from {least:g} to {most:g}, not {str(value)[:32]}.")
    return number


def _priority(value: object) -> int:
    """Nobody goes ahead of what their plan gives them, but anybody may let their other jobs go first."""
    if value in (None, "", "normal"):
        return 0
    if value != "low":
        raise BadOrder("priority", "priority is normal or low; low waits behind your other jobs.")
    return 1


def new_seed() -> int:
    """A seed nobody chose. 53 bits, so that it survives a round trip through JSON in a browser."""
    return secrets.randbits(53)
