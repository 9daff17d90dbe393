"""What holds a film of the painter's together: AnimateDiff's modules between its blocks (Guo et al., 2024).

They see moved, turned, bounced and scaled drawings. Where things go is led by the engine, in_motion.py: the text
encoder learnt from single pictures and let the words of moving go, so that of eight motions its states told a linear
probe half, and a LoRA on the painter's attention to words had learnt none in 1,462 steps of 24 films.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from training.loop import Run, compiled, mixed_precision, sized
from training.models import autoencoder
from training.models.clip import tokens
from training.models.painter import CHANNELS, Encode, Noise, frozen_unet, frozen_words, say, scaled_vae, told
from training.world.captions import MOVING
from training.world.films import FRAMES, film
from training.world.scenes import World

BATCH, GPU_BATCH = 6, 24
# Of films with one thing, and with two in a relation.
SINGLE = 0.7


def build() -> Any:
    from diffusers import MotionAdapter

    return MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=1,
        motion_num_attention_heads=4,
        motion_norm_num_groups=16,
        motion_max_seq_length=FRAMES,
        use_motion_mid_block=False,
    )


def moving(unet: Any) -> Any:
    """The painter with motion modules; only these learn."""
    from diffusers import UNetMotionModel

    model = UNetMotionModel.from_unet2d(unet, build()).to(unet.device).requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("motion_modules" in name)
    return model


def train(
    world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None, size: int | None = None
) -> Run:
    vae, words = scaled_vae(world, folder), frozen_words(folder)
    torch.manual_seed(40)
    run = Run("motion", moving(frozen_unet(folder)), rate=1e-3, average=0.998, folder=folder)
    unet, encode, noises, batch = compiled(run.model), Encode(vae), Noise(), size or sized(cpu=BATCH, gpu=GPU_BATCH)

    def make(step: int, rng: np.random.Generator) -> dict[str, Any]:
        films, said = [], []
        for _ in range(batch):
            scene = world.sample(rng, kind="single" if rng.random() < SINGLE else "pair")
            scene = dataclasses.replace(scene, first=dataclasses.replace(scene.first, size=""))
            motion = str(rng.choice(list(MOVING)))
            films.append(film(world, scene, motion, rng, side=autoencoder.SIDE).frames)
            said.append(say(scene, rng, motion=motion))
        return {"films": np.stack(films), "said": tokens(said)}

    def loss(given: dict[str, Any], chance: torch.Generator) -> torch.Tensor:
        clean = encode(given["films"].flatten(0, 1)).float().unflatten(0, (batch, FRAMES)).transpose(1, 2)
        noise = torch.randn(clean.shape, generator=chance, device=clean.device)
        time = noises.times(batch, chance)
        noisy, velocity = noises.mixed(clean, noise, time)
        states = told(words, given["said"]).repeat_interleave(FRAMES, 0)
        with mixed_precision():
            guess = unet(noisy, time, states, return_dict=False)[0].float()
        return F.mse_loss(guess, velocity)

    run.train(loss, make, name=40, minutes=minutes, steps=steps)
    return run


def trained(folder: Path | None = None) -> Any:
    """The motion adapter."""
    run, adapter = Run("motion", moving(frozen_unet(folder)), rate=0, average=0.998, folder=folder), build()
    missing, unexpected = adapter.load_state_dict(run.weights(), strict=False)
    if unexpected or any("pos_embed" not in name for name in missing):
        raise RuntimeError(f"The motion modules differ: missing {missing}, unexpected {unexpected}")
    return adapter.eval().requires_grad_(False)
