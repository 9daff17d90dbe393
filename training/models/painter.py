"""The house painter: a latent diffusion model in diffusers' own format, small enough to train on a CPU.

Its text encoder is the text tower of the house CLIP, which has learnt who is where; it is not trained further.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from training.feeding import feed, moved, workers
from training.loop import STATE, Run, compiled, device, mixed_precision, sized
from training.models import autoencoder, clip
from training.models.clip import LAYERS, WIDTH, as_tensor, tokens
from training.models.words import LENGTH, as_people_say, tokenizer
from training.world.captions import MOVING, caption
from training.world.scenes import Scene, World

BATCH, GPU_BATCH = 96, 512
UNTOLD = 0.1  # how often the words are left out, so that guidance has something to lean against
SCALE_SAMPLES = 1024
CERTAIN = -30.0  # the least logarithm of a variance that diffusers knows
# Encoding a picture costs as much as a step of the U-Net: so many are encoded once, and met again with other words.
POOL, GPU_POOL, PART = 60_000, 240_000, 96
CHUNK, GPU_CHUNK = 12_000, 60_000
CHANNELS, HEADS = (96, 160), (4, 4)
READS_WORDS = (True, True)


def build_unet() -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=autoencoder.SIDE // autoencoder.FACTOR,
        in_channels=autoencoder.CHANNELS,
        out_channels=autoencoder.CHANNELS,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        down_block_types=tuple("CrossAttnDownBlock2D" if reads else "DownBlock2D" for reads in READS_WORDS),
        up_block_types=tuple("CrossAttnUpBlock2D" if reads else "UpBlock2D" for reads in reversed(READS_WORDS)),
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,  # diffusers' name for the number of heads
        norm_num_groups=16,
    )


def build_text_encoder() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    words = tokenizer()
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            hidden_act="gelu",
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def take_words(text_encoder: Any, learnt: dict[str, torch.Tensor]) -> None:
    """Copy the text tower of the house CLIP into transformers' shape of the same network."""
    mapped = {
        "embeddings.token_embedding.weight": learnt["token_embedding.weight"],
        "embeddings.position_embedding.weight": learnt["positional_embedding"],
        "final_layer_norm.weight": learnt["ln_final.weight"],
        "final_layer_norm.bias": learnt["ln_final.bias"],
    }
    for layer in range(LAYERS):
        here, there = f"transformer.resblocks.{layer}.", f"encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            parts = learnt[f"{here}attn.in_proj_{kind}"].chunk(3)
            for name, part in zip("qkv", parts, strict=True):
                mapped[f"{there}self_attn.{name}_proj.{kind}"] = part
            mapped[f"{there}self_attn.out_proj.{kind}"] = learnt[f"{here}attn.out_proj.{kind}"]
            mapped[f"{there}layer_norm1.{kind}"] = learnt[f"{here}ln_1.{kind}"]
            mapped[f"{there}layer_norm2.{kind}"] = learnt[f"{here}ln_2.{kind}"]
            mapped[f"{there}mlp.fc1.{kind}"] = learnt[f"{here}mlp.c_fc.{kind}"]
            mapped[f"{there}mlp.fc2.{kind}"] = learnt[f"{here}mlp.c_proj.{kind}"]
    inner = getattr(text_encoder, "text_model", text_encoder)
    missing, unexpected = inner.load_state_dict(mapped, strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        raise RuntimeError(f"The text towers differ: missing {missing}, unexpected {unexpected}")


def build_scheduler() -> Any:
    """The noise schedule ends in pure noise: else the painter could not choose the background's brightness.

    `clip_sample` would cut latents to -1..1, as if they were pixels, and every colour would be wrong.
    """
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
    )


