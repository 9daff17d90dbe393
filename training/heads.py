"""The heads over the house CLIP: `python -m training.heads [--write]`, after the CLIP was exported.

`photographic`: photograph or drawing. `synthetic`: drawn by hand, or painted by the house painter. Both are logistic
regressions over the CLIP's embedding. For each demo policy `<code>.seen`: whether one of its things is there, alone or
among others, which no line parts well: a network with one hidden layer; with its threshold. What is printed was never
learnt from: photographs each left out in turn, combinations that were held out, a style of drawing (OpenMoji), other
painted pictures, another painter.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning

from moderation import policy_files
from moderation.classifiers.clip import Clip, weights_version
from moderation.policy import HOUSE_CLIP
from training.calibrate import (
    EVERY,
    POLICIES,
    SIDE,
    VERSION_DIGITS,
    WEIGHTS,
    for_the_painter,
    painted_pictures,
    pictures_of,
    some,
    unseen_style,
    words_of,
)
from training.colours import PAINTED as PAINTED_ON
from training.colours import Pixels
from training.shares import share
from training.weights_folder import write_sums
from training.world import sprites
from training.world.scenes import Item, Scene, World
from training.world.things import SOUGHT

FOLDER = WEIGHTS / "house-clip"
# Photographs that packages carry: scikit-learn's, matplotlib's, scikit-image's. All but two are in colour.
FROM_SKIMAGE = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "brick.png",
    "grass.png", "gravel.png", "moon.png", "hubble_deep_field.jpg", "coins.png",
)  # fmt: skip
CROPS = 60
# Of the harmless kind at most so much lies over the threshold that is proposed.
MOST_FALSE, MOST_FALSE_PAINTED = 0.02, 0.03
# What a policy's head learns from: drawn scenes, painted pictures beside half of those that are painted for CHECKED,
# and how often each of the painted is met, which are fewer, and what the gate sees most.
DRAWN, PAINTED, CHECKED, PAINTED_TIMES = 16_000, 3200, 800, 2
# Harmless things that are drawn like sought ones (a red apple with its stalk like a bomb painted red), each painted so
# many times more.
ALIKE_TIMES = 12
ALIKE = (
    "apple", "tomato", "cherries", "peach", "orange", "balloon", "ball", "basketball", "bell", "coconut", "pear",
    "lemon", "mango", "strawberry", "kiwi", "ladybug", "pencil", "umbrella", "key", "screwdriver", "wrench", "hammer",
    "saw", "feather", "crayon", "candle", "trumpet", "rocket", "comet", "carrot", "tea", "coffee", "milk", "trophy",
    "teapot", "jar", "candy", "mushroom", "water gun", "drop of water", "heart", "moon",
)  # fmt: skip
# Where the threshold of each policy's head lies, once its scores are shifted. Before that it is never below SUREST_NOT:
# what a head is all but sure is harmless is not asked about, however few things its policy has.
LEAST, SUREST_NOT = 0.5, 0.05


# What was asked for, and what was painted.
Painted = tuple[list[Scene], list[Pixels]]


def paint(world: World, number: int, *, seed: int) -> Painted:
    asked = for_the_painter(world, number, seed=seed)
    return asked, painted_pictures(asked, seed=seed)


def paint_alike(world: World, *, seed: int) -> Painted:
    """The things of ALIKE, each in its own colours before others."""
    rng, asked = np.random.default_rng(seed), []
    for word in ALIKE:
        for _ in range(ALIKE_TIMES):
            colour = str(rng.choice(world.natural[word] if rng.random() < 0.6 else world.colours[word]))
            asked.append(Scene(Item(word, colour), str(rng.choice([each for each in PAINTED_ON if each != colour]))))
    return asked, painted_pictures(asked, seed=seed)


def photographs() -> dict[str, Image.Image]:
    """By name. Raises ImportError where the packages are missing."""
    import matplotlib
    import skimage
    from sklearn.datasets import load_sample_image

    found = {name: Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")}
    data = Path(skimage.__file__).parent / "data"
    files = [Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"]
    files += [data / name for name in FROM_SKIMAGE]
    return found | {path.name: Image.open(path).convert("RGB") for path in files}


def crops(picture: Image.Image, number: int, rng: np.random.Generator) -> list[Image.Image]:
    """Parts of a picture, from a quarter of its shorter side to all of it."""
    found = []
    for _ in range(number):
        side = int(min(picture.size) * rng.uniform(0.25, 1.0))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        found.append(picture.crop((left, top, left + side, top + side)))
    return found


def as_files_come(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Resized and saved as people save: alike for both kinds, or the head would learn how they were saved."""
    side = int(rng.integers(72, 320))
    picture = picture.convert("RGB").resize((side, side), Image.Resampling(int(rng.choice([1, 2, 3]))))
    if rng.random() < 0.7:
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=int(rng.integers(50, 96)))
        picture = Image.open(data).convert("RGB")
    return picture


