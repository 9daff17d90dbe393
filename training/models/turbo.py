"""A painter of few steps: a LoRA on the painter that leads to the end of its path from any of four places, sharpened by
a critic (adversarial diffusion distillation after Sauer et al., 2023, on latents as in 2024).

The painter itself gives what is learnt from: noises, and what it makes of them with guidance in its usual steps. So the
result needs neither many steps nor guidance. The critic tells drawings from what the few steps make of their words; it
is kept as a detector of what was drawn by a model of this kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training.feeding import feed, moved, workers
from training.loop import STATE, Run, compiled, device, mixed_precision, sized
from training.models import autoencoder, painter
from training.models.clip import WIDTH, tokens
from training.models.painter import (
    Noise,
    build_scheduler,
    frozen_unet,
    frozen_words,
    pool,
    say,
    scaled_vae,
    scene_of,
    told,
)
from training.world.scenes import World

BATCH, GPU_BATCH = 48, 256
RANK = 16
# What the painter makes with so many steps, and this guidance, is learnt from.
STEPS, GUIDANCE = 12, 4.0
PAIRS, GPU_PAIRS, PART = 2_048, 8_192, 256
# The times that LCMScheduler visits in four steps, and how often each is learnt: the first decides what is drawn.
TIMES, OFTEN = (999, 759, 499, 259), (0.4, 0.25, 0.2, 0.15)
SHARPER = 0.05
# The critic's penalty on steepness about drawings, by finite differences (Lin et al., 2025).
STEEP, NEAR = 10.0, 0.05


def build_scheduler_of_few() -> Any:
    from diffusers import LCMScheduler

    usual = build_scheduler().config
    kept = (
        *("beta_start", "beta_end", "beta_schedule", "prediction_type"),
        *("rescale_betas_zero_snr", "steps_offset", "clip_sample"),
    )
    return LCMScheduler(**{name: usual[name] for name in kept})


class Critic(nn.Module):
    """How much a latent, n x 16 x 16 x 16, looks like that of a drawing with these words; n x 16 marks, one for each
    part. 0.8 million numbers."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.enter = nn.Conv2d(autoencoder.CHANNELS, width, 3, padding=1)
        self.blocks = nn.ModuleList([self._block(width, 2 * width), self._block(2 * width, 2 * width)])
        self.leave = nn.Conv2d(2 * width, 1, 3, padding=1)
        self.heard = nn.Linear(WIDTH, 2 * width)

    @staticmethod
    def _block(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(
            nn.GroupNorm(8, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1),
            nn.GroupNorm(8, after), nn.SiLU(), nn.Conv2d(after, after, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, latents: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        seen = self.enter(latents)
        for block in self.blocks:
            seen = block(seen)
        heard = (seen * self.heard(words)[:, :, None, None]).sum(1, keepdim=True) / seen.shape[1]
        return (self.leave(F.silu(seen)) + heard).flatten(1)


def quick(unet: Any) -> Any:
    """The painter with a LoRA that learns."""
    from peft import LoraConfig

    unet.requires_grad_(False)
    unet.add_adapter(
        LoraConfig(
            r=RANK,
            lora_alpha=RANK,
            target_modules=["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
                            "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv_in", "conv_out"],
        )
    )  # fmt: skip
    return unet


def pairs(world: World, unet: Any, words: Any, *, number: int, folder: Path | None = None) -> dict[str, torch.Tensor]:
    """Noises, the words' numbers, and what the painter makes of them. Kept beside the states: it is made once."""
    path = (folder or STATE) / "pairs.pt"
    if not path.is_file():
        scheduler, look = build_scheduler(), compiled(unet)
        nothing = tokens([""]).to(device())
        chance = torch.Generator(device()).manual_seed(50)

        def make(part: int, rng: np.random.Generator) -> torch.Tensor:
            return tokens([say(world.sample(rng), rng) for _ in range(PART)])

        found: dict[str, list[torch.Tensor]] = {"noise": [], "said": [], "made": []}
        for part in feed(make, name=50, start=0, end=number // PART, processes=min(workers(), 4)):
            said = moved(part, device())
            side = autoencoder.SIDE // autoencoder.FACTOR
            noise = torch.randn(PART, autoencoder.CHANNELS, side, side, generator=chance, device=device())
            both = told(words, torch.cat([nothing.expand_as(said), said]))
            scheduler.set_timesteps(STEPS)
            latents = noise
            for time in scheduler.timesteps:
                with torch.no_grad(), mixed_precision():
                    times = torch.full((2 * PART,), int(time), device=device())
                    guess = look(torch.cat([latents, latents]), times, both, return_dict=False)[0].float()
                without, with_words = guess.chunk(2)
                led = without + GUIDANCE * (with_words - without)
                latents = scheduler.step(led, time, latents, return_dict=False)[0]
            for key, value in (("noise", noise), ("said", said), ("made", latents)):
                found[key].append(value if key == "said" else value.half())
        temporary = path.with_suffix(".tmp")
        torch.save({key: torch.cat(parts) for key, parts in found.items()}, temporary)
        temporary.replace(path)
        print(f"turbo: {number} pictures were painted to learn from", flush=True)
    kept: dict[str, torch.Tensor] = torch.load(path, map_location=device(), weights_only=True)
    return kept


def train(
    world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None, number: int | None = None,
    drawings: int | None = None,
) -> Run:  # fmt: skip
    """Train the LoRA and the critic against each other; `number` pictures are painted and as many drawn."""
    vae, words, unet = scaled_vae(world, folder), frozen_words(folder), frozen_unet(folder)
    learnt = pairs(world, unet, words, number=number or sized(cpu=PAIRS, gpu=GPU_PAIRS), folder=folder)
    drawn = pool(world, vae, size=drawings or sized(cpu=painter.CHUNK, gpu=painter.GPU_CHUNK), folder=folder)
    torch.manual_seed(51)
    run = Run("turbo", quick(unet), rate=4e-4, average=0.99, folder=folder)
    critic = Run("critic", Critic(), rate=4e-4, betas=(0.0, 0.98), average=0.99, folder=folder)
    look, noises, batch = compiled(run.model), Noise(), sized(cpu=BATCH, gpu=GPU_BATCH)
    times, often = torch.tensor(TIMES), np.array(OFTEN)

    def make(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        picked = rng.integers(len(drawn), size=batch)
        scenes = [scene_of(world, int(index))[0] for index in picked]
        return {
            "painted": torch.from_numpy(rng.integers(len(learnt["made"]), size=batch)),
            "drawn": torch.from_numpy(picked),
            "said": tokens([say(scene, rng) for scene in scenes]),
            "time": times[rng.choice(len(TIMES), size=batch, p=often)],
        }

    def marks(latents: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = critic.model(latents, states.float().mean(1))
        return found

    def loss(given: dict[str, torch.Tensor], chance: torch.Generator) -> torch.Tensor:
        made, time = learnt["made"][given["painted"]].float(), given["time"]
        noise = torch.randn(made.shape, generator=chance, device=made.device)
        # At the very first the noise is the one that the picture was made of: there is one answer to it.
        first = (time == TIMES[0]).view(-1, 1, 1, 1)
        noise = torch.where(first, learnt["noise"][given["painted"]].float(), noise)
        noisy, _ = noises.mixed(made, noise, time)
        states = told(words, learnt["said"][given["painted"]])
        with mixed_precision():
            velocity = look(noisy, time, states, return_dict=False)[0].float()
        guess = noises.clean(noisy, velocity, time)

        real, heard = drawn[given["drawn"]].float(), told(words, given["said"])
        near = real + NEAR * torch.randn(real.shape, generator=chance, device=real.device)
        with mixed_precision():
            of_real, of_near = marks(real, heard), marks(near, heard)
            of_guess = marks(guess.detach(), states)
        steep = STEEP * (of_real.float() - of_near.float()).square().mean()
        critic.learn(F.softplus(-of_real.float()).mean() + F.softplus(of_guess.float()).mean() + steep)
        with mixed_precision():
            fooled = F.softplus(-marks(guess, states).float()).mean()
        apart = (guess - made).square().mean((1, 2, 3))
        return (torch.sqrt(apart + 1e-4) - 1e-2).mean() + SHARPER * fooled

    run.train(loss, make, name=51, minutes=minutes, steps=steps, after_save=lambda _: critic.save())
    critic.save()
    return run


def trained(folder: Path | None = None) -> tuple[dict[str, torch.Tensor], Critic]:
    """The LoRA's tensors by diffusers' names, and the critic."""
    from peft import get_peft_model_state_dict

    run = Run("turbo", quick(frozen_unet(folder)), rate=0, average=0.99, folder=folder)
    for key, value in run.own.items():
        value.copy_(run.weights()[key])
    critic = Run("critic", Critic(), rate=0, average=0.99, folder=folder)
    critic.model.load_state_dict(critic.weights())
    return get_peft_model_state_dict(run.model), critic.model
