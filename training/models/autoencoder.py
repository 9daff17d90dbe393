"""The autoencoder of the house painter: 128 x 128 pixels to 16 x 16 latents of 8 channels and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from training.loop import Run, compiled, device, mixed_precision
from training.models.clip import as_tensor, outlined
from training.world.scenes import World

SIDE = 128
BATCH = 16
# All of it is convolutions: for most of the time it learns from pieces of this side, which cost a quarter.
PIECE, WHOLE_FROM = 64, 0.9
# Sides shrink by this. With 16 and as many numbers in all, an hour of a CPU gave only blurs.
FACTOR, CHANNELS = 8, 8


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


def pictures(world: World, rng: np.random.Generator, number: int) -> torch.Tensor:
    """Scenes of -1..1, number x 3 x 128 x 128; a few with outlines, so that uploads in other styles come through."""
    drawn = [world.draw(world.sample(rng), rng, side=SIDE) for _ in range(number)]
    seen = [outlined(one, rng) if rng.random() < 0.1 else one.picture for one in drawn]
    return as_tensor(np.stack(seen)) * 2 - 1


def pieces(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One piece of each picture, n x 3 x PIECE x PIECE; mostly about the middle, where things are."""
    middle, room = (pictures.shape[-1] - PIECE) / 2, pictures.shape[-1] - PIECE
    corners = np.clip(rng.normal(middle, middle / 1.5, (len(pictures), 2)), 0, room).astype(int)
    return torch.stack(
        [
            picture[:, top : top + PIECE, left : left + PIECE]
            for picture, (top, left) in zip(pictures, corners, strict=True)
        ]
    )


def edges(pictures: torch.Tensor) -> torch.Tensor:
    """Differences to the right and below: a loss on them keeps outlines crisp."""
    right = pictures[..., :, 1:] - pictures[..., :, :-1]
    below = pictures[..., 1:, :] - pictures[..., :-1, :]
    return torch.cat([right.flatten(1), below.flatten(1)], 1)


def train(world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None) -> Run:
    run = Run("autoencoder", build(), rate=3e-3, average=0.99, folder=folder)
    encode, decode = compiled(run.model.encoder), compiled(run.model.decoder)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((22, step))
        if run.seconds < WHOLE_FROM * minutes * 60:
            seen = pieces(pictures(world, rng, 2 * BATCH), rng)
        else:
            seen = pictures(world, rng, BATCH)
        with mixed_precision():
            mean, variance = run.model.quant_conv(encode(seen)).chunk(2, 1)
            noise = torch.from_numpy(rng.standard_normal(mean.shape, dtype=np.float32)).to(device())
            latent = mean + torch.exp(0.5 * variance.clamp(-30, 20)) * noise
            back = decode(run.model.post_quant_conv(latent)).float()
        mean, variance = mean.float(), variance.float().clamp(-30, 20)
        penalty = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean()
        return F.l1_loss(back, seen) + F.mse_loss(back, seen) + F.l1_loss(edges(back), edges(seen)) + 2e-4 * penalty

    run.train(loss, minutes=minutes, steps=steps)
    return run


def load(folder: Path | None = None) -> Any:
    """Return the trained autoencoder, ready for use."""
    run = Run("autoencoder", build(), rate=0, average=0.99, folder=folder)
    run.model.load_state_dict(run.weights())
    return run.model.eval().requires_grad_(False)