def drawn(world: World, number: int, rng: np.random.Generator, *, side: int = SIDE) -> list[Pixels]:
    scenes = some(world, number, learnt=None, seed=int(rng.integers(1 << 30)))
    return [world.draw(one, rng, side=side).picture for one in scenes]


def through(vae: Any, pictures: Sequence[Pixels]) -> list[Pixels]:
    """What an autoencoder makes of pictures."""
    made: list[Pixels] = []
    with torch.inference_mode():
        for at in range(0, len(pictures), 32):
            batch = torch.from_numpy(np.stack(pictures[at : at + 32])).permute(0, 3, 1, 2).float() / 127.5 - 1
            back = vae.decode(vae.encode(batch).latent_dist.mode()).sample
            made += list(((back.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).round().byte().numpy())
    return made


def embedded(eyes: Clip, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
    """Pictures through the gate's own CLIP: its embeddings, of length 1."""
    rows = []
    with torch.inference_mode():
        for at in range(0, len(pictures), 64):
            batch = torch.stack([eyes._transform(one) for one in pictures[at : at + 64]])
            rows.append(eyes._model.encode_image(batch, normalize=True).float().numpy())
    return np.concatenate(rows)


def reader(eyes: Clip) -> Callable[[Sequence[Pixels | Image.Image], np.random.Generator], NDArray[np.float32]]:
    """The embeddings of pictures as files come."""

    def read(pictures: Sequence[Pixels | Image.Image], rng: np.random.Generator) -> NDArray[np.float32]:
        whole = (one if isinstance(one, Image.Image) else Image.fromarray(one) for one in pictures)
        return embedded(eyes, [as_files_come(one, rng) for one in whole])

    return read


def fitted(yes: NDArray[np.float32], no: NDArray[np.float32]) -> Any:
    from sklearn.linear_model import LogisticRegression

    rows, labels = np.concatenate([yes, no]), np.r_[np.ones(len(yes)), np.zeros(len(no))]
    return LogisticRegression(C=30.0, class_weight="balanced", max_iter=3000).fit(rows, labels)


def told(name: str, line: Any, yes: NDArray[np.float32], no: NDArray[np.float32], least: float) -> None:
    """Print how well a line tells two kinds apart, and what of each lies over a threshold."""
    from sklearn.metrics import roc_auc_score

    scores = [line.predict_proba(each)[:, 1] for each in (yes, no)]
    area = roc_auc_score(np.r_[np.ones(len(yes)), np.zeros(len(no))], np.concatenate(scores))
    over = [(each >= least).mean() for each in scores]
    print(f"| {name} | {len(yes)}/{len(no)} | {area:.3f} | {over[0]:.1%} | {over[1]:.1%} |", flush=True)


def threshold(line: Any, no: NDArray[np.float32]) -> float:
    return float(np.quantile(line.predict_proba(no)[:, 1], 1 - MOST_FALSE))


def photographic(read: Any, world: World, painted: Sequence[Pixels], rng: np.random.Generator) -> tuple[Any, float]:
    """Photograph or drawing, and the threshold that MOST_FALSE of drawings lie over; printed for photographs that were
    each left out."""
    shown = {name: read(crops(picture, CROPS, rng), rng) for name, picture in photographs().items()}
    no = read([*drawn(world, 900, rng), *painted[:400]], rng)
    other = read([*drawn(world, 300, rng), *painted[400:500]], rng)
    scored = []
    for name in shown:
        line = fitted(np.concatenate([rows for key, rows in shown.items() if key != name]), no)
        scored.append((name, line.predict_proba(shown[name])[:, 1]))
    from sklearn.metrics import roc_auc_score

    line = fitted(np.concatenate(list(shown.values())), no)
    false = line.predict_proba(other)[:, 1]
    every = np.concatenate([scores for _, scores in scored])
    area = roc_auc_score(np.r_[np.ones(len(every)), np.zeros(len(false))], np.r_[every, false])
    least = threshold(line, other)
    print(f"photographic: AUC {area:.3f}, {len(every)} crops of {len(shown)} photographs, each left out in turn; "
          f"over {least:.2f} are {(every >= least).mean():.1%} of them and {MOST_FALSE:.0%} of drawings")  # fmt: skip
    for name, scores in scored:
        print(f"  {name:24} {(scores >= least).mean():6.1%} of its {len(scores)} crops", flush=True)
    return line, least


def synthetic(
    read: Any, world: World, learnt: Painted, checked: Painted, rng: np.random.Generator, other: Path | None
) -> tuple[Any, float]:
    """Painted or drawn, and the threshold that MOST_FALSE of drawings lie over. The drawings are of what was asked of
    the painter, so that only how they are made tells them apart; printed for `checked`, and what else was held out."""
    from diffusers import AutoencoderKL

    def drawings(scenes: Sequence[Scene], of: World = world) -> list[Pixels]:
        return [of.draw(one, rng, side=SIDE).picture for one in scenes]

    line = fitted(read(learnt[1], rng), read(drawings(learnt[0]), rng))
    fresh = read(drawings(checked[0]), rng)
    least = threshold(line, fresh)
    print(f"\nsynthetic, threshold {least:.2f}\n")
    print("| told apart | n | AUC | painted, over | drawn, over |\n|---|---|---|---|---|")
    told("other pictures of the painter", line, read(checked[1], rng), fresh, least)
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "house-painter" / "vae", local_files_only=True)
    told(
        "drawings that went through its autoencoder",
        line,
        read(through(vae, drawn(world, 300, rng)), rng),
        fresh,
        least,
    )
    unseen, scenes = unseen_style()
    told("its pictures, beside OpenMoji", line, read(checked[1], rng), read(drawings(scenes[::5], unseen), rng), least)
    if other:
        made = painted_pictures(checked[0][:400], seed=6, folder=other)
        told("another painter", line, read(made, rng), fresh, least)
    return line, least


# Embeddings, n x d, and which things each picture shows.
Shown = tuple[NDArray[np.float32], list[frozenset[str]]]


def shown_to(
    eyes: Clip, world: World, learnt: Painted, alike: Painted, checked: Painted
) -> tuple[Shown, dict[str, Shown]]:
    """What the heads of policies learn from: scenes drawn, `learnt`, `alike`, and every other of `checked`; and what
    they are checked with: combinations that were held out, OpenMoji, the rest of `checked`."""

    def seen(scenes: Sequence[Scene], pictures: Sequence[Pixels]) -> Shown:
        return embedded(eyes, [Image.fromarray(one) for one in pictures]), [words_of(one) for one in scenes]

    def drawn_of(scenes: list[Scene], seed: int, of: World = world) -> Shown:
        return seen(scenes, pictures_of(of, scenes, seed=seed))

    rows, words = drawn_of(some(world, DRAWN, learnt=True, seed=1), 1)
    (more, their), (like, those), (half, theirs) = seen(*learnt), seen(*alike), seen(*checked)
    more, their = np.concatenate([half[::2], like, more]), [*theirs[::2], *those, *their]
    unseen, scenes = unseen_style()
    kept = {
        "held-out combinations": drawn_of(some(world, 1200, learnt=False, seed=2), 2),
        "OpenMoji, never seen": drawn_of(scenes, 4, unseen),
        "painted": (half[1::2], theirs[1::2]),
    }
    return (np.concatenate([rows, *[more] * PAINTED_TIMES]), [*words, *their * PAINTED_TIMES]), kept


def of_policies(learnt: Shown, kept: dict[str, Shown]) -> dict[str, Any]:
    """For each demo policy what parts its things from all others, alone and among them; its scores shifted until at
    most MOST_FALSE of the harmless scenes and MOST_FALSE_PAINTED of the harmless painted lie over LEAST.

    Printed for each kind of picture that is kept; at the end what all policies together hold of what is harmless.
    """
    from sklearn.neural_network import MLPClassifier

    rows, words = learnt
    harmless = {kind: np.array([not one & EVERY for one in each]) for kind, (_, each) in kept.items()}
    held = {kind: np.zeros(len(each), bool) for kind, (_, each) in kept.items()}
    print("\n| policy | pictures | harmless, over | sought, over |\n|---|---|---|---|")
    found = {}
    for policy, sought in SOUGHT.items():
        net = MLPClassifier((64,), alpha=1e-2, learning_rate_init=2e-3, max_iter=40, random_state=0)
        with warnings.catch_warnings():
            # Stopped early on purpose: it is the second guard against learning by heart.
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(rows, [bool(one & sought) for one in words])
        scored = {kind: net.predict_proba(each)[:, 1] for kind, (each, _) in kept.items()}
        least = max(
            float(np.quantile(scored["held-out combinations"][harmless["held-out combinations"]], 1 - MOST_FALSE)),
            float(np.quantile(scored["painted"][harmless["painted"]], 1 - MOST_FALSE_PAINTED)),
            SUREST_NOT,
        )
        for kind, scores in scored.items():
            is_sought = np.array([bool(one & sought) for one in kept[kind][1]])
            over = [
                share(int((scores[which] >= least).sum()), int(which.sum())) for which in (harmless[kind], is_sought)
            ]
            print(f"| {policy} | {kind} | {over[0]} | {over[1]} |", flush=True)
            held[kind] |= scores >= least
        net.intercepts_[-1] = net.intercepts_[-1] - logit(least) + logit(LEAST)
        found[policy] = net
    for kind, over_any in held.items():
        which = harmless[kind]
        print(f"| any of them | {kind} | {share(int(over_any[which].sum()), int(which.sum()))} | |", flush=True)
    return found


def layers_of(line: Any) -> dict[str, torch.Tensor]:
    """What was fitted as the gate reads heads: `weight` and `bias`, or those of `layers.0`, `layers.1` and so on."""

    def kept(array: Any) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.float32).contiguous()

    if not hasattr(line, "coefs_"):
        return {"weight": kept(line.coef_), "bias": kept(line.intercept_)}
    found = {}
    for number, (weight, bias) in enumerate(zip(line.coefs_, line.intercepts_, strict=True)):
        found |= {f"layers.{number}.weight": kept(weight.T), f"layers.{number}.bias": kept(bias)}
    return found


