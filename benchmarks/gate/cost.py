"""What the gate costs: `python -m benchmarks.gate.cost`. Every frozen prompt by itself, as the screening process judges
it; then one picture of each size, and the frames of a film, through the picture classifiers. At the end films of 16
frames in which a drawing moves, as they are chosen from: needs the drawings (`python -m training.run data`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from benchmarks.gate.words import Gate, frozen
from generation.engine import encoding
from moderation.lexicon import judge_prompt
from training.world import sprites
from training.world.captions import MOVING
from training.world.films import film
from training.world.scenes import World

SIDES = (128, 512, 1024)
TIMES = 20
FILM_SIDE, FILMS = 256, 4


def milliseconds(do: Callable[..., object], *given: object) -> float:
    begun = time.perf_counter()
    do(*given)
    return (time.perf_counter() - begun) * 1000


def row(name: str, taken: Sequence[float]) -> str:
    middle, high, most = np.percentile(taken, [50, 95, 100])
    return f"| {name} | {len(taken)} | {middle:.1f} | {high:.1f} | {most:.1f} |"


def films(gate: Gate, rng: np.random.Generator) -> None:
    """A film of each motion against four pictures like its first frame: the frames that are looked at, and the cost."""
    # Which frames is decided in the screening process, which has Django about it. No database is asked.
    secret = "benchmarks-only-" + "x" * 40
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": secret,
        "DATABASE_URL": "postgresql:///no",
    }
    import django

    django.setup()
    from moderation.screening.films import read_film

    def whole(data: bytes) -> int:
        views = read_film(data, size=(FILM_SIDE, FILM_SIDE)).views
        gate.armoury.screen_pictures([view.picture for view in views])
        return len(views)

    world = World(sprites.load())
    for motion in MOVING:
        ratios, looked = [], []
        for _ in range(FILMS):
            frames = film(world, world.sample(rng, kind="single"), motion, rng, side=FILM_SIDE).frames
            data = encoding.film(frames, 8)
            four = [Image.fromarray(frames[0])] * 4
            gate.armoury.screen_pictures(four[:1])
            pictures = milliseconds(gate.armoury.screen_pictures, four)
            looked.append(whole(data))
            ratios.append(milliseconds(whole, data) / pictures)
        print(
            f"a film that {MOVING[motion][0]}: {np.mean(looked):.1f} of 16 frames looked at, "
            f"{np.median(ratios):.2f} times four pictures",
            flush=True,
        )


def main() -> None:
    gate = Gate()
    print(
        f"{torch.get_num_threads()} threads; milliseconds\n\n| what | n | median | p95 | most |\n|---|---|---|---|---|"
    )
    texts = [text for prompts in frozen() for text in prompts.texts]
    gate.armoury.screen_prompts([("a warm-up", "")])
    judge_prompt("a warm-up", "", gate.house)
    print(row("a prompt, lexicon and names", [milliseconds(judge_prompt, text, "", gate.house) for text in texts]))
    print(row("a prompt, all of it", [milliseconds(gate.armoury.screen_prompts, [(text, "")]) for text in texts]))
    rng = np.random.default_rng(0)
    costs = {}
    for side in SIDES:
        pictures = [Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)) for _ in range(16)]
        for count in (1, 4, 16):
            gate.armoury.screen_pictures(pictures[:count])
            taken = [milliseconds(gate.armoury.screen_pictures, pictures[:count]) for _ in range(TIMES)]
            costs[side, count] = float(np.median(taken))
            print(row(f"{count} of {side} x {side} px together", taken))
    films(gate, rng)
    for side in SIDES:
        print(f"16 frames of {side} px cost {costs[side, 16] / costs[side, 4]:.2f} times what 4 pictures cost")


if __name__ == "__main__":
    main()
