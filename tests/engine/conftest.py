"""A tiny Stable Diffusion with random weights, made in code, in diffusers' own format."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from generation.engine import ModelCard, load_card

CARD = """
name = "tiny"
title = "Tiny"
description = "Random weights."
folder = "tiny"
sizes = [{ released = "64x64", drawn = "64x64" }]
max_batch = 4
n_max = 4
price = { minimum = 1 }
licence = "Apache-2.0"
commercial_ok = true
dtype = "float32"
steps = { default = 4, min = 1, max = 50 }
guidance_scale = { default = 5, min = 0, max = 15 }
memory_gb = 0.1

[modes.text_to_image]
pipeline = "StableDiffusionPipeline"
"""


LETTERS = [chr(code) for code in range(33, 127)]
# The token of the word `~`.
POISON = len(LETTERS) + LETTERS.index("~")

# (part, tensor, where in it, number): the tiny model with that number written there.
Damage = Callable[[str, str, int | slice, float], ModelCard]


def write_sums(folder: Path) -> None:
    """List every file of a model folder with its sha256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def save_tiny(folder: Path) -> None:
    """A pipeline with random weights, listed in its sums."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    words = folder.parent / f"{folder.name}-tokenizer"
    words.mkdir()
    tokens = [*LETTERS, *[letter + "</w>" for letter in LETTERS], "<|startoftext|>", "<|endoftext|>"]
    (words / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            bos_token_id=len(tokens) - 2,
            eos_token_id=len(tokens) - 1,
            pad_token_id=len(tokens) - 1,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=(4, 8),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        norm_num_groups=2,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
        layers_per_block=1,
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    write_sums(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    root = tmp_path_factory.mktemp("models")
    (root / "tiny.toml").write_text(CARD)
    save_tiny(root / "tiny")
    return load_card(root / "tiny.toml", weights_root=root)


@pytest.fixture
def damaged(tiny: ModelCard, tmp_path: Path) -> Damage:
    """Copies of the tiny model whose files are whole and whose numbers are not."""

    def damage(part: str, tensor: str, where: int | slice, number: float) -> ModelCard:
        from safetensors.torch import load_file, save_file

        folder = tmp_path / "damaged"
        shutil.copytree(tiny.folder, folder)
        (file,) = (folder / part).glob("*.safetensors")
        weights = load_file(file)
        (name,) = (name for name in weights if name.endswith(tensor))
        weights[name][where] = number
        save_file(weights, file, metadata={"format": "pt"})
        write_sums(folder)
        return replace(tiny, name="damaged", folder=folder)

    return damage
