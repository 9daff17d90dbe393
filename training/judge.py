"""A small classifier of shapes, trained apart from painter and CLIP, that says what a picture shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training.clip import as_tensor, soften
from training.loop import Run, mixed_precision
from training.scenes import Scenes

BATCH = 64


def build(count: int) -> Any:
    """Build the network. Colours are turned to grey inside: it may judge by shape alone."""
    layers: list[nn.Module] = []
    before = 1
    for width in (24, 48, 96, 128):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(before * 4, count))


def prepare(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures of 0..1 to 32 x 32 distances from the background's colour, which the border shows."""
    small = F.interpolate(pictures, size=32, mode="area")
    border = torch.cat([small[..., 0, :], small[..., -1, :], small[..., :, 0], small[..., :, -1]], -1)
    ground = border.median(-1).values[..., None, None]
    return (small - ground).abs().mean(1, keepdim=True) * 4 - 1


def train(scenes: Scenes, *, minutes: float, steps: int | None = None, folder: Path | None = None) -> Run:
    run = Run("judge", build(len(scenes.words)), rate=3e-3, average=0.99, folder=folder)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((15, step))
        drawn, chosen = scenes.sample(rng, BATCH)
        which = torch.tensor([scenes.words.index(one.word) for one in chosen])
        pictures = prepare(soften(as_tensor(drawn), rng))
        with mixed_precision():
            said = run.model(pictures)
        return F.cross_entropy(said.float(), which.to(said.device))

    run.train(loss, minutes=minutes, steps=steps)
    return run


def load(count: int, folder: Path | None = None) -> Any:
    run = Run("judge", build(count), rate=0, average=0.99, folder=folder)
    run.model.load_state_dict(run.weights())
    return run.model.eval().requires_grad_(False)
