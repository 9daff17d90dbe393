"""What the parts of the benchmark share: the world, the painter as it is shipped, and the judge trained apart."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.house_models.asking import Painter, background_of, sheet
from training.colours import Pixels
from training.models import autoencoder
from training.models.judge import Eye, right
from training.shares import share
from training.world import sprites
from training.world.scenes import Drawn, Scene, World

SIDE = autoencoder.SIDE


class Bench:
    """What the parts need, made when one first asks for it."""

    def __init__(self, out: Path | None) -> None:
        self.world = World(sprites.load())
        self.out = out

    @cached_property
    def eye(self) -> Eye:
        return Eye(self.world)

    @cached_property
    def painter(self) -> Painter:
        return Painter()

    def judged(self, scenes: list[Scene], pictures: list[Pixels]) -> Counter[str]:
        """How often each part of a scene is right."""
        marks = self.eye.marks(np.stack(pictures))
        found: Counter[str] = Counter()
        for scene, picture, mark in zip(scenes, pictures, marks, strict=True):
            found.update(name for name, is_right in right(scene, self.eye, picture, mark).items() if is_right)
            found["background"] += background_of(picture) == scene.background
        return found

    def drawings(self, scenes: list[Scene], seed: int = 1) -> list[Drawn]:
        rng = np.random.default_rng(seed)
        return [self.world.draw(scene, rng, side=SIDE) for scene in scenes]

    def line(self, what: str, scenes: list[Scene], pictures: list[Pixels]) -> None:
        """One row: painted, and the drawings of the same scenes."""
        painted = self.judged(scenes, pictures)
        drawn = self.judged(scenes, [one.picture for one in self.drawings(scenes)])
        for name in ("things", "colours", "relation", "background"):
            if name == "relation" and not scenes[0].relation:
                continue
            of = len(scenes)
            print(f"| {what} | {name} | {share(painted[name], of)} | {100 * drawn[name] / of:.0f} % |", flush=True)

    def show(self, name: str, rows: list[list[Pixels]], captions: list[str], *, columns: int = 8) -> None:
        if self.out:
            sheet(rows, captions, self.out / f"{name}.png", columns=columns)
