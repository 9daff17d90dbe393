"""The house painter: a latent diffusion model in diffusers' own format, small enough to train on a CPU.

Its text encoder is the text tower of the house CLIP, which has learnt who is where; it is not trained further.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.loop import STATE, Run, compiled, device, mixed_precision
from training.models import autoencoder, clip
from training.models.clip import LAYERS, WIDTH, tokens
from training.models.words import LENGTH, as_people_say, tokenizer
from training.weights_folder import replace_folder, write_sums
from training.world.captions import caption
from training.world.scenes import Drawn, Scene, World

BATCH = 96
UNTOLD = 0.1  # how often the words are left out, so that guidance has something to lean against
SCALE_SAMPLES = 1024
# Encoding a picture costs as much as a step of the U-Net: so many are encoded once, and met again with other words.
POOL, CHUNK = 120_000, 12_000


def build_unet(channels: int = autoencoder.CHANNELS) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=autoencoder.SIDE // autoencoder.FACTOR,
        in_channels=channels,
        out_channels=autoencoder.CHANNELS,
        # Where things are painted, and the words are read, at half and a quarter of the latents' sides.
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
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
    """The text encoder with what the house CLIP has learnt."""
    weights = clip.resumed(folder).weights()
    learnt = {key.removeprefix("clip."): value for key, value in weights.items() if key.startswith("clip.")}
    encoder = build_text_encoder().to(device())
    take_words(encoder, learnt)
    return encoder.eval().requires_grad_(False)


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
                vae.encode(autoencoder.pictures(world, rng, autoencoder.BATCH)).latent_dist.mean.float()
                for _ in range(SCALE_SAMPLES // autoencoder.BATCH)
            ]
        seen = torch.cat(parts)
        mean, std = seen.mean((0, 2, 3)), seen.std((0, 2, 3))
        torch.save({"mean": mean, "std": std}, path)
    count = autoencoder.CHANNELS
    with torch.no_grad():
        weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
        weight[:count] /= std[:, None, None, None]
        bias[:count] = (bias[:count] - mean) / std
        bias[count:] -= 2 * std.log()  # the other half are logarithms of variances
        after = vae.post_quant_conv
        after.bias += (after.weight[:, :, 0, 0] * mean).sum(1)
        after.weight *= std[None, :, None, None]
    return vae


class Noise:
    """The noise schedule for training: what a latent becomes at a time, and what is to be said of it (velocity)."""

    def __init__(self) -> None:
        alphas = build_scheduler().alphas_cumprod.to(device())
        self.keep, self.lose = alphas.sqrt(), (1 - alphas).sqrt()

    def times(self, number: int, rng: np.random.Generator) -> torch.Tensor:
        """Stratified: each batch sees the whole range, which calms the loss."""
        times = ((rng.permutation(number) + rng.random(number)) * len(self.keep) / number).astype(np.int64)
        return torch.from_numpy(times).to(device())

    def mixed(self, clean: torch.Tensor, noise: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The noisy latent, and the velocity to be predicted (Salimans and Ho, 2022)."""
        a, b = self.keep[time].view(-1, 1, 1, 1), self.lose[time].view(-1, 1, 1, 1)
        return a * clean + b * noise, a * noise - b * clean


def draw(world: World, index: int) -> tuple[Scene, Drawn]:
    """One picture of the pool by its number: always the same."""
    rng = np.random.default_rng((25, index))
    scene = world.sample(rng)
    return scene, world.draw(scene, rng, side=autoencoder.SIDE)


def pool(world: World, vae: Any, *, size: int = POOL, folder: Path | None = None) -> torch.Tensor:
    """Latents of the pool's pictures, size x 8 x 16 x 16 float16. Kept in chunks, so that a kill costs a minute."""
    encode, chunks = compiled(vae.encoder), []
    for start in range(0, size, CHUNK):
        path = (folder or STATE) / f"latents-{start}.pt"
        if not path.is_file():
            parts = []
            for at in range(start, min(start + CHUNK, size), BATCH):
                numbers = range(at, min(at + BATCH, start + CHUNK, size))
                pictures = clip.as_tensor(np.stack([draw(world, number)[1].picture for number in numbers])) * 2 - 1
                with torch.no_grad(), mixed_precision():
                    parts.append(vae.quant_conv(encode(pictures)).chunk(2, 1)[0].half())
            temporary = path.with_suffix(".tmp")
            torch.save(torch.cat(parts), temporary)
            temporary.replace(path)
            print(f"painter: {start + CHUNK} pictures are encoded", flush=True)
        chunks.append(torch.load(path, map_location=device(), weights_only=True))
    return torch.cat(chunks)


def train(
    world: World, *, minutes: float, steps: int | None = None, size: int = POOL, folder: Path | None = None
) -> Run:
    vae, words = scaled_vae(world, folder), frozen_words(folder)
    latents = pool(world, vae, size=size, folder=folder)
    run = Run("painter", build_unet(), rate=1.5e-3, average=0.999, folder=folder)
    unet, noises = compiled(run.model), Noise()

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((24, step))
        picked = rng.integers(len(latents), size=BATCH)
        scenes = [world.sample(np.random.default_rng((25, int(index)))) for index in picked]
        said = [as_people_say(caption(scene, rng, full=0.85, synonyms=0.1).text, rng) for scene in scenes]
        ids = tokens([text if rng.random() >= UNTOLD else "" for text in said])
        clean = latents[torch.from_numpy(picked).to(device())].float()
        with torch.no_grad(), mixed_precision():
            told = words(ids).last_hidden_state
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(device())
        time = noises.times(BATCH, rng)
        noisy, velocity = noises.mixed(clean, noise, time)
        # The fused attention's backward pass in bfloat16 takes half of a step on a CPU; the plain one does not.
        with mixed_precision(), sdpa_kernel(SDPBackend.MATH):
            guess = unet(noisy, time, told, return_dict=False)[0].float()
        return F.mse_loss(guess, velocity)

    run.train(loss, minutes=minutes, steps=steps)
    return run


def resumed(folder: Path | None = None) -> Run:
    """The run as it last was, to be looked at or exported."""
    return Run("painter", build_unet(), rate=0, average=0.999, folder=folder)


def export(run: Run, vae: Any, words: Any, target: str = "house-painter") -> None:
    """Write the StableDiffusionPipeline folder whole, or not at all."""
    from diffusers import StableDiffusionPipeline

    unet = build_unet()
    unet.load_state_dict(run.weights())
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        # transformers loads a stored type as it is, diffusers turns its parts to float32: the words stay float32, or
        # a pipeline loaded without a type would mix the two.
        text_encoder=words,
        tokenizer=tokenizer(),
        unet=unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with replace_folder(target) as folder:
        pipeline.save_pretrained(folder, safe_serialization=True)
        write_sums(folder)
