"""The autoencoder of the house painter: 64 x 64 pixels to 8 x 8 latents of 8 channels and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from training.clip import as_tensor
from training.loop import Run, device, mixed_precision
from training.scenes import SIDE, Scenes

BATCH = 16
CHANNELS = 8


def build() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def edges(pictures: torch.Tensor) -> torch.Tensor:
    """Differences to the right and below: a loss on them keeps outlines crisp."""
    right = pictures[..., :, 1:] - pictures[..., :, :-1]
    below = pictures[..., 1:, :] - pictures[..., :-1, :]
    return torch.cat([right.flatten(1), below.flatten(1)], 1)


def train(scenes: Scenes, *, minutes: float, steps: int | None = None, folder: Path | None = None) -> Run:
    run = Run("autoencoder", build(), rate=3e-3, average=0.99, folder=folder)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((12, step))
        drawn, _ = scenes.sample(rng, BATCH)
        pictures = as_tensor(drawn) * 2 - 1
        with mixed_precision():
            coded = run.model.encode(pictures).latent_dist
            noise = torch.from_numpy(rng.standard_normal(coded.mean.shape, dtype=np.float32)).to(device())
            back = run.model.decode(coded.mean + coded.std * noise).sample.float()
        penalty = coded.kl().float().mean() / coded.mean[0].numel()
        return (
            F.l1_loss(back, pictures)
            + F.mse_loss(back, pictures)
            + F.l1_loss(edges(back), edges(pictures))
            + 2e-4 * penalty
        )

    run.train(loss, minutes=minutes, steps=steps)
    return run


def load(folder: Path | None = None) -> Any:
    """Return the trained autoencoder, ready for use."""
    run = Run("autoencoder", build(), rate=0, average=0.99, folder=folder)
    run.model.load_state_dict(run.weights())
    return run.model.eval().requires_grad_(False)
