"""An engine without weights, shipped for tests and for people who build on Vaglio. It draws what words tell it to.

Words in a prompt that it obeys:

- `verdict:review|block|severe|nan|crash|kill` paints the mark that the fake classifiers read.
- `fault:nan`, `fault:constant` come out as no picture; `fault:error` raises; `fault:kill` ends the process, as
  running out of memory does.
- `slow:SECONDS` waits so long at each step.
- `edges:NUMBER` paints so many fields with hard edges, by which a copy can be told from other pictures.
"""

import hashlib
import os
import re
import signal
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from generation.engine.cards import ModelCard
from generation.engine.checks import medium_of
from generation.engine.items import DrawItem, Drawn, NotDrawn, OnStep

# Painted into the upper left corner: the fake classifiers know what each means.
MARKS = {
    "review": (200, 10, 0),
    "block": (200, 20, 0),
    "severe": (200, 30, 0),
    "nan": (200, 40, 0),
    "crash": (200, 50, 0),
    "kill": (200, 60, 0),
}
MARK_SIDE = 4


class FakeEngine:
    """Draws a field of soft colours from prompt and seed, step by step like a real one."""

    def __init__(self) -> None:
        self._loaded: str | None = None

    @property
    def loaded(self) -> str | None:
        return self._loaded

    def warm(self, card: ModelCard) -> None:
        self._loaded = card.name

    def draw(self, card: ModelCard, items: Sequence[DrawItem], *, on_step: OnStep) -> list[Drawn | NotDrawn]:
        """Count the steps, ask about each, then paint."""
        self.warm(card)
        steps = items[0].steps
        pause = max((float(found) for item in items for found in _words("slow", item)), default=0.0)
        cancelled: set[str] = set()
        for step in range(1, steps + 1):
            if pause:
                time.sleep(pause)
            cancelled |= set(on_step(step, steps))
            if cancelled.issuperset(item.key for item in items):
                break
        return [
            NotDrawn(item.key, "cancelled")
            if item.key in cancelled
            else medium_of(item.key, _frames(item), fps=item.fps)
            for item in items
        ]


def _words(what: str, item: DrawItem) -> list[str]:
    return re.findall(rf"\b{what}:([\w.]+)", item.prompt)


def _frames(item: DrawItem) -> NDArray[np.floating]:
    """A picture; or for a film the picture moved on from frame to frame."""
    picture = _pixels(item)
    if not item.fps:
        return picture
    film = np.stack([np.roll(picture, number * item.width // item.frames, axis=1) for number in range(item.frames)])
    if item.film:
        film = _over(np.stack([_as_pixels(frame) for frame in item.film]), film, item.strength)
    if item.last is not None:
        share = np.linspace(0, 1, item.frames)[:, None, None, None]
        film = (1 - share) * film[:1] + share * _as_pixels(item.last)
    return film


def _as_pixels(picture: Image.Image) -> NDArray[np.floating]:
    return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255


def _over(given: NDArray[np.floating], drawn: NDArray[np.floating], strength: float | None) -> NDArray[np.floating]:
    share = 1.0 if strength is None else strength
    return share * drawn + (1 - share) * given


def _pixels(item: DrawItem) -> NDArray[np.floating]:
    faults = _words("fault", item)
    if "kill" in faults:
        os.kill(os.getpid(), signal.SIGKILL)
    if "error" in faults:
        raise RuntimeError("the engine was asked to fail")
    shape = (item.height, item.width, 3)
    if "constant" in faults:
        return np.full(shape, 0.5)
    seed = hashlib.sha256(f"{item.seed}/{item.prompt}".encode()).digest()
    # A field of soft colours; the mark below needs hard pixels, so the colours are spread first.
    chance = np.random.default_rng(list(seed))
    field = Image.fromarray(chance.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    spread = field.resize((item.width, item.height), Image.Resampling.BICUBIC)
    pixels: NDArray[np.floating] = np.asarray(spread, dtype=np.float64) / 255
    for _ in range(sum(int(number) for number in _words("edges", item))):
        top, left = chance.integers(0, (item.height, item.width))
        pixels[top : top + item.height // 5, left : left + item.width // 4] = chance.random(3)
    if item.picture is not None and item.mask is not None:
        anew = (np.asarray(item.mask.convert("L"), dtype=np.float64) / 255)[..., None]
        pixels = anew * pixels + (1 - anew) * _as_pixels(item.picture)
    elif item.picture is not None:
        pixels = _over(_as_pixels(item.picture), pixels, item.strength if item.strength is not None else 0.5)
    if item.control is not None:
        pixels = (pixels + _as_pixels(item.control)) / 2
    for verdict in _words("verdict", item):
        pixels[:MARK_SIDE, :MARK_SIDE] = np.array(MARKS[verdict]) / 255
    if "nan" in faults:
        pixels[0, 0, 0] = np.nan
    return pixels
