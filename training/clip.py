"""The house CLIP, in open_clip's own format: pictures and words in one space of 128 numbers."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.loop import Run, device, mixed_precision
from training.scenes import Caption, Combination, Scenes, article, caption
from training.weights_folder import replace_folder, write_sums
from training.words import LENGTH, tokenizer

BATCH = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.35, 0.35, 0.35)


def config() -> dict[str, Any]:
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 24, "head_width": 32},
            "text_cfg": {
                "context_length": LENGTH,
                "vocab_size": len(tokenizer()),
                "hf_tokenizer_name": "house-clip",
                "width": 128,
                "heads": 4,
                "layers": 2,
            },
        },
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "squash"},
    }


def build() -> Any:
    """Build the untrained model through open_clip, from the same files that the trained one will have."""
    import open_clip

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "open_clip_config.json").write_text(json.dumps(config()))
        model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}", load_weights=False)
    return model


@cache
def _shared_tokenizer() -> Any:
    return tokenizer()


def tokens(texts: list[str]) -> torch.Tensor:
    read = _shared_tokenizer()(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    return read.input_ids.to(device())


def read(model: Any, texts: list[str]) -> torch.Tensor:
    """Encode texts as `model.encode_text` does, without the columns that are padding in every row.

    The padding lies after the end and the attention looks only back, so the result is the same and costs half.
    """
    ids = tokens(texts)
    ids = ids[:, : int((ids != 0).sum(1).max())]
    long = ids.shape[1]
    states = model.token_embedding(ids) + model.positional_embedding[:long]
    states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:long, :long]))
    ends = states[torch.arange(len(ids), device=ids.device), ids.argmax(-1)]
    return F.normalize(ends @ model.text_projection, dim=-1)


def normal(pictures: torch.Tensor) -> torch.Tensor:
    """Scale pictures from 0..1 as the model's own transform does."""
    mean = torch.tensor(MEAN, device=pictures.device).view(1, 3, 1, 1)
    return (pictures - mean) / torch.tensor(STD, device=pictures.device).view(1, 3, 1, 1)


def as_tensor(pictures: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pictures).to(device()).permute(0, 3, 1, 2).float() / 255


def soften(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur half of the pictures and add a little noise: what comes through the gate is rarely crisp."""
    half = len(pictures) // 2
    small = F.interpolate(pictures[:half], size=int(rng.integers(20, 56)), mode="area")
    blurred = F.interpolate(small, size=pictures.shape[-1], mode="bicubic").clamp(0, 1)
    out = torch.cat([blurred, pictures[half:]])
    noise = torch.from_numpy(rng.standard_normal(out.shape, dtype=np.float32)).to(out.device)
    return (out + noise * float(rng.uniform(0, 0.06))).clamp(0, 1)


def truths(captions: list[Caption], scenes: list[Combination]) -> torch.Tensor:
    """Row per scene, column per caption: 1 where the caption is true of the scene."""
    true = [
        [
            scene.word in words.words
            and words.colour in (None, scene.colour)
            and words.background in (None, scene.background)
            for words in captions
        ]
        for scene in scenes
    ]
    return torch.tensor(true, dtype=torch.float32, device=device())


def contrast(
    model: Any, pictures: torch.Tensor, captions: list[Caption], chosen: list[Combination], words: list[str]
) -> torch.Tensor:
    """Bring pictures and true captions together, and each picture and the bare name of its thing.

    Colours are far easier than shapes: without the second term the captions are told apart by colour alone and the
    things are not learnt.
    """
    bare = [article(word) for word in words]
    with mixed_precision(), sdpa_kernel(SDPBackend.MATH):
        seen = model.encode_image(normal(pictures), normalize=True)
        said = read(model, [one.text for one in captions])
        named = read(model, bare)
    scale = model.logit_scale.exp().clamp(max=100)
    true = truths(captions, chosen)
    logits = scale * seen.float() @ said.float().T
    names = scale * seen.float() @ named.float().T
    which = torch.tensor([words.index(one.word) for one in chosen], device=names.device)
    by_picture = -(true / true.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_caption = -(true / true.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (by_picture + by_caption) / 2 + F.cross_entropy(names, which)


def train(scenes: Scenes, *, minutes: float, steps: int | None = None, folder: Path | None = None) -> Run:
    run = Run("clip", build(), rate=2e-3, decay=0.05, average=0.99, folder=folder)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((11, step))
        drawn, chosen = scenes.sample(rng, BATCH)
        captions = [caption(one, rng, full=0.6) for one in chosen]
        return contrast(run.model, soften(as_tensor(drawn), rng), captions, chosen, scenes.words)

    run.train(loss, minutes=minutes, steps=steps, after_save=lambda _: export(run))
    return run


def export(run: Run, target: str = "house-clip") -> None:
    """Write the weights folder whole, or not at all."""
    with replace_folder(target) as folder:
        (folder / "open_clip_config.json").write_text(json.dumps(config(), indent=2) + "\n")
        half = {
            key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
            for key, value in run.weights().items()
        }
        save_file(half, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
        tokenizer().save_pretrained(folder)
        write_sums(folder)
