"""The house CLIP, in open_clip's own format: pictures and words in one space of 128 numbers."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.loop import Run, compiled, device, mixed_precision
from training.models.words import LENGTH, as_people_say, tokenizer
from training.weights_folder import replace_folder, write_sums
from training.world.captions import Caption, article, caption, is_true
from training.world.scenes import Drawn, Scene, World

SIDE = 96
BATCH = 96
# So many of a batch are shown in colours that say nothing, and asked for the names of their things only. Without them
# a thing is known by the colours that it was seen in: 42 % named right of those, 20 % in a colour that was held out.
RECOLOURED = 32
MEAN, STD = (0.5, 0.5, 0.5), (0.35, 0.35, 0.35)
LAYERS, WIDTH = 3, 128


def config() -> dict[str, Any]:
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 2, 1], "width": 24, "head_width": 32},
            "text_cfg": {
                "context_length": LENGTH,
                "vocab_size": len(tokenizer()),
                "hf_tokenizer_name": "house-clip",
                "width": WIDTH,
                "heads": 4,
                "layers": LAYERS,
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


class Trained(nn.Module):
    """The CLIP, and what only its training needs: how sure a thing's presence is at no likeness at all."""

    def __init__(self) -> None:
        super().__init__()
        self.clip = build()
        self.doubt = nn.Parameter(torch.tensor(-5.0))


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
    """Pictures, n x height x width x 3 bytes, as n x 3 x height x width float32 of 0..1."""
    return torch.from_numpy(pictures).to(device()).permute(0, 3, 1, 2).float() / 255


