"""How well faces are told apart: `python -m benchmarks.gate.faces [FOLDER]`.

FOLDER holds photographs named after who is shown: anna.jpg, anna2.jpg, ben.jpg. Without it the two that packages carry
are used. n is small, whatever the folder: read it as a check, and not as an error rate.
"""

from __future__ import annotations

import argparse
import io
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from moderation.classifiers.faces import HALF, Faces
from training.shares import share
from training.weights_folder import WEIGHTS
from training.world import sprites
from training.world.scenes import World

DRAWINGS = 400


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


def _noisy(picture: Image.Image) -> Image.Image:
    rng = np.random.default_rng(0)
    values = np.asarray(picture, np.float32) + rng.normal(0, 20, (picture.height, picture.width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 30": lambda one: _jpeg(one, 30),
    "half as large": lambda one: one.resize((one.width // 2, one.height // 2)),
    "a quarter as large": lambda one: one.resize((one.width // 4, one.height // 4)),
    "mirrored": ImageOps.mirror,
    "grey": lambda one: ImageOps.grayscale(one).convert("RGB"),
    "half as bright": lambda one: ImageEnhance.Brightness(one).enhance(0.5),
    "turned by 15 degrees": lambda one: one.rotate(15),
    "turned by 30 degrees": lambda one: one.rotate(30),
    "turned by 90 degrees": lambda one: one.rotate(90, expand=True),
    "blurred": lambda one: one.filter(ImageFilter.GaussianBlur(max(one.size) / 200)),
    "stretched by a quarter": lambda one: one.resize((one.width, round(one.height * 0.75))),
    "four colours a channel": lambda one: ImageOps.posterize(one, 2),
    "noise": _noisy,
}


def packaged() -> dict[str, Image.Image]:
    import matplotlib
    import skimage

    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    files = {"hopper": hopper, "collins": Path(skimage.__file__).parent / "data" / "astronaut.png"}
    return {name: Image.open(path).convert("RGB") for name, path in files.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gate.faces", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args().folder
    pictures = packaged()
    if folder:
        files = sorted(path for path in folder.iterdir() if path.suffix in {".jpg", ".jpeg", ".png"})
        pictures |= {path.stem: Image.open(path).convert("RGB") for path in files}
    faces = Faces(WEIGHTS / "face-descriptor")
    faces.load()
    known: dict[str, np.ndarray] = {}
    took = []
    for name, picture in pictures.items():
        began = time.perf_counter()
        found = faces.faces(picture)
        took.append(1000 * (time.perf_counter() - began))
        if found:
            known[name] = np.array(found[0].descriptor)
    print(
        f"found a face in {share(len(known), len(pictures))} of the photographs, {statistics.median(took):.0f} ms each"
    )
    print(f"\n| the same photograph, {len(known)} of them | known again | farthest |\n|---|---|---|")
    for way, change in WAYS.items():
        apart = []
        for name, descriptor in known.items():
            found = faces.faces(change(pictures[name]))
            nearest = min((float(np.linalg.norm(descriptor - one.descriptor)) for one in found), default=float("inf"))
            apart.append(nearest)
        print(f"| {way} | {share(sum(one <= HALF for one in apart), len(apart))} | {max(apart):.2f} |")
    who = {name: re.split(r"[\d_]", name)[0] for name in known}
    pairs: dict[bool, list[float]] = defaultdict(list)
    for one, other in combinations(known, 2):
        pairs[who[one] == who[other]].append(float(np.linalg.norm(known[one] - known[other])))
    for is_same, distances in sorted(pairs.items(), reverse=True):
        near = sum(one <= HALF for one in distances)
        ends = f"{min(distances):.2f} to {max(distances):.2f}"
        whose = "other photographs of one person" if is_same else "different people"
        print(f"\n{whose}: {share(near, len(distances))} within {HALF:g}; distances {ends}")
    if sprites.is_ready(sprites.SETS):
        rng, world = np.random.default_rng(0), World(sprites.load(sprites.SETS))
        drawn = [world.draw(world.sample(rng, learnt=None), rng, side=128).picture for _ in range(DRAWINGS)]
        taken = sum(signal.score >= 0.6 for one in drawn for signal in faces.screen([Image.fromarray(one)])[0]
                    if signal.name == "face")  # fmt: skip
        print(f"\ndrawings taken for a face (0.6 and more): {share(taken, DRAWINGS)}")


if __name__ == "__main__":
    main()
