"""Models of the size of Stable Diffusion 1.5 and XL with random weights, made in code: they cost what the real ones
cost, and no hub is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.engine.families import LETTERS, clip_tokenizer
from training.weights_folder import write_sums

VOCABULARY = 2 * len(LETTERS) + 2


@contextmanager
def made_there(device: str) -> Iterator[None]:
    """Whatever is built within is built on the device, in bfloat16: in a second instead of a minute."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def _text(kind: type, width: int, layers: int, heads: int) -> Any:
    return kind(
        CLIPTextConfig(
            vocab_size=VOCABULARY, hidden_size=width, intermediate_size=4 * width, projection_dim=width,
            num_hidden_layers=layers, num_attention_heads=heads, bos_token_id=VOCABULARY - 2,
            eos_token_id=VOCABULARY - 1, pad_token_id=VOCABULARY - 1,
        )
    )  # fmt: skip


def _vae(**changed: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=2,
        **changed,
    )


def stable_diffusion(device: str) -> Any:
    """Stable Diffusion 1.5: 860 million numbers in its U-Net."""
    with made_there(device):
        parts = {
            "unet": UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
            "vae": _vae(sample_size=512),
            "text_encoder": _text(CLIPTextModel, 768, 12, 12),
        }
    return diffusers.StableDiffusionPipeline(
        **parts,
        tokenizer=clip_tokenizer(),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(device: str) -> Any:
    """Stable Diffusion XL: 2.6 thousand million numbers in its U-Net."""
    with made_there(device):
        parts = {
            "unet": UNet2DConditionModel(
                sample_size=128,
                block_out_channels=(320, 640, 1280),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=(1, 2, 10),
                attention_head_dim=(5, 10, 20),
                cross_attention_dim=2048,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
                projection_class_embeddings_input_dim=2816,
            ),
            "vae": _vae(sample_size=1024, scaling_factor=0.13025),
            "text_encoder": _text(CLIPTextModel, 768, 12, 12),
            "text_encoder_2": _text(CLIPTextModelWithProjection, 1280, 32, 20),
        }
    return diffusers.StableDiffusionXLPipeline(
        **parts,
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )


CARD = """
name = "{name}"
title = "{name}"
description = "Random weights of a real size."
folder = "{name}"
sizes = [{{ released = "{side}x{side}", drawn = "{side}x{side}" }}]
max_batch = {batch}
n_max = {batch}
price = {{ minimum = 1 }}
licence = "none"
commercial_ok = true
dtype = "bfloat16"
steps = {{ default = 20, min = 1, max = 50 }}
guidance_scale = {{ default = 5, min = 0, max = 15 }}
memory_gb = 9
tuning = {{ compile = true, channels_last = true }}

[modes.text_to_image]
pipeline = "{pipeline}"
"""


def write(pipeline: Any, name: str, *, side: int, batch: int, catalogue: Path, weights: Path) -> None:
    """A folder of weights with its sums, and a card for it."""
    pipeline.save_pretrained(weights / name, safe_serialization=True)
    write_sums(weights / name)
    text = CARD.format(name=name, side=side, batch=batch, pipeline=type(pipeline).__name__)
    (catalogue / f"{name}.toml").write_text(text)


def teraflops(device: str) -> float:
    """What the device reaches at best: a product of two 8192 x 8192 matrices in bfloat16, TFLOP/s."""
    left, right = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(20):
        left @ right
    end.record()
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / start.elapsed_time(end) / 1e9
