"""What becomes of the invisible watermark: `python -m benchmarks.gate.watermark [FOLDER] [--cuts N] [--part PART ...]`.

Photographs are those that installed packages carry, and the pictures in FOLDER. Of each N squares of 512 pixels are cut
out at random, marked, and damaged in every way below; a row says in how many the mark was found again. The same for
what the house painter draws. False alarms are counted in pictures without a mark.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from moderation.provenance.watermark import GAINS, Watermark
from training.shares import share

CARRIED = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
SIDE = 512
PARTS = ("photographs", "drawings", "alarms")
THINGS = ("a red apple", "a blue car", "a yellow star", "a green tree", "a pink cat", "an orange boat")
GROUNDS = ("blue", "white", "yellow", "green")
Change = Callable[[Image.Image], Image.Image]


def jpeg(quality: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        written = io.BytesIO()
        picture.save(written, "JPEG", quality=quality)
        return Image.open(written).convert("RGB")

    return change


def scaled(by: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        size = round(picture.width * by), round(picture.height * by)
        return picture.resize(size, Image.Resampling.LANCZOS)

    return change


def cropped(kept: float, right: float, down: float) -> Change:
    """So much of each side is kept; right and down say where, 0 to 1."""

    def change(picture: Image.Image) -> Image.Image:
        width, height = round(picture.width * kept), round(picture.height * kept)
        left, top = round((picture.width - width) * right), round((picture.height - height) * down)
        return picture.crop((left, top, left + width, top + height))

    return change


def after(*changes: Change) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        for each in changes:
            picture = each(picture)
        return picture

    return change


DAMAGES: dict[str, Change] = {
    "as it is": after(),
    "JPEG 50": jpeg(50),
    "halved": scaled(0.5),
    "10 % of each side cut off": cropped(0.9, 1, 0),
    "JPEG 50, then halved": after(jpeg(50), scaled(0.5)),
    "10 % cut off, JPEG 50": after(cropped(0.9, 0, 1), jpeg(50)),
    "halved, JPEG 50": after(scaled(0.5), jpeg(50)),
    "10 % cut off, halved, JPEG 50": after(cropped(0.9, 0.5, 0.5), scaled(0.5), jpeg(50)),
    "made larger by half, JPEG 70": after(scaled(1.5), jpeg(70)),
    "a quarter of each side cut off": cropped(0.75, 0.3, 0.7),
    "half of each side cut off": cropped(0.5, 0.5, 0.5),
    "mirrored": ImageOps.mirror,
}


def photographs(folder: Path | None) -> Iterator[tuple[str, Image.Image]]:
    for package, name in CARRIED:
        found = importlib.util.find_spec(package)
        assert found is not None
        assert found.origin is not None
        yield name, Image.open(Path(found.origin).parent / name).convert("RGB")
    for path in sorted(folder.iterdir()) if folder else ():
        yield path.name, Image.open(path).convert("RGB")


def cuts(picture: Image.Image, number: int, chance: np.random.Generator) -> Iterator[Image.Image]:
    """Squares out of a photograph, each from a place and of a scale of its own."""
    for _ in range(number):
        side = round(min(picture.size) * chance.uniform(0.6, 1))
        left, top = (int(chance.integers(0, length - side + 1)) for length in picture.size)
        yield picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, (left, top, left + side, top + side))


def drawings() -> list[Image.Image]:
    """What the house painter draws, delivered as its card says."""
    # It brings PyTorch and diffusers, which photographs do not need.
    from benchmarks.house_models.asking import Painter

    prompts = [f"{thing} on {ground}" for ground in GROUNDS for thing in THINGS]
    pictures = Painter().ask("text_to_image", prompts, seed=2026)
    return [Image.fromarray(each[0]).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for each in pictures]


def alike(one: Image.Image, other: Image.Image) -> tuple[float, float]:
    """PSNR in dB, and the mean SSIM of the brightness over windows of 8 pixels (Wang et al., 2004)."""
    pair = [np.asarray(each, dtype=np.float64) for each in (one, other)]
    psnr = 10 * np.log10(255**2 / np.mean((pair[0] - pair[1]) ** 2))
    a, b = (np.asarray(each.convert("L"), dtype=np.float64) for each in (one, other))

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        return (sums[8:, 8:] - sums[:-8, 8:] - sums[8:, :-8] + sums[:-8, :-8]) / 64

    (ma, mb), (c1, c2) = (mean(a), mean(b)), (2.55**2, 7.65**2)
    varied, together = mean(a * a) - ma**2 + mean(b * b) - mb**2, mean(a * b) - ma * mb
    ssim = (2 * ma * mb + c1) * (2 * together + c2) / ((ma**2 + mb**2 + c1) * (varied + c2))
    return float(psnr), float(ssim.mean())


def recovered(mark: Watermark, what: str, pictures: list[Image.Image]) -> None:
    """One table."""
    found: Counter[str] = Counter()
    taken, likeness, carried = [], [], 0
    for picture in pictures:
        begun = time.perf_counter()
        marked = mark.embed(picture)
        taken.append(time.perf_counter() - begun)
        if marked is None:
            print("carries none", file=sys.stderr, flush=True)
            continue
        carried += 1
        likeness.append(alike(picture, marked))
        here = [name for name, change in DAMAGES.items() if mark.is_in(change(marked))]
        found.update(here)
        # A run takes many minutes: what is known so far is told.
        print(f"{likeness[-1][0]:.1f} dB, lost: {sorted(DAMAGES.keys() - here)}", file=sys.stderr, flush=True)
    number = len(pictures)
    print(f"\n| {what} | found again |\n|---|---|\n| marked at all | {share(carried, number)} |")
    for name in DAMAGES:
        print(f"| {name} | {share(found[name], number)} |", flush=True)
    psnr, ssim = np.array(likeness or [(np.nan, np.nan)]).T
    print(
        f"\nPSNR {np.median(psnr):.1f} dB in the middle, {psnr.min():.1f} at the least; SSIM {np.median(ssim):.3f} and "
        f"{ssim.min():.3f}; marking took {np.median(taken):.1f} s in the middle, {max(taken):.1f} at the most; "
        f"gains {GAINS}.",
        flush=True,
    )


def unmarked(photos: list[Image.Image], drawn: list[Image.Image], chance: np.random.Generator) -> Iterator[Image.Image]:
    """Photographs as they are and saved poorly, drawings, noise of every coarseness, ramps."""
    for photo in photos:
        yield photo
        yield jpeg(50)(scaled(0.5)(photo))
        yield ImageOps.mirror(photo).filter(ImageFilter.GaussianBlur(2))
    yield from drawn
    for number in range(40):
        side = 2 ** (3 + number % 7)
        noise = Image.fromarray(chance.integers(0, 256, (side, side, 3), dtype=np.uint8))
        yield noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    for number in range(40):
        ramp = np.linspace(0, 1, SIDE)[:, None] * chance.random(3) * 255 + np.zeros((SIDE, SIDE, 1))
        ramp = ramp.transpose(1, 0, 2) if number % 2 else ramp
        yield Image.fromarray(np.clip(ramp + chance.normal(0, number % 8, ramp.shape), 0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="more photographs")
    parser.add_argument("--cuts", type=int, default=4, help="squares out of each photograph")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    chance = np.random.default_rng(2026)
    mark = Watermark(["a house of the benchmark"])
    sources = dict(photographs(asked.folder))
    photos = [cut for picture in sources.values() for cut in cuts(picture, asked.cuts, chance)]
    if "photographs" in asked.part:
        recovered(mark, f"{len(photos)} squares out of {len(sources)} photographs", photos)
    drawn = drawings() if {"drawings", "alarms"} & set(asked.part) else []
    if "drawings" in asked.part:
        recovered(mark, f"{len(drawn)} drawings of the house painter", drawn)
    if "alarms" in asked.part:
        taken, alarms = [], 0
        for picture in unmarked(photos, drawn, chance):
            begun = time.perf_counter()
            alarms += mark.is_in(picture)
            taken.append(time.perf_counter() - begun)
        print(f"\nFalse alarms in pictures without a mark: {share(alarms, len(taken))}.")
        print(f"Looking for a mark that is not there took {np.median(taken):.1f} s in the middle.")


if __name__ == "__main__":
    main()
