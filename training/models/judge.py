"""Who says what a picture shows, to measure the others by: trained apart from them, on drawings, blind to colour.

It names the thing at each place, so relations can be read off where things are, and colours off the pixels there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from training.colours import NAMES, name_index
from training.loop import Run, compiled, mixed_precision, sized
from training.models.clip import as_tensor, outlined, soften
from training.world.scenes import Scene, World

SIDE, SEEN, PLACES = 128, 64, 16  # of a picture, as it is looked at, and of the map of names
BATCH, GPU_BATCH = 48, 256


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
    )  # fmt: skip


class Judge(nn.Module):
    """Pictures of 0..1, n x 3 x 128 x 128, to marks for each thing (0: the ground) at 16 x 16 places."""

    def __init__(self, count: int) -> None:
        super().__init__()
        widths = (32, 64, 128, 192)
        self.down = nn.ModuleList([_block(2 if not at else widths[at - 1], widths[at]) for at in range(len(widths))])
        self.up = _block(widths[3] + widths[2], 160)
        self.name = nn.Conv2d(160, count + 1, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        pictures = F.interpolate(pictures, size=SEEN, mode="area")
        # How bright, and how far from the background's colour, which the border shows: all else is not told.
        border = torch.cat([pictures[..., 0, :], pictures[..., -1, :], pictures[..., 0], pictures[..., -1]], -1)
        far = (pictures - border.median(-1).values[..., None, None]).abs().mean(1, keepdim=True)
        seen = torch.cat([pictures.mean(1, keepdim=True) * 2 - 1, far * 4 - 1], 1)
        kept = []
        for number, block in enumerate(self.down):
            seen = block(F.max_pool2d(seen, 2) if number else seen)
            kept.append(seen)
        marks: torch.Tensor = self.name(self.up(torch.cat([F.interpolate(seen, scale_factor=2.0), kept[2]], 1)))
        return marks


def train(
    world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None, size: int | None = None
) -> Run:
    run = Run("judge", Judge(len(world.words)), rate=2e-3, average=0.995, folder=folder)
    look, batch = compiled(run.model), size or sized(cpu=BATCH, gpu=GPU_BATCH)
    index = {word: number + 1 for number, word in enumerate(world.words)}

    def make(step: int, rng: np.random.Generator) -> dict[str, Any]:
        pictures, maps = [], []
        for _ in range(batch):
            scene = world.sample(rng, learnt=None)
            drawn = world.draw(scene, rng, side=SIDE)
            told = np.zeros((SIDE, SIDE), np.int64)
            for item, mask in zip(scene.items, drawn.masks, strict=True):
                told[mask] = index[item.word]
            maps.append(told[4 :: SIDE // PLACES, 4 :: SIDE // PLACES])
            pictures.append(outlined(drawn, rng) if rng.random() < 0.2 else drawn.picture)
        return {
            "pictures": np.stack(pictures), "maps": np.stack(maps), "scale": float(rng.uniform(0.4, 0.9)),
            "noise": float(rng.uniform(0, 0.05)),
        }  # fmt: skip

    def loss(given: dict[str, Any], chance: torch.Generator) -> torch.Tensor:
        seen = soften(as_tensor(given["pictures"]), given["scale"], given["noise"], chance)
        with mixed_precision():
            marks = look(seen)
        each = F.cross_entropy(marks.float(), given["maps"], reduction="none")
        # The ground is most of every picture, and easy.
        return (each * torch.where(given["maps"] > 0, 1.0, 0.3)).mean()

    run.train(loss, make, name=60, minutes=minutes, steps=steps)
    return run


@dataclass(frozen=True)
class Found:
    """One thing in a picture: its word, its share of the picture, where it is seen (side x side), its main colour."""

    word: str
    share: float
    mask: NDArray[np.bool_]
    colour: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom, in shares of the side."""
        rows, columns = np.where(self.mask)
        side = self.mask.shape[0]
        return columns.min() / side, rows.min() / side, (columns.max() + 1) / side, (rows.max() + 1) / side


class Eye:
    """The trained judge, to be asked about pictures."""

    def __init__(self, world: World, folder: Path | None = None) -> None:
        self.words = world.words
        run = Run("judge", Judge(len(world.words)), rate=0, average=0.995, folder=folder)
        run.model.load_state_dict(run.weights())
        self.model = run.model.eval().requires_grad_(False)

    def marks(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each thing at each place, n x (1 + words) x 64 x 64, the ground first."""
        parts = []
        with torch.no_grad():
            for at in range(0, len(pictures), 32):
                marks = self.model(as_tensor(pictures[at : at + 32])).softmax(1)
                parts.append(F.interpolate(marks, size=SEEN, mode="bilinear").cpu())
        return torch.cat(parts).numpy()

    def order(self, marks: NDArray[np.float32]) -> list[str]:
        """All words, what takes most of one picture first. `marks` is one row of `marks`."""
        shares = marks[1:].sum((1, 2))
        return [self.words[number] for number in np.argsort(-shares)]

    def found(self, picture: NDArray[np.uint8], marks: NDArray[np.float32], word: str) -> Found | None:
        """Where a word's thing is seen, where it is likelier than any other; None where it is nowhere."""
        number = self.words.index(word) + 1
        places = marks.argmax(0) == number
        if places.mean() < 0.004:
            return None
        side = picture.shape[0]
        mask = np.kron(places, np.ones((side // SEEN, side // SEEN))).astype(bool)
        colours = np.bincount(name_index(picture[mask]), minlength=len(NAMES))
        return Found(word, float(places.mean()), mask, NAMES[int(colours.argmax())])


def holds(relation: str, first: Found, second: Found) -> bool:
    """Whether a relation holds, by where the two are: as the drawings are laid out, and as a person would say."""
    left1, top1, right1, bottom1 = first.box
    left2, top2, right2, bottom2 = second.box
    middle1, middle2 = (left1 + right1) / 2, (left2 + right2) / 2
    height1, height2 = (top1 + bottom1) / 2, (top2 + bottom2) / 2
    over = left2 - 0.05 < middle1 < right2 + 0.05
    match relation:
        case "above":
            return height1 < height2 and bottom1 < top2 + 0.06 and abs(middle1 - middle2) < 0.3
        case "left of":
            return middle1 < middle2 and right1 < left2 + 0.08
        case "on":
            return over and height1 < height2 and abs(bottom1 - top2) < 0.2
        case "riding":
            return over and height1 < height2 and bottom1 > top2 - 0.06
        case "holding":
            beside = left1 - 0.2 < middle2 < right1 + 0.2 and top1 < height2 < bottom1 + 0.05
            return beside and second.share < first.share
        case _:
            raise ValueError(f"{relation!r} is no relation")


def right(scene: Scene, eye: Eye, picture: NDArray[np.uint8], marks: NDArray[np.float32]) -> dict[str, bool]:
    """What of a scene is right in a picture: `things`, `colours`, and where it has one its `relation`."""
    words = [scene.first.word, *([scene.second.word] if scene.second else [])]
    best = eye.order(marks)[: len(words)]
    found = [eye.found(picture, marks, word) for word in words]
    asked = [scene.first, *([scene.second] if scene.second else [])]
    said = {
        "things": set(best) == set(words),
        "colours": all(one is not None and one.colour == item.colour for one, item in zip(found, asked, strict=True)),
    }
    if scene.second:
        said["relation"] = bool(found[0] and found[1] and holds(scene.relation, found[0], found[1]))
    return said
