"""How well a changed copy of what was refused is told from other pictures by the house CLIP, and how many of those are
lost to a perceptual hash: `python -m benchmarks.gate.likeness`. Needs the drawings (`python -m training.run data`)."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from moderation import policy_files
from moderation.classifiers.clip import Clip
from moderation.policy import LIKE_REFUSED
from moderation.provenance.hashes import NEAR
from moderation.provenance.pdq import pdq, turned
from training.calibrate import POLICIES, WEIGHTS, some
from training.heads import embedded
from training.shares import share
from training.world import sprites
from training.world.scenes import World

REFUSED, OTHERS, SIDE = 200, 2000, 256


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


def cut(picture: Image.Image, part: float) -> Image.Image:
    away = int(picture.width * part)
    return picture.crop((away, away, picture.width - away, picture.height - away)).resize(picture.size)


def turn(picture: Image.Image, degrees: float) -> Image.Image:
    ground = tuple(int(part) for part in np.asarray(picture)[0, 0])
    return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=ground)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 30": lambda picture: jpeg(picture, 30),
    "halved": lambda picture: picture.resize((SIDE // 2, SIDE // 2)),
    "cut by 5 % at each edge": lambda picture: cut(picture, 0.05),
    "cut by 10 % at each edge": lambda picture: cut(picture, 0.10),
    "turned by 3 degrees": lambda picture: turn(picture, 3),
    "turned by 10 degrees": lambda picture: turn(picture, 10),
    "mirrored": ImageOps.mirror,
    "darker by a fifth": lambda picture: ImageEnhance.Brightness(picture).enhance(0.8),
    "grey": lambda picture: ImageOps.grayscale(picture).convert("RGB"),
}


def main() -> None:
    world, rng, house = World(sprites.load()), np.random.default_rng(5), policy_files.load(POLICIES)
    (least,) = {one.review for _, one in house.thresholds("medium") if one.signal == LIKE_REFUSED}
    eyes = Clip(WEIGHTS / "house-clip", house)
    eyes.load()

    def drawn(number: int, seed: int) -> list[Image.Image]:
        scenes = some(world, number, learnt=None, seed=seed)
        return [Image.fromarray(world.draw(scene, rng, side=SIDE).picture) for scene in scenes]

    refused = drawn(REFUSED, 77)
    vectors = embedded(eyes, refused)
    ways = [[int(way.digits, 16) for way in turned(picture)] for picture in refused]
    print(f"threshold {least}\n\n| a copy that was | known by the CLIP | known by its hash |\n|---|---|---|")
    for name, change in CHANGES.items():
        copies = [change(picture) for picture in refused]
        near = int(((vectors * embedded(eyes, copies)).sum(1) >= least).sum())
        hashes = [int(pdq(copy).digits, 16) for copy in copies]
        same = sum(min((way ^ one).bit_count() for way in each) <= NEAR for one, each in zip(hashes, ways, strict=True))
        print(f"| {name} | {share(near, REFUSED)} | {share(same, REFUSED)} |", flush=True)
    cosines = embedded(eyes, drawn(OTHERS, 78)) @ vectors.T
    over = int((cosines >= least).sum())
    among = int((cosines >= least).any(1).sum())
    print(f"\nother pictures: {over} of {cosines.size:,} pairs ({over / cosines.size:.1e}) lie over it")
    print(f"{share(among, OTHERS)} are like one of {REFUSED} that were refused")


if __name__ == "__main__":
    main()