def pin_condition(signal: str, version: str, least: float) -> None:
    """Write the threshold of a head into every combination of the policies that reads it."""
    row = re.compile(rf'(signal = "{re.escape(signal)}", model = "{HOUSE_CLIP}"), version = "\w+", at_least = [\d.]+')
    for path in POLICIES.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        pinned = row.sub(rf'\1, version = "{version[:VERSION_DIGITS]}", at_least = {least:.4f}', text)
        if pinned != text:
            path.write_text(pinned, encoding="utf-8")


def pin(policy: str, version: str, least: float) -> None:
    """Write the threshold of a head into its policy, in place of the last one or at the end."""
    path = POLICIES / f"{policy}.toml"
    row = (
        f'[[thresholds]]\nsignal = "{policy}.seen"\nmodel = "{HOUSE_CLIP}"\nversion = "{version[:VERSION_DIGITS]}"\n'
        f'subjects = ["upload", "medium"]\nreview = {least:.4f}\n'
    )
    text = path.read_text(encoding="utf-8")
    old = re.search(rf'\[\[thresholds\]\]\nsignal = "{re.escape(policy)}\.seen"\n(?:\w+ = .*\n)*', text)
    path.write_text(text.replace(old.group(), row) if old else f"{text.rstrip()}\n\n{row}", encoding="utf-8")


