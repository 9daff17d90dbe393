"""Measure the house models on what they never saw: `python -m benchmarks.house_models [PART ...] [--out FOLDER]`.

Parts: words (what is painted as it was asked for), few (the same in four steps), controls, films, clip. Prints shares
with their 95 % Wilson bounds; with --out, contact sheets too. The judge was trained apart (`training.run judge`); what
it says of drawings of the same scenes stands beside what it says of painted ones.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from benchmarks.house_models.asking import (
    Painter,
    critic_marks,
    held_out,
    request,
    things_of,
)
from benchmarks.house_models.bench import SIDE, Bench
from benchmarks.house_models.clip import clip
from training.colours import Pixels
from training.shares import share
from training.world.captions import MOVING
from training.world.films import film
from training.world.scenes import RELATIONS, Drawn, Item, Scene
from training.world.shown import PALETTE, map_of, sketch_of, window_of
from training.world.things import BY_WORD, KINDS


def words(bench: Bench, painter: Painter | None = None, name: str = "house-painter") -> None:
    """Single things in held-out colours, several of a kind, and pairs that were never seen together."""
    painter = painter or bench.painter
    singles = held_out(bench.world, "single", 100)
    pictures = [made[0] for made in painter.ask("text_to_image", [request(one) for one in singles], seed=1)]
    bench.line("100 single things", singles, pictures)
    by_chance = bench.judged(singles[1:] + singles[:1], pictures)
    print(f"| by chance, requests shifted by one | things | {share(by_chance['things'], 100)} | |")
    print(f"| by chance, requests shifted by one | colours | {share(by_chance['colours'], 100)} | |")
    bench.show(name, [[one] for one in pictures[:48]], [request(one) for one in singles[:48]])
    rows, captions = [], []
    for relation in RELATIONS:
        scenes = held_out(bench.world, "pair", 40, relation=relation)
        made = [one[0] for one in painter.ask("text_to_image", [request(one) for one in scenes], seed=500)]
        bench.line(f"40 {relation}", scenes, made)
        rows += [[one] for one in made[:8]]
        captions += [request(one) for one in scenes[:8]]
    bench.show(f"{name}-relations", rows, captions)
    many = held_out(bench.world, "many", 60)
    counted = 0
    made = [one[0] for one in painter.ask("text_to_image", [request(one) for one in many], seed=900)]
    for scene, picture in zip(many, made, strict=True):
        parts, number = ndimage.label(ndimage.binary_closing(things_of(picture), iterations=2))
        sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(1, number + 1)) if number else []
        counted += int(sum(size > 0.01 * SIDE**2 for size in sizes)) == scene.count
    bench.line("60 several", many, made)
    print(f"| 60 several | as many as asked | {share(counted, len(many))} | |")
    print(f"one picture: {painter.seconds('text_to_image'):.2f} s on two CPU cores, model loaded")


def few(bench: Bench) -> None:
    """The same words in four steps; and what the critic, against which they were learnt, tells apart."""
    turbo = Painter("house-turbo")
    words(bench, turbo, "house-turbo")
    scenes = held_out(bench.world, "single", 200, seed=11)
    said = [request(one) for one in scenes]
    drawn = critic_marks([one.picture for one in bench.drawings(scenes, 12)], said)
    for name, painter in (("four steps", turbo), ("twenty steps", bench.painter)):
        made = critic_marks([one[0] for one in painter.ask("text_to_image", said, seed=300)], said)
        # Of pairs of a drawing and a painted picture, how often the drawing has the higher mark.
        area = float((drawn[:, None] > made[None]).mean())
        print(f"the critic tells drawings from {name}: AUC {area:.3f}, {len(drawn)} of each")


def controls(bench: Bench) -> None:
    """How closely what is shown is followed: overlap of where things are asked for and where they are painted."""
    rng = np.random.default_rng(3)
    scenes = held_out(bench.world, "single", 30) + held_out(bench.world, "pair", 30)
    drawn = bench.drawings(scenes, 4)
    said = [request(one) for one in scenes]
    sketches = [sketch_of(one, rng) for one in drawn]
    made = [
        one[0]
        for one in bench.painter.ask("scribble", said, seed=40, control=[Image.fromarray(one) for one in sketches])
    ]
    alone = [one[0] for one in bench.painter.ask("text_to_image", said, seed=40)]
    asked = [np.any(one.masks, axis=0) for one in drawn]

    def overlap(pictures: list[Pixels]) -> float:
        found = [things_of(picture) for picture in pictures]
        return float(np.mean([(a & b).sum() / max((a | b).sum(), 1) for a, b in zip(asked, found, strict=True)]))

    print(f"sketches: overlap {overlap(made):.2f}, by words alone {overlap(alone):.2f}")
    bench.line("60 sketches", scenes, made)
    bench.show("house-scribble", [[a, b] for a, b in zip(sketches[:24], made[:24], strict=True)], said[:24], columns=4)

    maps = [PALETTE[map_of(one, rng)] for one in drawn]
    made = [
        one[0]
        for one in bench.painter.ask("segmentation", said, seed=60, control=[Image.fromarray(one) for one in maps])
    ]
    print(f"maps: overlap {overlap(made):.2f}; the kind at each place {_kinds_right(bench, drawn, made)}")
    bench.line("60 maps", scenes, made)
    bench.show("house-segmentation", [[a, b] for a, b in zip(maps[:24], made[:24], strict=True)], said[:24], columns=4)

    windows = [window_of(one, rng) for one in drawn]
    before = [one.picture for one in drawn]
    marks = [Image.fromarray(one * np.uint8(255)) for one in windows]
    made = [
        one[0]
        for one in bench.painter.ask(
            "inpainting", said, seed=80, picture=[Image.fromarray(one) for one in before], mask=marks
        )
    ]
    kept = [bool((a == b)[w == 0].all()) for a, b, w in zip(before, made, windows, strict=True)]
    print(f"windows: outside unchanged to the bit {share(sum(kept), len(kept))}")
    bench.line("60 windows", scenes, made)
    holes = [np.where(w[..., None] > 0, np.uint8(128), picture) for picture, w in zip(before, windows, strict=True)]
    bench.show("house-inpainting", [[a, b] for a, b in zip(holes[:24], made[:24], strict=True)], said[:24], columns=4)
    for mode in ("scribble", "segmentation"):
        taken = bench.painter.seconds(mode, control=[Image.fromarray(sketches[0])])
        print(f"one {mode}: {taken:.2f} s on two CPU cores")


def _kinds_right(bench: Bench, drawn: list[Drawn], made: list[Pixels]) -> str:
    """Of the places where a thing was asked for, at how many the judge sees one of that kind."""
    numbers = np.array([0, *(KINDS.index(BY_WORD[word].kind) + 1 for word in bench.eye.words)])
    hits = of = 0
    for one, mark in zip(drawn, bench.eye.marks(np.stack(made)), strict=True):
        seen = numbers[mark.argmax(0)]
        wanted = one.kinds[1 :: SIDE // seen.shape[0], 1 :: SIDE // seen.shape[0]]
        hits += int(((seen == wanted) & (wanted > 0)).sum())
        of += int((wanted > 0).sum())
    return f"{100 * hits / of:.0f} % of {of}"


def moves(frames: Pixels) -> set[str]:
    """Which motions a film shows, by where its things are, how large, and how they are turned."""
    found = [things_of(frame) for frame in frames]
    if any(not one.any() for one in found):
        return set()
    side = frames.shape[1]
    middles = np.array([np.argwhere(one).mean(0) / side for one in found])
    share_of = np.array([one.mean() for one in found])
    (down, right_), told = (middles[-1] - middles[0]), set()
    if right_ < -0.12:
        told.add("left")
    if right_ > 0.12:
        told.add("right")
    if down < -0.12:
        told.add("up")
    if down > 0.12:
        told.add("down")
    steps = np.sign(np.diff(middles[:, 0]))[np.abs(np.diff(middles[:, 0])) > 0.005]
    if np.ptp(middles[:, 0]) > 0.08 and (np.diff(steps) != 0).sum() >= 2:
        told.add("bounce")
    if share_of[-1] > 1.5 * share_of[0]:
        told.add("grow")
    if share_of[0] > 1.5 * share_of[-1]:
        told.add("shrink")
    still = np.ptp(middles, axis=0).max() < 0.12 and share_of.max() < 1.5 * share_of.min()
    overlaps = [(a & b).sum() / (a | b).sum() for a, b in pairwise(found)]
    if still and np.mean(overlaps) < 0.93:
        told.add("turn")
    return told


def films(bench: Bench) -> None:
    """Whether frames move as they are told, and what is in them."""
    rng = np.random.default_rng(5)
    rows, captions = [], []
    total = drawn_total = 0
    for number, motion in enumerate(MOVING):
        scenes = [
            Scene(Item(one.first.word, one.first.colour), one.background)
            for one in held_out(bench.world, "single", 10, seed=100 + number)
        ]
        made = bench.painter.ask("text_to_film", [request(one, motion) for one in scenes], seed=70)
        hits = sum(motion in moves(one) for one in made)
        real = [film(bench.world, one, motion, rng, side=SIDE).frames for one in scenes]
        drawn = sum(motion in moves(one) for one in real)
        total, drawn_total = total + hits, drawn_total + drawn
        right_things = bench.judged(scenes, [one[len(one) // 2] for one in made])["things"]
        print(f"| {motion} | {share(hits, 10)} | {drawn}/10 | {share(right_things, 10)} |", flush=True)
        rows += [list(one[::5]) for one in made[:2]]
        captions += [request(one, motion) for one in scenes[:2]]
    print(f"| all | {share(total, 10 * len(MOVING))} | {drawn_total}/{10 * len(MOVING)} | |")
    bench.show("house-films", rows, captions, columns=2)
    print(f"one film of 16 frames: {bench.painter.seconds('text_to_film'):.1f} s on two CPU cores")
    pictures = [Image.fromarray(one.picture) for one in bench.drawings(held_out(bench.world, "single", 2))]
    for mode, inputs in (
        ("image_to_film", {"picture": pictures[:1]}),
        ("film_between", {"picture": pictures[:1], "last": pictures[1:]}),
        ("film_variation", {"film": [[pictures[0]] * 16]}),
    ):
        print(f"one {mode}: {bench.painter.seconds(mode, **inputs):.1f} s")


PARTS = {"words": words, "few": few, "controls": controls, "films": films, "clip": clip}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.house_models", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)  # else the first sheet would fail after ten minutes
    bench = Bench(asked.out)
    for name in asked.parts or PARTS:
        print(f"\n== {name}", flush=True)
        PARTS[name](bench)


if __name__ == "__main__":
    main()
