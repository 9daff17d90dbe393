"""What the gate costs: `python -m benchmarks.gate.cost`. Every frozen prompt by itself, as the screening process judges
it; then one picture of each size, and the frames of a film, through the picture classifiers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from benchmarks.gate.words import Gate, frozen
from moderation.lexicon import judge_prompt

SIDES = (128, 512, 1024)
TIMES = 20


def milliseconds(do: Callable[..., object], *given: object) -> float:
    begun = time.perf_counter()
    do(*given)
    return (time.perf_counter() - begun) * 1000


def row(name: str, taken: Sequence[float]) -> str:
    middle, high, most = np.percentile(taken, [50, 95, 100])
    return f"| {name} | {len(taken)} | {middle:.1f} | {high:.1f} | {most:.1f} |"


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
    for side in SIDES:
        print(f"16 frames of {side} px cost {costs[side, 16] / costs[side, 4]:.2f} times what 4 pictures cost")


if __name__ == "__main__":
    main()
