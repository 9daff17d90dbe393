"""Fit the scores of the house CLIP to the policies: `python -m training.calibrate [--write] [--no-painter]`.

Run it after the CLIP was trained, and again when the painter is better. Without --write it only measures.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from moderation.classifiers.house_clip import HouseClip
from moderation.policy import Policy, PolicySet, Threshold
from training import clip, drawings
from training.objects import SOUGHT
from training.scenes import Combination, Scenes, anywhere, request
from training.shares import share
from training.weights_folder import WEIGHTS

POLICIES = Path(__file__).resolve().parent.parent / "moderation" / "policies"
# Of the harmless pictures of a kind, at most this share may reach a person. Painted ones are few: a looser bound.
MOST_HELD = {"scenes": 0.015, "painted": 0.03}
# And at most this share may be refused outright.
MOST_BLOCKED = 0.003
COOLEST = 0.01
VERSION_DIGITS = 16


@dataclass(frozen=True)
class Seen:
    """Pictures of one kind: what each shows, and its margin for each policy."""

    kind: str
    words: NDArray[np.str_]
    margins: dict[str, NDArray[np.float64]]

    def of(self, policy: str, *, sought: bool) -> NDArray[np.float64]:
        shows = np.isin(self.words, [thing.word for thing in SOUGHT[policy]])
        return self.margins[policy][shows == sought]

    def harmless(self, policy: str) -> NDArray[np.float64]:
        """The margins of what no policy looks for."""
        every = [thing.word for things in SOUGHT.values() for thing in things]
        return self.margins[policy][~np.isin(self.words, every)]


@dataclass(frozen=True)
class Fit:
    bias: float
    temperature: float

    def score(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-(margins - self.bias) / self.temperature))


def scene_pictures(scenes: Scenes, chosen: Sequence[Combination], *, seed: int) -> list[Image.Image]:
    """Draw scenes anywhere in the picture; half of them blurred, all with some noise, as what the painter makes."""
    rng = np.random.default_rng(seed)
    drawn = [scenes.draw(one, str(rng.choice(scenes.styles(one))), anywhere(rng)) for one in chosen]
    shuffled = rng.permutation(len(drawn))
    soft = torch.empty(len(drawn), 3, *drawn[0].shape[:2])
    for at in range(0, len(drawn), clip.BATCH):
        part = shuffled[at : at + clip.BATCH]
        soft[part] = clip.soften(clip.as_tensor(np.stack([drawn[index] for index in part])), rng).cpu()
    pixels = (soft.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return [Image.fromarray(one) for one in pixels]


def is_sought(combination: Combination) -> bool:
    return any(combination.word == thing.word for things in SOUGHT.values() for thing in things)


def painted_pictures(chosen: Sequence[Combination], *, seed: int) -> list[Image.Image]:
    """Let the house painter paint the requests of the combinations."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        WEIGHTS / "house-painter", local_files_only=True, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    painted: list[Image.Image] = []
    for at in range(0, len(chosen), 24):
        part = [request(one) for one in chosen[at : at + 24]]
        chance = [torch.Generator().manual_seed(seed + at + index) for index in range(len(part))]
        painted += pipeline(part, num_inference_steps=20, guidance_scale=4.0, generator=chance).images
    return painted


def margins_of(house: PolicySet) -> Callable[[Sequence[Image.Image]], dict[str, NDArray[np.float64]]]:
    """A reader of margins that goes through the gate's own classifier: its score with bias 0 and temperature 1."""

    def plain(policy: Policy) -> Policy:
        concept = policy.concept and dataclasses.replace(policy.concept, bias=0.0, temperature=1.0)
        return dataclasses.replace(policy, concept=concept)

    eyes = HouseClip(WEIGHTS / "house-clip", PolicySet(tuple(plain(one) for one in house), house.version))
    eyes.load()

    def read(pictures: Sequence[Image.Image]) -> dict[str, NDArray[np.float64]]:
        signals = [one for at in range(0, len(pictures), 64) for one in eyes.screen(pictures[at : at + 64])]
        scores = {code: [one.score for row in signals for one in row if one.name == code] for code in SOUGHT}
        return {code: np.log(np.array(row) / (1 - np.array(row))) for code, row in scores.items()}

    return read


