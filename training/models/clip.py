"""The house CLIP, in open_clip's own format: pictures and words in one space of 128 numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from moderation.classifiers.clip import weights_version
from training import weights_folder
from training.loop import Run, compiled, device, mixed_precision, on_gpu, sized
from training.models import sight
from training.models.words import LENGTH, as_people_say, tokenizer
from training.weights_folder import replace_folder, write_sums
from training.world.captions import MOVING, Caption, article, caption, is_true
from training.world.scenes import Drawn, Scene, World

SIDE = 96
BATCH, GPU_BATCH = 96, 384
# On a CPU it first sees single things, and for longer only pictures of two thirds of the side: half of a step.
SINGLES_FIRST, SMALL_FIRST, SMALL = 500, 1_600, 64
# One in so many is shown in colours that say nothing, and asked for the names of its things only. Without them a thing
# is known by the colours that it was seen in: 42 % named right of those, 20 % in a colour that was held out.
RECOLOURED = 5
# How often words of moving are among a caption's: no picture shows it, but films are told with these words.
TOLD_TO_MOVE = 0.1
MEAN, STD = (0.5, 0.5, 0.5), (0.35, 0.35, 0.35)
LAYERS, WIDTH = 3, 128


def config() -> dict[str, Any]:
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {
                "image_size": SIDE,
                "timm_model_name": sight.NAME,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
            },
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
    """The CLIP, and what only its training needs: how sure a thing's presence is at no likeness at all.

    Its picture tower begins with what another network learnt of photographs, and keeps the first of it as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clip = build()
        sight.lend(self.clip.visual.trunk)
        # Now, and not later: whoever keeps the weights holds these very tensors.
        self.clip.visual.to(memory_format=torch.channels_last)
        self.doubt = nn.Parameter(torch.tensor(-5.0))

    def train(self, mode: bool = True) -> Trained:
        """As of any module; what is frozen counts no means of its own."""
        super().train(mode)
        for module in sight.frozen(self.clip.visual.trunk):
            module.eval()
        return self


@cache
def _shared_tokenizer() -> Any:
    return tokenizer()