def frozen_words(folder: Path | None = None) -> Any:
    """The text encoder with what the house CLIP had learnt when the painter first asked: the CLIP may go on learning,
    the painter is told things in the words that it knows."""
    path = (folder or STATE) / "words.pt"
    encoder = build_text_encoder().to(device())
    if path.is_file():
        encoder.load_state_dict(torch.load(path, map_location=device(), weights_only=True))
    else:
        weights = clip.resumed(folder).weights()
        take_words(
            encoder, {key.removeprefix("clip."): value for key, value in weights.items() if key.startswith("clip.")}
        )
        torch.save(encoder.state_dict(), path)
    return encoder.eval().requires_grad_(False)


def told(words: Any, ids: torch.Tensor) -> torch.Tensor:
    """What the U-Net reads: the text encoder's last states, n x LENGTH x WIDTH."""
    with torch.no_grad(), mixed_precision():
        states: torch.Tensor = words(ids).last_hidden_state
    return states


def scaled_vae(world: World, folder: Path | None = None) -> Any:
    """The autoencoder, its latents brought to mean 0 and deviation 1 inside its own 1x1 convolutions.

    So whoever loads the folder needs only `scaling_factor` 1. The two numbers of each channel are kept beside the
    state: they belong to one training of the autoencoder.
    """
    path = (folder or STATE) / "latents.pt"
    vae = autoencoder.load(folder).to(device())
    if path.is_file():
        stored = torch.load(path, map_location=device(), weights_only=True)
        mean, std = stored["mean"], stored["std"]
    else:
        rng = np.random.default_rng(23)
        with torch.no_grad(), mixed_precision():
            parts = [
                vae.encode(as_tensor(autoencoder.pictures(world, rng, autoencoder.BATCH)) * 2 - 1).latent_dist.mean
                for _ in range(SCALE_SAMPLES // autoencoder.BATCH)
            ]
        seen = torch.cat(parts).float()
        mean, std = seen.mean((0, 2, 3)), seen.std((0, 2, 3))
        torch.save({"mean": mean, "std": std}, path)
    count = autoencoder.CHANNELS
    with torch.no_grad():
        weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
        weight[:count] /= std[:, None, None, None]
        bias[:count] = (bias[:count] - mean) / std
        # The other half are logarithms of variances. Whoever encodes a picture draws from them; the painter learnt from
        # the means. And channels that the autoencoder makes no use of would be noise, 28 times as loud as the rest.
        weight[count:], bias[count:] = 0, CERTAIN
        after = vae.post_quant_conv
        after.bias += (after.weight[:, :, 0, 0] * mean).sum(1)
        after.weight *= std[None, :, None, None]
    return vae


class Encode:
    """Pictures, n x height x width x 3 bytes, to latents; compiled once."""

    def __init__(self, vae: Any) -> None:
        self.vae, self.encoder = vae, compiled(vae.encoder)

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), mixed_precision():
            latents: torch.Tensor = self.vae.quant_conv(self.encoder(as_tensor(pictures) * 2 - 1)).chunk(2, 1)[0]
        return latents