def platt(sought: NDArray[np.float64], other: NDArray[np.float64]) -> Fit:
    """Fit a logistic curve to the margins, both classes weighing alike, with Platt's softened targets."""
    margins = torch.from_numpy(np.concatenate([sought, other]))
    high, low = (len(sought) + 1) / (len(sought) + 2), 1 / (len(other) + 2)
    target = torch.tensor([high] * len(sought) + [low] * len(other), dtype=torch.float64)
    weight = torch.tensor([1 / len(sought)] * len(sought) + [1 / len(other)] * len(other), dtype=torch.float64)
    curve = torch.tensor([1 / 0.05, 0.0], dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([curve], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            curve[0] * margins + curve[1], target, weight=weight, reduction="sum"
        )
        value.backward()
        return value

    search.step(loss)
    slope, shift = curve.detach().tolist()
    return Fit(-shift / slope, max(1 / slope, COOLEST)) if slope > 0 else Fit(float(np.median(sought)), 0.1)


def fit(policy: str, threshold: Threshold, kinds: Sequence[Seen]) -> Fit:
    """Fit one policy.

    1. Platt's curve over the scenes, which have things of every policy in known numbers.
    2. Where it may block: hot enough that hardly a harmless picture reaches that far.
    3. Shifted until, of each kind of picture, no more than MOST_HELD of the harmless ones reach the review.
    """
    scenes = kinds[0]
    curve = platt(scenes.of(policy, sought=True), scenes.of(policy, sought=False))
    allowed = max(float(np.quantile(kind.harmless(policy), 1 - MOST_HELD[kind.kind])) for kind in kinds)
    temperature = curve.temperature
    review = math.log(threshold.review / (1 - threshold.review))
    if threshold.block is not None:
        never = max(float(np.quantile(kind.harmless(policy), 1 - MOST_BLOCKED)) for kind in kinds)
        block = math.log(threshold.block / (1 - threshold.block))
        temperature = max(temperature, (never - allowed) / (block - review))
    bias = max(curve.bias, allowed - temperature * review)
    return Fit(round(bias, 4), round(temperature, 4))


def clip_threshold(policy: Policy) -> Threshold:
    return next(one for one in policy.thresholds if one.model == HouseClip.name)


def table(house: PolicySet, fits: dict[str, Fit], kinds: Sequence[Seen]) -> list[str]:
    """One line for each policy and kind of picture, in Markdown."""
    lines = [
        "| policy | pictures | harmless, held | harmless, blocked | sought, held or blocked |",
        "|---|---|---|---|---|",
    ]
    for code, fitted in fits.items():
        policy = house.named(code)
        assert policy is not None
        threshold = clip_threshold(policy)
        for kind in kinds:
            harmless, sought = fitted.score(kind.harmless(code)), fitted.score(kind.of(code, sought=True))
            held, found = int((harmless >= threshold.review).sum()), int((sought >= threshold.review).sum())
            block = 2.0 if threshold.block is None else threshold.block
            blocked = "never" if threshold.block is None else share(int((harmless >= block).sum()), len(harmless))
            lines.append(
                f"| {code} | {kind.kind} | {share(held, len(harmless))} | {blocked} | {share(found, len(sought))} |"
            )
    for kind in kinds:
        over = [
            fits[code].score(kind.harmless(code)) >= clip_threshold(policy).review
            for policy in house
            if (code := policy.code) in fits
        ]
        lines.append(f"| any | {kind.kind} | {share(int(np.any(over, axis=0).sum()), len(over[0]))} | | |")
    return lines


def write(fits: dict[str, Fit], version: str) -> None:
    """Put the numbers and the version of the weights into the policy files, and leave every other line alone."""
    for code, fitted in fits.items():
        path = POLICIES / f"{code}.toml"
        text = path.read_text(encoding="utf-8")
        pinned = f'version = "{version[:VERSION_DIGITS]}"'
        text = re.sub(r"(?m)^bias = .*$", f"bias = {fitted.bias}", text)
        text = re.sub(r"(?m)^temperature = .*$", f"temperature = {fitted.temperature}", text)
        text = re.sub(r'(?m)^(model = "house-clip")\n(version = .*\n)?', rf"\1\n{pinned}\n", text)
        path.write_text(text, encoding="utf-8")


def collect(house: PolicySet, scenes: Scenes, *, painter: bool) -> tuple[list[Seen], list[Seen], str]:
    """Draw, paint and look. What to fit on, what to measure with, and the version of the CLIP."""
    read = margins_of(house)
    rng = np.random.default_rng(2026)
    learnt = [scenes.learnt[index] for index in rng.permutation(len(scenes.learnt))]
    sought, harmless = [one for one in learnt if is_sought(one)], [one for one in learnt if not is_sought(one)]

    def seen(kind: str, chosen: list[Combination], pictures: list[Image.Image]) -> Seen:
        return Seen(kind, np.array([one.word for one in chosen]), read(pictures))

    def drawn(kind: str, chosen: list[Combination], seed: int) -> Seen:
        return seen(kind, chosen, scene_pictures(scenes, chosen, seed=seed))

    to_fit = [drawn("scenes", 3 * sought + harmless[:1800], 1)]
    to_check = [
        drawn("held-out combinations", 3 * scenes.held_out, 2),
        drawn("learnt combinations, drawn anew", sought + harmless[1800:2600], 3),
    ]
    if painter:
        asked = sought[:192] + harmless[:1008]
        painted = painted_pictures(asked, seed=4)
        to_fit.append(seen("painted", asked[::2], painted[::2]))
        to_check.append(seen("painted", asked[1::2], painted[1::2]))
    from moderation.classifiers.house_clip import weights_version

    return to_fit, to_check, weights_version(WEIGHTS / "house-clip")


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.calibrate", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the numbers into moderation/policies")
    parser.add_argument("--no-painter", action="store_true", help="fit on scenes alone")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    os.nice(max(0, 10 - os.nice(0)))
    torch.set_num_threads(asked.threads)
    if not drawings.has_emoji():
        raise SystemExit("The drawings are missing: run `python -m training.run data` first")
    house = PolicySet.load(POLICIES)
    painter = not asked.no_painter and (WEIGHTS / "house-painter" / "model_index.json").is_file()
    to_fit, to_check, version = collect(house, Scenes(drawings.load()), painter=painter)
    fits = {one.code: fit(one.code, clip_threshold(one), to_fit) for one in house if one.code in SOUGHT}
    for code, fitted in fits.items():
        print(f"{code}: bias {fitted.bias}, temperature {fitted.temperature}")
    print(f"house-clip {version[:VERSION_DIGITS]}")
    print("\n".join(table(house, fits, to_check)))
    if asked.write:
        write(fits, version)


if __name__ == "__main__":
    main()