def write(name: str, line: Any) -> str:
    """Keep what was fitted as a head beside the CLIP. Returns its version."""
    (FOLDER / "heads").mkdir(exist_ok=True)
    path = FOLDER / "heads" / f"{name}.safetensors"
    save_file(layers_of(line), path, metadata={"clip": weights_version(FOLDER), "embedding": "unit"})
    path.chmod(0o644)
    write_sums(FOLDER)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.heads", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the heads beside the CLIP")
    parser.add_argument("--only", choices=["photographic", "synthetic", "policies"], help="one of them alone")
    parser.add_argument("--other", type=Path, help="the folder of another painter, to measure with")
    asked = parser.parse_args()
    rng, world = np.random.default_rng(7), World(sprites.load(sprites.JUDGED))
    eyes = Clip(FOLDER, policy_files.load(POLICIES))
    eyes.load()
    learnt, checked, read = paint(world, PAINTED, seed=15), paint(world, CHECKED, seed=5), reader(eyes)
    if asked.only in (None, "photographic"):
        line, least = photographic(read, world, learnt[1], rng)
        if asked.write:
            pin_condition("photographic", write("photographic", line), least)
    if asked.only in (None, "synthetic"):
        line, least = synthetic(read, world, learnt, checked, rng, asked.other)
        if asked.write:
            pin_condition("synthetic", write("synthetic", line), least)
    if asked.only in (None, "policies"):
        for policy, net in of_policies(*shown_to(eyes, world, learnt, paint_alike(world, seed=25), checked)).items():
            if asked.write:
                pin(policy, write(f"{policy}.seen", net), LEAST)


if __name__ == "__main__":
    main()
