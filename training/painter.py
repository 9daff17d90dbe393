"""The house painter: a latent diffusion model in diffusers' own format, small enough to train on a CPU.

The text encoder starts from the words that the house CLIP has learnt and learns on with the U-Net.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training import autoencoder, clip
from training.clip import tokens
from training.loop import STATE, Run, device, mixed_precision
from training.scenes import Combination, Placement, Scenes, caption
from training.weights_folder import replace_folder, write_sums
from training.words import LENGTH, tokenizer

BATCH = 64
WIDTH = 128
UNTOLD = 0.1  # how often the words are left out, so that guidance has something to lean against
PLACEMENTS = 2


def build_unet() -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=autoencoder.CHANNELS,
        out_channels=autoencoder.CHANNELS,
        block_out_channels=(96, 160),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=WIDTH,
        encoder_hid_dim=WIDTH,
        addition_embed_type="text",
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
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            hidden_act="gelu",
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


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


class Painter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unet = build_unet()
        self.text_encoder = build_text_encoder()

    def forward(self, noisy: torch.Tensor, time: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        told = self.text_encoder(ids).last_hidden_state
        return self.unet(noisy, time, told).sample.float()


def take_words(text_encoder: Any, learnt: dict[str, torch.Tensor]) -> None:
    """Copy the text tower of the house CLIP into transformers' shape of the same network."""
    mapped = {
        "embeddings.token_embedding.weight": learnt["token_embedding.weight"],
        "embeddings.position_embedding.weight": learnt["positional_embedding"],
        "final_layer_norm.weight": learnt["ln_final.weight"],
        "final_layer_norm.bias": learnt["ln_final.bias"],
    }
    for layer in range(2):
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


def placements(rng: np.random.Generator) -> Placement:
    """Place a thing about the middle: much variety here would cost sharpness that so small a model lacks."""
    size = int(rng.choice([42, 46, 50]))
    middle = (64 - size) // 2
    return Placement(size, middle + int(rng.integers(-2, 3)), middle + int(rng.integers(-2, 3)))


def code(scenes: Scenes, folder: Path | None = None) -> tuple[torch.Tensor, list[Combination], Any]:
    """Return latents of the scenes to learn from, what each shows, and the autoencoder scaled to them.

    Each channel is brought to mean 0 and deviation 1 inside the autoencoder's own 1x1 convolutions, so that whoever
    loads the folder needs only `scaling_factor` 1.
    """
    path = (folder or STATE) / "latents.pt"
    chosen = [one for one in scenes.learnt for _ in range(PLACEMENTS)]
    vae = autoencoder.load(folder).to(device())
    if path.is_file():
        stored = torch.load(path, map_location=device(), weights_only=True)
        latents, mean, std = stored["latents"], stored["mean"], stored["std"]
    else:
        rng = np.random.default_rng(13)
        pieces = []
        for start in range(0, len(chosen), 128):
            part = chosen[start : start + 128]
            drawn = np.stack([scenes.draw(one, scenes.styles(one)[0], placements(rng)) for one in part])
            with torch.no_grad(), mixed_precision():
                pieces.append(vae.encode(clip.as_tensor(drawn) * 2 - 1).latent_dist.mean.float())
        raw = torch.cat(pieces)
        mean, std = raw.mean((0, 2, 3)), raw.std((0, 2, 3))
        latents = (raw - mean[:, None, None]) / std[:, None, None]
        temporary = path.with_suffix(".tmp")
        torch.save({"latents": latents, "mean": mean, "std": std}, temporary)
        temporary.replace(path)
    _rescale(vae, mean, std)
    return latents, chosen, vae


def _rescale(vae: Any, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Fold `(latent - mean) / std` into the convolution before the latent, and its inverse into the one after."""
    count = autoencoder.CHANNELS
    with torch.no_grad():
        weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
        weight[:count] /= std[:, None, None, None]
        bias[:count] = (bias[:count] - mean) / std
        bias[count:] -= 2 * std.log()  # the other half are logarithms of variances
        after = vae.post_quant_conv
        after.bias += (after.weight[:, :, 0, 0] * mean).sum(1)
        after.weight *= std[None, :, None, None]


def train(scenes: Scenes, *, minutes: float, steps: int | None = None, folder: Path | None = None) -> None:
    latents, chosen, vae = code(scenes, folder)
    model = Painter()
    words = Run("clip", clip.build(), rate=0, average=0.99, folder=folder)
    take_words(model.text_encoder, words.weights())
    run = Run("painter", model, rate=1.5e-3, average=0.995, folder=folder)
    scheduler = build_scheduler()
    keep = scheduler.alphas_cumprod.to(device()).sqrt()
    lose = (1 - scheduler.alphas_cumprod.to(device())).sqrt()

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((14, step))
        picked = rng.integers(len(chosen), size=BATCH)
        texts = [caption(chosen[one], rng, full=0.85, synonyms=0.1).text for one in picked]
        ids = tokens([text if rng.random() >= UNTOLD else "" for text in texts])
        clean = latents[torch.from_numpy(picked).to(device())]
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(device())
        # Stratified times: each batch sees the whole range, which calms the loss.
        time = torch.from_numpy(((rng.permutation(BATCH) + rng.random(BATCH)) * 1000 / BATCH).astype(np.int64))
        time = time.to(device())
        a, b = keep[time].view(-1, 1, 1, 1), lose[time].view(-1, 1, 1, 1)
        # The fused attention's backward pass in bfloat16 takes half of a step on a CPU; the plain one does not.
        with mixed_precision(), sdpa_kernel(SDPBackend.MATH):
            said = run.model(a * clean + b * noise, time, ids)
        return F.mse_loss(said, a * noise - b * clean)

    run.train(loss, minutes=minutes, steps=steps, after_save=lambda _: export(run, vae))
    export(run, vae)


def export(run: Run, vae: Any, target: str = "house-painter") -> None:
    """Write the StableDiffusionPipeline folder whole, or not at all."""
    from diffusers import StableDiffusionPipeline

    model = Painter()
    model.load_state_dict(run.weights())
    other = autoencoder.build()
    other.load_state_dict(vae.state_dict())
    pipeline = StableDiffusionPipeline(
        vae=other.half(),
        # transformers loads a stored type as it is, diffusers turns its parts to float32: the words stay float32, or
        # a pipeline loaded without a type would mix the two.
        text_encoder=model.text_encoder,
        tokenizer=tokenizer(),
        unet=model.unet.half(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with replace_folder(target) as folder:
        pipeline.save_pretrained(folder, safe_serialization=True)
        write_sums(folder)