def outlined(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with a dark line about each thing, as other sets of emoji are drawn."""
    picture, ink = drawn.picture.copy(), rng.integers(0, 60, 3)
    for mask in drawn.masks:
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        outer = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        picture[outer & ~inner] = ink
    return picture


def soften(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur half of the pictures and add a little noise: what comes through the gate is rarely crisp."""
    half, side = len(pictures) // 2, pictures.shape[-1]
    small = F.interpolate(pictures[:half], size=int(side * rng.uniform(0.3, 0.9)), mode="area")
    blurred = F.interpolate(small, size=side, mode="bicubic").clamp(0, 1)
    out = torch.cat([blurred, pictures[half:]])
    noise = torch.from_numpy(rng.standard_normal(out.shape, dtype=np.float32)).to(out.device)
    return (out + noise * float(rng.uniform(0, 0.06))).clamp(0, 1)


def pictures(world: World, scenes: Sequence[Scene], rng: np.random.Generator, *, side: int = SIDE) -> torch.Tensor:
    """The scenes as the CLIP is to know them: some outlined, half of them blurred, all with some noise."""
    drawn = [world.draw(scene, rng, side=side) for scene in scenes]
    seen = [outlined(one, rng) if rng.random() < 0.25 else one.picture for one in drawn]
    shuffled = rng.permutation(len(seen))
    soft = soften(as_tensor(np.stack([seen[index] for index in shuffled])), rng)
    return soft[torch.from_numpy(np.argsort(shuffled)).to(soft.device)]


def recoloured(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The same shapes in other colours: channels change places, some are turned round, a fifth is grey."""
    out = pictures.clone()
    for index in range(len(out)):
        shown = out[index, torch.from_numpy(rng.permutation(3)).to(out.device)]
        for channel in range(3):
            if rng.random() < 0.3:
                shown[channel] = 1 - shown[channel]
        out[index] = shown.mean(0, keepdim=True) if rng.random() < 0.2 else shown
    return out


def foil(scene: Scene, world: World, rng: np.random.Generator) -> Scene | None:
    """A scene that differs in what words alone must tell: who is where, whose colour it is, how many there are."""
    if scene.second is None:
        if scene.count > 1:
            return dataclasses.replace(scene, count=int(rng.choice([n for n in (2, 3, 4, 5) if n != scene.count])))
        return None
    kind = rng.integers(3)
    if kind == 0:
        return dataclasses.replace(scene, first=scene.second, second=scene.first)
    if kind == 1:
        one, two = scene.first, scene.second
        return dataclasses.replace(
            scene, first=dataclasses.replace(one, colour=two.colour), second=dataclasses.replace(two, colour=one.colour)
        )
    others = [other for other in ("on", "above", "left of", "riding", "holding") if other != scene.relation]
    return dataclasses.replace(scene, relation=str(rng.choice(others)))


def truths(captions: Sequence[Caption], scenes: Sequence[Scene]) -> torch.Tensor:
    """Row for each scene, column for each caption: 1 where it is true of the scene, 0 where not, NaN where disputed."""
    told = {True: 1.0, False: 0.0, None: float("nan")}
    return torch.tensor([[told[is_true(one, scene)] for one in captions] for scene in scenes], device=device())


def contrast(
    model: Trained,
    eyes: Any,
    seen: torch.Tensor,
    captions: list[Caption],
    scenes: list[Scene],
    words: list[str],
    said: list[str],
) -> torch.Tensor:
    """Bring pictures and true captions together, and each picture and the bare names of its things.

    Colours are far easier than shapes: without the names the captions are told apart by colour alone and the things
    are not learnt. The names are told both against each other and, for pictures of several things, each by itself.
    `eyes` is the model's picture tower, compiled or not. Of a whole batch the last RECOLOURED are asked for names only.
    """
    with mixed_precision(), sdpa_kernel(SDPBackend.MATH):
        pictures = F.normalize(eyes(normal(seen)).float(), dim=-1)
        texts = read(model.clip, said)
        named = read(model.clip, [article(word) for word in words])
    scale = model.clip.logit_scale.exp().clamp(max=100)
    plain = len(seen) - RECOLOURED if len(seen) > RECOLOURED else len(seen)
    true = truths(captions, scenes[:plain])
    logits = (scale * pictures[:plain] @ texts.float().T).masked_fill(true.isnan(), -1e4)
    true = true.nan_to_num()
    answered = true.sum(0) > 0
    by_picture = -(true / true.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    columns = (true / true.sum(0, keepdim=True).clamp(min=1) * logits.log_softmax(0)).sum(0)
    by_caption = -columns[answered].mean()
    names = scale * pictures @ named.float().T
    index = {word: number for number, word in enumerate(words)}
    there = torch.zeros_like(names)
    for row, scene in enumerate(scenes):
        there[row, [index[item.word] for item in scene.items]] = 1
    among = -(there / there.sum(1, keepdim=True) * names.log_softmax(1)).sum(1).mean()
    alone = F.binary_cross_entropy_with_logits(names + model.doubt, there, reduction="none").sum(1).mean()
    return (by_picture + by_caption) / 2 + among + 0.3 * alone


def train(world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None) -> Run:
    run = Run("clip", Trained(), rate=2e-3, decay=0.05, average=0.99, folder=folder)
    eyes = compiled(run.model.clip.visual)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng((21, step))
        scenes = [world.sample(rng) for _ in range(BATCH)]
        plain = scenes[: BATCH - RECOLOURED]
        foils = [other for scene in plain if (other := foil(scene, world, rng))]
        captions = [caption(one, rng, full=0.6) for one in [*plain, *foils]]
        said = [as_people_say(one.text, rng) for one in captions]
        seen = pictures(world, scenes, rng)
        seen = torch.cat([seen[: len(plain)], recoloured(seen[len(plain) :], rng)])
        return contrast(run.model, eyes, seen, captions, scenes, world.words, said)

    run.train(loss, minutes=minutes, steps=steps)
    return run


def resumed(folder: Path | None = None) -> Run:
    """The run as it last was, to be looked at or exported."""
    return Run("clip", Trained(), rate=0, average=0.99, folder=folder)


def export(run: Run, target: str = "house-clip") -> None:
    """Write the weights folder whole, or not at all."""
    with replace_folder(target) as folder:
        (folder / "open_clip_config.json").write_text(json.dumps(config(), indent=2) + "\n")
        half = {
            key.removeprefix("clip."): value.detach()
            .cpu()
            .to(torch.float16 if value.is_floating_point() else value.dtype)
            .contiguous()
            for key, value in run.weights().items()
            if key.startswith("clip.")
        }
        save_file(half, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
        tokenizer().save_pretrained(folder)
        write_sums(folder)
