"""The autoencoder of the house painter: 128 x 128 pixels to 16 x 16 latents of 16 channels and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from training.loop import Run, compiled, mixed_precision, on_gpu, sized
from training.models.clip import as_tensor, outlined
from training.world.scenes import World

# With a GPU; in two hours of a CPU the painter of 128 x 128 gets no shape, 45 pictures a second go through its step.
SIDE = 128
BATCH, GPU_BATCH = 16, 64
# All of it is convolutions: on a CPU it learns from pieces of this side for most of the time, which cost a quarter.
PIECE, WHOLE_FROM = 64, 0.9
# Sides shrink by this. With 16 and as many numbers in all, an hour of a CPU gave only blurs.
FACTOR, CHANNELS = 8, 16


def build() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(24, 48, 96, 112),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def pictures(world: World, rng: np.random.Generator, number: int) -> NDArray[np.uint8]:
    """Scenes, number x SIDE x SIDE x 3; a few with outlines, so that uploads in other styles come through."""
    drawn = [world.draw(world.sample(rng), rng, side=SIDE) for _ in range(number)]
    return np.stack([outlined(one, rng) if rng.random() < 0.1 else one.picture for one in drawn])


def pieces(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One piece of each picture, n x PIECE x PIECE x 3; mostly about the middle, where things are."""
    middle, room = (pictures.shape[1] - PIECE) / 2, pictures.shape[1] - PIECE
    corners = np.clip(rng.normal(middle, middle / 1.5, (len(pictures), 2)), 0, room).astype(int)
    return np.stack(
        [
            picture[top : top + PIECE, left : left + PIECE]
            for picture, (top, left) in zip(pictures, corners, strict=True)
        ]
    )


def edges(pictures: torch.Tensor) -> torch.Tensor:
    """Differences to the right and below: a loss on them keeps outlines crisp."""
    right = pictures[..., :, 1:] - pictures[..., :, :-1]
    below = pictures[..., 1:, :] - pictures[..., :-1, :]
    return torch.cat([right.flatten(1), below.flatten(1)], 1)


def train(
    world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None, batch: int | None = None
) -> Run:
    run = Run("autoencoder", build(), rate=3e-3, average=0.99, folder=folder)
    encode, decode = compiled(run.model.encoder), compiled(run.model.decoder)
    size = batch or sized(cpu=BATCH, gpu=GPU_BATCH)

    def make(step: int, rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
        whole = pictures(world, rng, size)
        if on_gpu():
            return {"whole": whole}
        return {"whole": whole, "pieces": pieces(np.concatenate([whole, pictures(world, rng, size)]), rng)}

    def loss(batch: Any, chance: torch.Generator) -> torch.Tensor:
        is_late = on_gpu() or run.seconds > WHOLE_FROM * minutes * 60
        seen = as_tensor(batch["whole" if is_late else "pieces"]) * 2 - 1
        with mixed_precision():
            mean, variance = run.model.quant_conv(encode(seen)).chunk(2, 1)
            noise = torch.randn(mean.shape, generator=chance, device=mean.device)
            latent = mean + torch.exp(0.5 * variance.clamp(-30, 20)) * noise
            back = decode(run.model.post_quant_conv(latent)).float()
        mean, variance = mean.float(), variance.float().clamp(-30, 20)
        penalty = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean()
        return F.l1_loss(back, seen) + F.mse_loss(back, seen) + F.l1_loss(edges(back), edges(seen)) + 2e-4 * penalty

    run.train(loss, make, name=22, minutes=minutes, steps=steps)
    return run


def load(folder: Path | None = None) -> Any:
    """Return the trained autoencoder, ready for use."""
    run = Run("autoencoder", build(), rate=0, average=0.99, folder=folder)
    run.model.load_state_dict(run.weights())
    return run.model.eval().requires_grad_(False)
