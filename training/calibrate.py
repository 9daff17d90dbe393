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

from generation.engine.calls import guidance_rescale
from moderation import policy_files
from moderation.classifiers.clip import Clip, weights_version
from moderation.policy import HOUSE_CLIP, LIKE_REFUSED, Policy, PolicySet, Threshold
from training.colours import Pixels
from training.models import clip
from training.shares import share
from training.weights_folder import WEIGHTS
from training.world import sprites
from training.world.captions import article, request
from training.world.scenes import Item, Scene, World
from training.world.things import SOUGHT

POLICIES = Path(__file__).resolve().parent.parent / "moderation" / "policies"
# Of the harmless pictures of a kind, at most this share may reach a person. Painted ones are few: a looser bound.
MOST_HELD = {"scenes": 0.015, "painted": 0.03}
# And at most this share may be refused outright.
MOST_BLOCKED = 0.003
COOLEST = 0.01
VERSION_DIGITS = 16
SIDE = 128
EVERY = frozenset().union(*SOUGHT.values())


@dataclass(frozen=True)
class Seen:
    """Pictures of one kind: which things each shows, and its margin for each policy."""

    kind: str
    words: tuple[frozenset[str], ...]
    margins: dict[str, NDArray[np.float64]]

    def of(self, policy: str, *, sought: bool) -> NDArray[np.float64]:
        shows = np.array([bool(words & SOUGHT[policy]) for words in self.words])
        return self.margins[policy][shows == sought]

    def harmless(self, policy: str) -> NDArray[np.float64]:
        """The margins of what no policy looks for."""
        return self.margins[policy][np.array([not words & EVERY for words in self.words])]


@dataclass(frozen=True)
class Fit:
    bias: float
    temperature: float

    def score(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-(margins - self.bias) / self.temperature))


def words_of(scene: Scene) -> frozenset[str]:
    return frozenset(item.word for item in scene.items)


def some(world: World, number: int, *, learnt: bool | None, seed: int) -> list[Scene]:
    """Scenes of all kinds; every third shows something that a policy looks for."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < number:
        scene = world.sample(rng, learnt=learnt)
        if bool(words_of(scene) & EVERY) == (len(found) % 3 == 0):
            found.append(scene)
    return found


def pictures_of(world: World, scenes: Sequence[Scene], *, seed: int) -> list[Pixels]:
    """The scenes drawn; half of them blurred, all with some noise, as what the painter makes."""
    rng, chance = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    shown: list[Pixels] = []
    for at in range(0, len(scenes), 64):
        drawn = clip.as_tensor(clip.pictures(world, scenes[at : at + 64], rng, side=SIDE))
        order = torch.randperm(len(drawn), generator=chance)
        noise = float(rng.uniform(0, 0.06))
        soft = clip.soften(drawn[order].cpu(), float(rng.uniform(0.3, 0.9)), noise, chance)[order.argsort()]
        shown += list((soft.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8))
    return shown


def for_the_painter(world: World, number: int, *, seed: int) -> list[Scene]:
    """Scenes of one kind of thing: of two together the house painter too often paints something else."""
    scenes = some(world, 3 * number, learnt=None, seed=seed)
    return [one for one in scenes if one.second is None][:number]


def painted_pictures(scenes: Sequence[Scene], *, seed: int, folder: Path = WEIGHTS / "house-painter") -> list[Pixels]:
    """Let the house painter, or another one, paint the requests of the scenes, with the defaults of its card."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    pipeline.set_progress_bar_config(disable=True)
    painted: list[Pixels] = []
    for at in range(0, len(scenes), 24):
        part = [request(one) for one in scenes[at : at + 24]]
        chance = [torch.Generator().manual_seed(seed + at + index) for index in range(len(part))]
        made = pipeline(
            part,
            num_inference_steps=20,
            guidance_scale=6.0,
            guidance_rescale=guidance_rescale(pipeline),
            generator=chance,
        ).images
        painted += [np.asarray(one) for one in made]
    return painted


def margins_of(house: PolicySet) -> Callable[[Sequence[Pixels]], dict[str, NDArray[np.float64]]]:
    """A reader of margins that goes through the gate's own classifier: its score with bias 0 and temperature 1."""

    def plain(policy: Policy) -> Policy:
        concept = policy.concept and dataclasses.replace(
            policy.concept, bias=0.0, temperature=1.0, **concept_of(policy.code)
        )
        return dataclasses.replace(policy, concept=concept)

    eyes = Clip(WEIGHTS / "house-clip", PolicySet(tuple(plain(one) for one in house), house.version))
    eyes.load()

    def read(pictures: Sequence[Pixels]) -> dict[str, NDArray[np.float64]]:
        shown = [Image.fromarray(one) for one in pictures]
        signals = [one for at in range(0, len(shown), 64) for one in eyes.screen(shown[at : at + 64])]
        scores = {code: [one.score for row in signals for one in row if one.name == code] for code in SOUGHT}
        return {code: np.log(np.array(row) / (1 - np.array(row))) for code, row in scores.items()}

    return read


