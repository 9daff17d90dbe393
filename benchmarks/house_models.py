"""Measure the house models on combinations that they never saw: `python -m benchmarks.house_models [--out FOLDER]`.

Prints a report in Markdown and, with --out, writes the numbers as JSON and a contact sheet as PNG. The judge of
shapes was trained apart; where its state is not at hand the shapes are left out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from training import clip, drawings, judge
from training.colours import NAMES, name_index
from training.loop import STATE
from training.objects import EVERYDAY, LOOK_ALIKES, SOUGHT
from training.scenes import Combination, Scenes, anywhere, article, request
from training.weights_folder import WEIGHTS

STEPS, GUIDANCE = 20, 4.0


def background_of(picture: np.ndarray) -> str:
    """Name the colour that most pixels of the outer ring, 4 wide, have."""
    names = name_index(picture)
    ring = np.concatenate([names[:4].ravel(), names[-4:].ravel(), names[4:-4, :4].ravel(), names[4:-4, -4:].ravel()])
    return NAMES[int(np.bincount(ring, minlength=len(NAMES)).argmax())]


def main_colour_of(picture: np.ndarray) -> str:
    """Name the most frequent colour of the middle that is not the ring's; the ring's own if there is hardly any."""
    names = name_index(picture)[8:-8, 8:-8]
    counts = np.bincount(names.ravel(), minlength=len(NAMES))
    ground = NAMES.index(background_of(picture))
    others = counts.copy()
    others[ground] = 0
    return NAMES[int((others if others.sum() > 0.04 * counts.sum() else counts).argmax())]


def auc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """How often a sought picture scores above a harmless one. None where there is no pair."""
    if not len(positive) or not len(negative):
        return None
    return float((positive[:, None] > negative[None]).mean() + 0.5 * (positive[:, None] == negative[None]).mean())


class Clip:
    def __init__(self) -> None:
        import open_clip

        place = f"local-dir:{WEIGHTS / 'house-clip'}"
        self.model, _, self.transform = open_clip.create_model_and_transforms(place)
        self.tokens = open_clip.get_tokenizer(place)
        self.model.eval()

    @torch.no_grad()
    def pictures(self, pictures: list[Image.Image]) -> torch.Tensor:
        parts = [
            torch.stack([self.transform(one) for one in pictures[at : at + 64]]) for at in range(0, len(pictures), 64)
        ]
        return torch.cat([self.model.encode_image(part, normalize=True) for part in parts])

    @torch.no_grad()
    def texts(self, texts: list[str]) -> torch.Tensor:
        return self.model.encode_text(self.tokens(texts), normalize=True)


def zero_shot(eyes: Clip, pictures: list[Image.Image], words: list[str]) -> dict[str, Any]:
    """Score pictures, each known by its word, against every policy as the gate does: sought words against the
    look-alikes and everyday words, softmax, the sought share summed."""
    seen = eyes.pictures(pictures)
    report: dict[str, Any] = {}
    scale = float(eyes.model.logit_scale.detach().exp())
    for policy, things in SOUGHT.items():
        sought = [thing.word for thing in things]
        alike = [thing.word for thing in LOOK_ALIKES[policy]]
        texts = sought + alike + [thing.word for thing in EVERYDAY]
        logits = scale * seen @ eyes.texts([article(word) for word in texts]).T
        share = logits.softmax(1)[:, : len(sought)].sum(1).numpy()
        of = {
            "sought": np.array([s for s, w in zip(share, words, strict=True) if w in sought]),
            "alike": np.array([s for s, w in zip(share, words, strict=True) if w in alike]),
            "rest": np.array([s for s, w in zip(share, words, strict=True) if w not in sought]),
        }
        if not len(of["sought"]):
            report[policy] = {"pictures": 0}
            continue
        report[policy] = {
            "pictures": len(of["sought"]),
            "auc_look_alikes": auc(of["sought"], of["alike"]),
            "auc_all": auc(of["sought"], of["rest"]),
            "median_sought": float(np.median(of["sought"])),
            "median_look_alike": float(np.median(of["alike"])),
            "p99_rest": float(np.quantile(of["rest"], 0.99)),
            "caught_at_half": float((of["sought"] > 0.5).mean()),
            "false_at_half": float((of["rest"] > 0.5).mean()),
        }
    return report


def paint(pipeline: Any, prompts: list[str], seed: int) -> list[Image.Image]:
    painted: list[Image.Image] = []
    for at in range(0, len(prompts), 25):
        part = prompts[at : at + 25]
        chance = [torch.Generator().manual_seed(seed + at + i) for i in range(len(part))]
        painted += pipeline(part, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=chance).images
    return painted


def colours_right(pictures: list[np.ndarray], asked: list[Combination]) -> dict[str, float]:
    ground = np.array([background_of(one) for one in pictures])
    main = np.array([main_colour_of(one) for one in pictures])
    want_ground = np.array([one.background for one in asked])
    want_main = np.array([one.colour for one in asked])
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(len(asked)) for _ in range(200)]
    both = [((ground == want_ground[order]) & (main == want_main[order])).mean() for order in shuffled]
    return {
        "background": float((ground == want_ground).mean()),
        "main_colour": float((main == want_main).mean()),
        "both": float(((ground == want_ground) & (main == want_main)).mean()),
        "both_by_chance": float(np.mean(both)),
    }


def shapes_right(scenes: Scenes, pictures: list[np.ndarray], asked: list[str]) -> dict[str, float]:
    network = judge.load(len(scenes.words))
    with torch.no_grad():
        said = network(judge.prepare(clip.as_tensor(np.stack(pictures)))).topk(5).indices.cpu().numpy()
    true = np.array([scenes.words.index(word) for word in asked])
    return {"first": float((said[:, 0] == true).mean()), "first_five": float((said == true[:, None]).any(1).mean())}


def sheet(pictures: list[Image.Image], captions: list[str], path: Path) -> None:
    """Lay out pictures with their requests beneath, 8 in a row."""
    rows = (len(pictures) + 7) // 8
    canvas = Image.new("RGB", (8 * 140, rows * 164), "white")
    pen = ImageDraw.Draw(canvas)
    for index, (picture, words) in enumerate(zip(pictures, captions, strict=True)):
        left, top = index % 8 * 140 + 6, index // 8 * 164 + 6
        canvas.paste(picture.resize((128, 128), Image.Resampling.BICUBIC), (left, top))
        pen.text((left, top + 130), words.replace(" on ", "\non "), fill="black", font_size=11)
    canvas.quantize(255).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--skip-painter", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(2)
    scenes = Scenes(drawings.load())
    rng = np.random.default_rng(2026)
    held = [scenes.held_out[i] for i in rng.permutation(len(scenes.held_out))]
    report: dict[str, Any] = {}

    eyes = Clip()
    kept = [one for one in held]
    drawn = [scenes.draw(one, str(rng.choice(scenes.styles(one))), anywhere(rng)) for one in kept]
    report["clip_on_scenes"] = zero_shot(eyes, [Image.fromarray(one) for one in drawn], [one.word for one in kept])
    seen, read = eyes.pictures([Image.fromarray(one) for one in drawn]), eyes.texts([article(w) for w in scenes.words])
    right = [scenes.words[i] == one.word for i, one in zip((seen @ read.T).argmax(1), kept, strict=True)]
    report["clip_names_the_thing"] = float(np.mean(right))
    has_judge = (STATE / "judge.pt").is_file()
    if has_judge:
        report["judge_on_scenes"] = shapes_right(scenes, drawn, [one.word for one in kept])

    if not asked.skip_painter:
        from diffusers import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline.from_pretrained(
            WEIGHTS / "house-painter", local_files_only=True, use_safetensors=True
        )
        pipeline.set_progress_bar_config(disable=True)
        chosen = held[: asked.requests]
        pictures = paint(pipeline, [request(one) for one in chosen], seed=1)
        arrays = [np.asarray(one) for one in pictures]
        control = [scenes.draw(one, scenes.styles(one)[0]) for one in chosen]
        report["colours_painted"] = colours_right(arrays, chosen)
        report["colours_of_the_drawings_themselves"] = colours_right(control, chosen)
        if has_judge:
            report["shapes_painted"] = shapes_right(scenes, arrays, [one.word for one in chosen])
        names = eyes.pictures(pictures) @ read.T
        report["clip_names_the_painted_thing"] = float(
            np.mean([scenes.words[i] == one.word for i, one in zip(names.argmax(1), chosen, strict=True)])
        )
        gate_words = [t.word for g in (*SOUGHT.values(), *LOOK_ALIKES.values()) for t in g]
        policies = [one for word in gate_words for one in [c for c in scenes.combinations if c.word == word][::9][:5]]
        everyday = [one for one in chosen if one.word not in gate_words]
        gate = policies + everyday
        gate_pictures = paint(pipeline, [request(one) for one in gate], seed=5000)
        report["clip_on_painted"] = zero_shot(eyes, gate_pictures, [one.word for one in gate])
        start = time.perf_counter()
        paint(pipeline, ["a red apple on blue"], seed=7)
        report["seconds_for_one_picture"] = round(time.perf_counter() - start, 2)
        if asked.out:
            sheet(pictures[:48], [request(one) for one in chosen[:48]], asked.out / "house-painter.png")
    text = json.dumps(report, indent=2)
    print(text)
    if asked.out:
        (asked.out / "house-models.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