class Noise:
    """The noise schedule for training: what a latent becomes at a time, and what is to be said of it (velocity)."""

    def __init__(self) -> None:
        alphas = build_scheduler().alphas_cumprod.to(device())
        self.keep, self.lose = alphas.sqrt(), (1 - alphas).sqrt()

    def times(self, number: int, chance: torch.Generator) -> torch.Tensor:
        """Stratified: each batch sees the whole range, which calms the loss."""
        lot = torch.rand(number, generator=chance, device=chance.device)
        order = torch.randperm(number, generator=chance, device=chance.device)
        return ((order + lot) * len(self.keep) / number).long().clamp(max=len(self.keep) - 1)

    def _shares(self, like: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (-1, *[1] * (like.ndim - 1))
        return self.keep[time].view(shape), self.lose[time].view(shape)

    def mixed(self, clean: torch.Tensor, noise: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The noisy latent, and the velocity to be predicted (Salimans and Ho, 2022)."""
        a, b = self._shares(clean, time)
        return a * clean + b * noise, a * noise - b * clean

    def clean(self, noisy: torch.Tensor, velocity: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The latent that a velocity leads back to."""
        a, b = self._shares(noisy, time)
        return a * noisy - b * velocity


def scene_of(world: World, index: int) -> tuple[Scene, np.random.Generator]:
    """The scene of one picture of the pool by its number, always the same, and the chance it is drawn with."""
    rng = np.random.default_rng((25, index))
    return world.sample(rng), rng


def picture_of(world: World, index: int) -> NDArray[np.uint8]:
    """One picture of the pool by its number."""
    scene, rng = scene_of(world, index)
    return world.draw(scene, rng, side=autoencoder.SIDE).picture


def say(scene: Scene, rng: np.random.Generator, *, motion: str = "") -> str:
    """A scene in words as the painter is told it; now and then in none."""
    if rng.random() < UNTOLD:
        return ""
    if not motion and rng.random() < clip.TOLD_TO_MOVE:
        motion = str(rng.choice(list(MOVING)))
    return as_people_say(caption(scene, rng, full=0.85, synonyms=0.1, motion=motion).text, rng)


def pool(world: World, vae: Any, *, size: int, folder: Path | None = None) -> torch.Tensor:
    """Latents of the pool's pictures, size x 16 x 16 x 16 float16. Kept in chunks, so that a kill costs a minute."""
    encode, chunks, chunk = Encode(vae), [], sized(cpu=CHUNK, gpu=GPU_CHUNK)

    def make(part: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        return np.stack([picture_of(world, index) for index in range(part * PART, (part + 1) * PART)])

    for start in range(0, size, chunk):
        path = (folder or STATE) / f"latents-{start}.pt"
        if not path.is_file():
            parts = feed(make, name=25, start=start // PART, end=min(start + chunk, size) // PART, processes=workers())
            temporary = path.with_suffix(".tmp")
            torch.save(torch.cat([encode(moved(part, device())).half() for part in parts]), temporary)
            temporary.replace(path)
            print(f"painter: {min(start + chunk, size)} pictures are encoded", flush=True)
        chunks.append(torch.load(path, map_location=device(), weights_only=True))
    return torch.cat(chunks)


def train(
    world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None, size: int | None = None
) -> Run:
    vae, words = scaled_vae(world, folder), frozen_words(folder)
    latents = pool(world, vae, size=size or sized(cpu=POOL, gpu=GPU_POOL), folder=folder)
    run = Run("painter", build_unet(), rate=1.5e-3, average=0.999, folder=folder)
    unet, noises, batch = compiled(run.model), Noise(), sized(cpu=BATCH, gpu=GPU_BATCH)

    def make(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        picked = rng.integers(len(latents), size=batch)
        scenes = [scene_of(world, int(index))[0] for index in picked]
        return {"picked": torch.from_numpy(picked), "said": tokens([say(scene, rng) for scene in scenes])}

    def loss(given: dict[str, torch.Tensor], chance: torch.Generator) -> torch.Tensor:
        clean = latents[given["picked"]].float()
        noise = torch.randn(clean.shape, generator=chance, device=clean.device)
        time = noises.times(batch, chance)
        noisy, velocity = noises.mixed(clean, noise, time)
        states = told(words, given["said"])
        with mixed_precision():
            guess = unet(noisy, time, states, return_dict=False)[0].float()
        return F.mse_loss(guess, velocity)

    run.train(loss, make, name=24, minutes=minutes, steps=steps)
    return run


def resumed(folder: Path | None = None) -> Run:
    """The run as it last was, to be looked at or exported."""
    return Run("painter", build_unet(), rate=0, average=0.999, folder=folder)


def frozen_unet(folder: Path | None = None) -> Any:
    """The painter's network, for whatever learns beside it."""
    unet = build_unet()
    unet.load_state_dict(resumed(folder).weights())
    return unet.to(device()).eval().requires_grad_(False)