def concept_of(code: str) -> dict[str, tuple[str, ...]]:
    """What a policy looks for, and everything else that the CLIP knows."""
    known = sorted({word for word, _ in sprites.load()})
    sought = SOUGHT[code]
    return {
        "exemplars": tuple(article(word) for word in sorted(sought)),
        "lookalikes": tuple(article(word) for word in known if word not in sought),
    }


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
    return next(one for one in policy.thresholds if one.model == HOUSE_CLIP)


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


def _list(name: str, phrases: Sequence[str]) -> str:
    """A TOML list in lines of bounded length."""
    lines, line = [], " "
    for phrase in phrases:
        if len(line) + len(phrase) > 110:
            lines.append(line)
            line = " "
        line += f' "{phrase}",'
    return "\n".join([f"{name} = [", *lines, line, "]"])


def write(fits: dict[str, Fit], version: str) -> None:
    """Put the words, the numbers and the version of the weights into the policy files, and leave the rest alone."""
    for code, fitted in fits.items():
        path = POLICIES / f"{code}.toml"
        before, mark, text = path.read_text(encoding="utf-8").partition("[concept]")
        for name, phrases in concept_of(code).items():
            text = re.sub(rf"(?ms)^{name} = \[.*?\]$", _list(name, phrases), text, count=1)
        pinned = f'version = "{version[:VERSION_DIGITS]}"'
        text = re.sub(r"(?m)^bias = .*$", f"bias = {fitted.bias}", text)
        text = re.sub(r"(?m)^temperature = .*$", f"temperature = {fitted.temperature}", text)
        mine = rf'(?m)^(signal = "{re.escape(code)}"\nmodel = "house-clip")\n(version = .*\n)?'
        text = re.sub(mine, rf"\1\n{pinned}\n", text)
        path.write_text(before + mark + text, encoding="utf-8")
    known = POLICIES / "known.toml"
    mine = rf'(signal = "{LIKE_REFUSED}"\nmodel = "{HOUSE_CLIP}")\nversion = ".*"'
    text = re.sub(mine, rf'\1\nversion = "{version[:VERSION_DIGITS]}"', known.read_text(encoding="utf-8"))
    known.write_text(text, encoding="utf-8")


def unseen_style() -> tuple[World, list[Scene]]:
    """OpenMoji's drawings, which nothing was learnt from: each thing in each of its colours once, on a ground."""
    world, rng = World(sprites.load(sprites.UNSEEN)), np.random.default_rng(8)
    scenes = []
    for word in world.words:
        for colour in world.colours[word]:
            ground = str(rng.choice([each for each in ("red", "green", "blue", "white", "black") if each != colour]))
            scenes.append(Scene(Item(word, colour), ground))
    return world, scenes


def collect(house: PolicySet, world: World, *, painter: bool) -> tuple[list[Seen], list[Seen], str]:
    """Draw, paint and look. What to fit on, what to measure with, and the version of the CLIP."""
    read = margins_of(house)

    def seen(kind: str, scenes: Sequence[Scene], pictures: Sequence[Pixels]) -> Seen:
        return Seen(kind, tuple(words_of(one) for one in scenes), read(pictures))

    def drawn(kind: str, scenes: list[Scene], seed: int, of: World = world) -> Seen:
        return seen(kind, scenes, pictures_of(of, scenes, seed=seed))

    unseen, scenes = unseen_style()
    to_fit = [drawn("scenes", some(world, 3000, learnt=True, seed=1), 1)]
    to_check = [
        drawn("held-out combinations", some(world, 1200, learnt=False, seed=2), 2),
        drawn("learnt combinations, drawn anew", some(world, 1200, learnt=True, seed=3), 3),
        drawn("OpenMoji, never seen", scenes, 4, unseen),
    ]
    if painter:
        asked = for_the_painter(world, 800, seed=5)
        painted = painted_pictures(asked, seed=5)
        to_fit.append(seen("painted", asked[::2], painted[::2]))
        to_check.append(seen("painted", asked[1::2], painted[1::2]))
    return to_fit, to_check, weights_version(WEIGHTS / "house-clip")


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.calibrate", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write words and numbers into moderation/policies")
    parser.add_argument("--no-painter", action="store_true", help="fit on scenes alone")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    os.nice(max(0, 10 - os.nice(0)))
    torch.set_num_threads(asked.threads)
    if not sprites.is_ready(sprites.SETS):
        raise SystemExit("The drawings are missing: run `python -m training.run data` first")
    house = policy_files.load(POLICIES)
    painter = not asked.no_painter and (WEIGHTS / "house-painter" / "model_index.json").is_file()
    to_fit, to_check, version = collect(house, World(sprites.load(sprites.JUDGED)), painter=painter)
    fits = {one.code: fit(one.code, clip_threshold(one), to_fit) for one in house if one.code in SOUGHT}
    for code, fitted in fits.items():
        print(f"{code}: bias {fitted.bias}, temperature {fitted.temperature}")
    print(f"house-clip {version[:VERSION_DIGITS]}")
    print("\n".join(table(house, fits, to_check)))
    if asked.write:
        write(fits, version)


if __name__ == "__main__":
    main()
