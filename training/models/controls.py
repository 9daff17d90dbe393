"""What leads the painter beside words: a sketch, a painted map, or the part of a picture that is to stay.

Each is a ControlNet (Zhang et al., 2023) beside the frozen painter. It looks at no words, since the painter does, and
so takes a fifth of the painter's room.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from training.loop import Run, compiled, mixed_precision, sized
from training.models import autoencoder
from training.models.clip import WIDTH, tokens
from training.models.painter import CHANNELS, HEADS, Encode, Noise, frozen_unet, frozen_words, say, scaled_vae, told
from training.world.scenes import World
from training.world.shown import PALETTE, map_of, sketch_of, window_of

BATCH, GPU_BATCH = 48, 256
# Beside the part that is drawn anew the painter's latents are put back at each step: little is asked of it there.
OUTSIDE = 0.1


def build() -> Any:
    from diffusers import ControlNetModel

    return ControlNetModel(
        in_channels=autoencoder.CHANNELS,
        down_block_types=("DownBlock2D",) * len(CHANNELS),
        mid_block_type="UNetMidBlock2D",
        block_out_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=16,
        attention_head_dim=HEADS,
        cross_attention_dim=WIDTH,
        conditioning_embedding_out_channels=(16, 32, 48, 64),
    )


class Led(nn.Module):
    """The painter with a ControlNet: only that learns."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.control, self.unet = build(), unet

    def forward(
        self, noisy: torch.Tensor, time: torch.Tensor, states: torch.Tensor, lead: torch.Tensor
    ) -> torch.Tensor:
        down, middle = self.control(noisy, time, states, lead, return_dict=False)
        guess: torch.Tensor = self.unet(
            noisy, time, states,
            down_block_additional_residuals=down, mid_block_additional_residual=middle, return_dict=False,
        )[0]  # fmt: skip
        return guess


# One picture's lead, height x width x 3 bytes, and which part is drawn anew (height x width, 1 or 0).
Lead = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _whole(lead: NDArray[np.uint8]) -> Lead:
    return lead, np.ones(lead.shape[:2], np.uint8)


LEADS: dict[str, Callable[[Any, np.random.Generator], Lead]] = {
    "scribble": lambda drawn, rng: _whole(sketch_of(drawn, rng)),
    "segmentation": lambda drawn, rng: _whole(PALETTE[map_of(drawn, rng)]),
    "inpainting": lambda drawn, rng: (drawn.picture, window_of(drawn, rng)),
}


def lead_tensor(name: str, lead: torch.Tensor, anew: torch.Tensor) -> torch.Tensor:
    """What the ControlNet sees: colours of 0..1; for inpainting -1 wherever it is drawn anew."""
    seen = lead.permute(0, 3, 1, 2).float() / 255
    return seen.masked_fill(anew[:, None].bool(), -1.0) if name == "inpainting" else seen


def train(
    name: str, world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None,
    size: int | None = None,
) -> Run:  # fmt: skip
    """Train one of LEADS."""
    vae, words = scaled_vae(world, folder), frozen_words(folder)
    torch.manual_seed(31)
    run = Run(name, Led(frozen_unet(folder)), rate=1e-3, average=0.998, folder=folder)
    led, encode, noises, batch = compiled(run.model), Encode(vae), Noise(), size or sized(cpu=BATCH, gpu=GPU_BATCH)

    def make(step: int, rng: np.random.Generator) -> dict[str, Any]:
        scenes = [world.sample(rng) for _ in range(batch)]
        drawn = [world.draw(scene, rng, side=autoencoder.SIDE) for scene in scenes]
        leads = [LEADS[name](one, rng) for one in drawn]
        return {
            "pictures": np.stack([one.picture for one in drawn]),
            "leads": np.stack([lead for lead, _ in leads]),
            "anew": np.stack([anew for _, anew in leads]),
            "said": tokens([say(scene, rng) for scene in scenes]),
        }

    def loss(given: dict[str, Any], chance: torch.Generator) -> torch.Tensor:
        clean = encode(given["pictures"]).float()
        noise = torch.randn(clean.shape, generator=chance, device=clean.device)
        time = noises.times(batch, chance)
        noisy, velocity = noises.mixed(clean, noise, time)
        lead = lead_tensor(name, given["leads"], given["anew"])
        states = told(words, given["said"])
        with mixed_precision():
            guess = led(noisy, time, states, lead).float()
        inside = F.max_pool2d(given["anew"][:, None].float(), autoencoder.FACTOR)
        weight = inside + (1 - inside) * OUTSIDE
        return (weight * (guess - velocity).square()).sum() / (weight.sum() * autoencoder.CHANNELS)

    run.train(loss, make, name=30 + sorted(LEADS).index(name), minutes=minutes, steps=steps)
    return run


def trained(name: str, folder: Path | None = None) -> Any:
    """The ControlNet as it was last trained."""
    run = Run(name, Led(frozen_unet(folder)), rate=0, average=0.998, folder=folder)
    control = build()
    control.load_state_dict(
        {key.removeprefix("control."): value for key, value in run.weights().items() if key.startswith("control.")}
    )
    return control.eval().requires_grad_(False)
