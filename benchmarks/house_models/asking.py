"""Asking the house painter as a worker does, and laying out what it made."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from benchmarks.world import ROOT
from generation.engine import DrawItem, Drawn, ModelCard, load_catalogue
from generation.engine.diffusion import DiffusersEngine
from training.colours import NAMES, Pixels, name_index
from training.models.clip import tokens
from training.models.turbo import Critic
from training.world.captions import request
from training.world.scenes import Scene, World

WEIGHTS = ROOT / "training" / "weights"


class Painter:
    """A house card drawn with through the engine, at its defaults."""

    def __init__(self, name: str = "house-painter") -> None:
        self.card: ModelCard = load_catalogue(ROOT / "generation" / "catalogue", weights_root=WEIGHTS)[name]
        self.engine = DiffusersEngine(device="cpu", threads=2)

    def ask(self, mode: str, prompts: Sequence[str], *, seed: int, **inputs: Sequence[Any]) -> list[Pixels]:
        """One medium for each prompt, frames x height x width x 3; `inputs` are lists, one for each prompt."""
        way = self.card.modes[mode]
        width, height = way.native_size(way.release_sizes[0])
        items = [
            DrawItem(
                key=str(index), prompt=prompt, negative_prompt="", seed=seed + index, width=width, height=height,
                steps=way.steps.default, guidance_scale=way.guidance_scale.default, mode=mode,
                strength=way.strength.default if way.strength else None, frames=way.frames[0], fps=way.fps,
                **{name: values[index] for name, values in inputs.items()},
            )
            for index, prompt in enumerate(prompts)
        ]  # fmt: skip
        made: list[Pixels] = []
        for at in range(0, len(items), way.max_batch):
            results = self.engine.draw(self.card, items[at : at + way.max_batch], on_step=lambda done, total: ())
            made += [result.pixels for result in results if isinstance(result, Drawn)]
        assert len(made) == len(items)
        return made

    def seconds(self, mode: str, **inputs: Sequence[Any]) -> float:
        """How long one takes, model loaded: the fastest of three."""
        taken = []
        for _ in range(4):
            start = time.perf_counter()
            self.ask(mode, ["a red apple on blue"], seed=7, **inputs)
            taken.append(time.perf_counter() - start)
        return min(taken[1:])


@torch.no_grad()
def critic_marks(pictures: Sequence[Pixels], prompts: Sequence[str]) -> NDArray[np.float32]:
    """How much the shipped critic takes each picture for a drawing of its words; higher is likelier."""
    from diffusers import StableDiffusionPipeline

    folder = WEIGHTS / "house-painter"
    house = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    critic = Critic()
    critic.load_state_dict(load_file(folder / "critic" / "critic.safetensors"))
    critic.float().eval()
    marks = []
    for at in range(0, len(pictures), 50):
        batch = torch.from_numpy(np.stack(pictures[at : at + 50])).permute(0, 3, 1, 2).float() / 127.5 - 1
        ids = tokens(list(prompts[at : at + 50]))
        words = house.text_encoder(ids).last_hidden_state.mean(1)
        marks.append(critic(house.vae.encode(batch).latent_dist.mean, words).mean(1).numpy())
    return np.concatenate(marks)


def held_out(world: World, kind: str, number: int, *, relation: str = "", seed: int = 2026) -> list[Scene]:
    """Scenes that nothing was learnt from."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < number:
        scene = world.sample(rng, kind=kind, learnt=False)
        if not relation or scene.relation == relation:
            found.append(scene)
    return found


def background_of(picture: Pixels) -> str:
    """Name the colour that most pixels of the outer ring, 4 wide, have."""
    names = name_index(picture)
    ring = np.concatenate([names[:4].ravel(), names[-4:].ravel(), names[4:-4, :4].ravel(), names[4:-4, -4:].ravel()])
    return NAMES[int(np.bincount(ring, minlength=len(NAMES)).argmax())]


def things_of(picture: Pixels) -> np.ndarray:
    """Where a picture is not its ground, by the distance from the border's middle colour."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    found: np.ndarray = np.abs(picture.astype(int) - np.median(border, 0)).max(-1) > 40
    return found


def sheet(rows: Sequence[Sequence[Pixels]], captions: Sequence[str], path: Path, *, columns: int = 8) -> None:
    """A contact sheet: cells of one or more pictures beside each other, each with its words beneath."""
    wide, high = len(rows[0]) * 132 + 8, 180
    down = -(-len(rows) // columns)
    canvas = Image.new("RGB", (columns * wide, down * high), "white")
    pen = ImageDraw.Draw(canvas)
    for index, (cell, words) in enumerate(zip(rows, captions, strict=True)):
        left, top = index % columns * wide + 4, index // columns * high + 4
        for number, picture in enumerate(cell):
            shown = Image.fromarray(picture).resize((128, 128), Image.Resampling.BICUBIC)
            canvas.paste(shown, (left + number * 132, top))
        pen.text((left, top + 130), textwrap.fill(words, 23 * len(cell)), fill="black", font_size=11)
    canvas.quantize(255).save(path, optimize=True)


__all__ = ["Painter", "background_of", "critic_marks", "held_out", "request", "sheet", "things_of"]
