"""Films of scenes: all that is in a scene moves, turns, bounces, grows or shrinks before a ground that stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.colours import Pixels
from training.world.captions import MOVING
from training.world.scenes import Scene, World

FRAMES = 16
# The things are cut out larger than the film and scaled down with each frame's motion, so that each stays crisp.
FINER = 2


@dataclass(frozen=True)
class Film:
    """frames x side x side x 3 (RGB), and how what it shows moves."""

    frames: Pixels
    motion: str


def path(motion: str, rng: np.random.Generator, frames: int = FRAMES) -> NDArray[np.float64]:
    """frames x (right, down, scale, degrees): where the things are beside where they would stand still.

    Distances are shares of the picture's side. The middle of the way is about the middle of the picture.
    """
    time = np.linspace(0, 1, frames)
    right, down, scale, degrees = np.zeros(frames), np.zeros(frames), np.ones(frames), np.zeros(frames)
    far = float(rng.uniform(0.35, 0.6))
    match motion:
        case "left":
            right = far * (0.5 - time)
        case "right":
            right = far * (time - 0.5)
        case "up":
            down = far * (0.5 - time)
        case "down":
            down = far * (time - 0.5)
        case "bounce":
            down = 0.15 - float(rng.uniform(0.25, 0.4)) * np.abs(np.sin(np.pi * (2 * time + rng.uniform(0, 1))))
        case "turn":
            degrees = float(rng.choice([-1, 1])) * float(rng.uniform(180, 360)) * time + rng.uniform(-20, 20)
        case "grow":
            scale = np.linspace(rng.uniform(0.45, 0.6), rng.uniform(1.2, 1.4), frames)
        case "shrink":
            scale = np.linspace(rng.uniform(1.2, 1.4), rng.uniform(0.45, 0.6), frames)
        case _:
            raise ValueError(f"{motion!r} is no motion; known are {', '.join(MOVING)}")
    return np.stack([right, down, scale, degrees], 1)


def film(world: World, scene: Scene, motion: str, rng: np.random.Generator, *, side: int, frames: int = FRAMES) -> Film:
    """Draw a film of a scene."""
    layer, _ = world.cut_out(scene, rng, side=side * FINER)
    ground = world.ground(scene, rng)
    # Two thirds as large as in a still picture, and in the middle: there is room to move.
    size = float(rng.uniform(0.6, 0.75))
    left, top, right, bottom = layer.getbbox() or (0, 0, *layer.size)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    shown = np.empty((frames, side, side, 3), np.uint8)
    for number, (moved_right, moved_down, scale, degrees) in enumerate(path(motion, rng, frames)):
        picture = Image.new("RGB", (side, side), ground)
        # From a pixel of the film to one of the layer: back about the film's middle, then to that of the things.
        angle, factor = np.deg2rad(degrees), FINER / (size * scale)
        back = factor * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        at = middle - back @ (side * np.array([0.5 + moved_right, 0.5 + moved_down]))
        matrix = (back[0, 0], back[0, 1], at[0], back[1, 0], back[1, 1], at[1])
        thing = layer.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        picture.paste(thing, (0, 0), thing)
        shown[number] = np.asarray(picture)
    return Film(shown, motion)