def tokens(texts: list[str]) -> torch.Tensor:
    """Token numbers, n x LENGTH, in the CPU's memory."""
    read = _shared_tokenizer()(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    ids: torch.Tensor = read.input_ids
    return ids


def read(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Encode token numbers as `model.encode_text` does, on a CPU without the columns that are padding in every row.

    The padding lies after the end and the attention looks only back, so the result is the same and costs half.
    """
    if not on_gpu():
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


def as_tensor(pictures: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Pictures, n x height x width x 3 bytes, as n x 3 x height x width float32 of 0..1."""
    return torch.as_tensor(pictures).to(device()).permute(0, 3, 1, 2).float() / 255


def outlined(drawn: Drawn, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with dark lines about each thing, and often about its parts, as other sets of emoji are drawn."""
    picture, ink = drawn.picture.copy(), rng.integers(0, 60, 3)
    lines = np.zeros(picture.shape[:2], bool)
    for mask in drawn.masks:
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        outer = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        lines |= outer & ~inner
    if rng.random() < 0.6:
        values = picture.astype(np.int16)
        steep = int(rng.integers(60, 120))
        lines[:, 1:] |= np.abs(np.diff(values, axis=1)).max(2) > steep
        lines[1:] |= np.abs(np.diff(values, axis=0)).max(2) > steep
    if rng.random() < 0.4:
        lines[1:] |= lines[:-1]
    picture[lines] = ink
    return picture


def soften(pictures: torch.Tensor, scale: float, noise: float, chance: torch.Generator) -> torch.Tensor:
    """Blur half of the pictures and add a little noise: what comes through the gate is rarely crisp."""
    half, side = len(pictures) // 2, pictures.shape[-1]
    small = F.interpolate(pictures[:half], size=int(side * scale), mode="area")
    blurred = F.interpolate(small, size=side, mode="bicubic").clamp(0, 1)
    out = torch.cat([blurred, pictures[half:]])
    return (out + torch.randn(out.shape, generator=chance, device=out.device) * noise).clamp(0, 1)


def bent(pictures: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Turned by up to 12 degrees, sheared and stretched by up to a sixth, a little lighter or darker in each channel.

    Backgrounds are flat, so whatever comes in at the edge repeats it. No picture is mirrored: left stays left.
    """
    number = len(pictures)
    lot = torch.rand(number, 8, generator=chance, device=pictures.device) * 2 - 1
    turn, shear = lot[:, 0] * 0.2, lot[:, 1] * 0.15
    wide, high = 1 + lot[:, 2] * 0.16, 1 + lot[:, 3] * 0.16
    rows = [torch.cos(turn) * wide, -torch.sin(turn) + shear, lot[:, 4] * 0.06]
    more = [torch.sin(turn), torch.cos(turn) * high, lot[:, 4] * 0.06]
    matrix = torch.stack([torch.stack(rows, 1), torch.stack(more, 1)], 1)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    out = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return (out + lot[:, 5:8, None, None] * 0.05).clamp(0, 1)


def pictures(world: World, scenes: Sequence[Scene], rng: np.random.Generator, *, side: int = SIDE) -> NDArray[np.uint8]:
    """The scenes drawn, some of them with lines."""
    drawn = [world.draw(scene, rng, side=side) for scene in scenes]
    return np.stack([outlined(one, rng) if rng.random() < 0.3 else one.picture for one in drawn])


def recoloured(pictures: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """The same shapes in other colours: channels change places, some are turned round, a fifth is grey."""
    number = len(pictures)
    lot = torch.rand(number, 7, generator=chance, device=pictures.device)
    places = lot[:, :3].argsort(1)
    out = pictures[torch.arange(number, device=pictures.device)[:, None], places]
    turned = (lot[:, 3:6] < 0.3)[:, :, None, None]
    out = torch.where(turned, 1 - out, out)
    return torch.where((lot[:, 6] < 0.2)[:, None, None, None], out.mean(1, keepdim=True), out)


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


def truths(captions: Sequence[Caption], scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """Row for each scene, column for each caption: 1 where it is true of the scene, 0 where not, NaN where disputed."""
    told = {True: 1.0, False: 0.0, None: float("nan")}
    return np.array([[told[is_true(one, scene)] for one in captions] for scene in scenes], dtype=np.float32)


def shown(world: World, scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """Row for each scene, column for each word of the world: 1 where the thing is there."""
    index = {word: number for number, word in enumerate(world.words)}
    there = np.zeros((len(scenes), len(index)), np.float32)
    for row, scene in enumerate(scenes):
        there[row, [index[item.word] for item in scene.items]] = 1
    return there


def contrast(
    model: Trained, eyes: Any, seen: torch.Tensor, said: torch.Tensor, true: torch.Tensor, there: torch.Tensor,
    names: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Bring pictures and true captions together, and each picture and the bare names of its things.

    Colours are far easier than shapes: without the names the captions are told apart by colour alone and the things
    are not learnt. The names are told both against each other and, for pictures of several things, each by itself.
    `eyes` is the model's picture tower, compiled or not; `said` and `names` are token numbers, rows of captions and of
    all words; `true` and `there` as from `truths` and `shown`. Pictures that `true` has no row for, the last ones, are
    asked for names only.
    """
    # Convolutions of one channel each are half as fast again in float32 on a CPU.
    with mixed_precision() if on_gpu() else contextlib.nullcontext():
        pictures = F.normalize(eyes(normal(seen)).float(), dim=-1)
    with mixed_precision():
        texts = read(model.clip, said)
        named = read(model.clip, names)
    scale = model.clip.logit_scale.exp().clamp(max=100)
    logits = (scale * pictures[: len(true)] @ texts.float().T).masked_fill(true.isnan(), -1e4)
    true = true.nan_to_num()
    by_picture = -(true / true.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    columns = (true / true.sum(0, keepdim=True).clamp(min=1) * logits.log_softmax(0)).sum(0)
    answered = (true.sum(0) > 0).float()
    by_caption = -(columns * answered).sum() / answered.sum()
    likeness = scale * pictures @ named.float().T
    among = -(there / there.sum(1, keepdim=True) * likeness.log_softmax(1)).sum(1).mean()
    alone = F.binary_cross_entropy_with_logits(likeness + model.doubt, there, reduction="none").sum(1).mean()
    return (by_picture + by_caption) / 2 + among + 0.3 * alone


def batch(
    world: World, rng: np.random.Generator, size: int, *, kind: str = "", side: int = SIDE
) -> dict[str, Any]:  # fmt: skip
    """What one step looks at: pictures, captions and foils, and what is true of what. `kind` of scenes, "" for all."""
    scenes = [world.sample(rng, kind=kind) for _ in range(size)]
    plain = scenes[: size - size // RECOLOURED]
    foils = [other for scene in plain if (other := foil(scene, world, rng))]
    captions = [
        caption(one, rng, full=0.6, motion=str(rng.choice(list(MOVING))) if rng.random() < TOLD_TO_MOVE else "")
        for one in [*plain, *foils]
    ]
    return {
        "pictures": pictures(world, scenes, rng, side=side),
        "said": tokens([as_people_say(one.text, rng) for one in captions]),
        "true": truths(captions, plain),
        "there": shown(world, scenes),
        "scale": float(rng.uniform(0.3, 0.9)),
        "noise": float(rng.uniform(0, 0.06)),
        "order": rng.permutation(size),
    }


def train(
    world: World, *, minutes: float, steps: int | None = None, folder: Path | None = None, size: int | None = None
) -> Run:
    run = Run("clip", Trained(), rate=1e-3, decay=0.05, average=0.99, folder=folder)
    eyes = compiled(run.model.clip.visual) if on_gpu() else run.model.clip.visual
    names = tokens([article(word) for word in world.words]).to(device())
    number = size or sized(cpu=BATCH, gpu=GPU_BATCH)

    def make(step: int, rng: np.random.Generator) -> dict[str, Any]:
        if on_gpu():
            return batch(world, rng, number)
        kind, side = "single" if step < SINGLES_FIRST else "", SMALL if step < SMALL_FIRST else SIDE
        return batch(world, rng, number, kind=kind, side=side)

    def loss(given: dict[str, Any], chance: torch.Generator) -> torch.Tensor:
        seen, plain = as_tensor(given["pictures"]), len(given["true"])
        seen = torch.cat([seen[:plain], recoloured(seen[plain:], chance)])
        # Which half is blurred is by chance.
        soft = soften(bent(seen, chance)[given["order"]], given["scale"], given["noise"], chance)
        seen = soft[given["order"].argsort()]
        return contrast(run.model, eyes, seen, given["said"], given["true"], given["there"], names)

    run.train(loss, make, name=21, minutes=minutes, steps=steps)
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
            for key, value in {**run.model.state_dict(), **run.weights()}.items()
            if key.startswith("clip.")
        }
        save_file(half, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
        tokenizer().save_pretrained(folder)
        keep_heads(weights_folder.WEIGHTS / target / "heads", folder)
        write_sums(folder)


def keep_heads(old: Path, folder: Path) -> None:
    """Take along the heads that were fitted to these very weights. Heads of other weights would judge by chance: they
    are left behind, and said."""
    weights = weights_version(folder)
    for head in sorted(old.glob("*.safetensors")):
        with safe_open(head, "pt") as opened:
            fitted_to = (opened.metadata() or {}).get("clip")
        if fitted_to == weights:
            (folder / "heads").mkdir(exist_ok=True)
            shutil.copy(head, folder / "heads")
        else:
            print(f"export: head {head.stem} is of another CLIP; fit it with training.heads --write", flush=True)
