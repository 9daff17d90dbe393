"""What batching brings: pictures per second of the house painter one by one and eight together.

The figure beside them is a matrix product of the same run, which tells how busy the machine is. Both kinds of
draw take turns, so that a busy minute slows both alike.
"""

import statistics
import time

import torch

from benchmarks.world import ROOT
from generation.engine import DrawItem, Drawn, ModelCard, WeightsError, load_catalogue
from generation.engine.diffusion import DiffusersEngine

CARD = "house-painter"
BATCH = 8
ROUNDS = 3


def items(card: ModelCard, number: int) -> list[DrawItem]:
    """Different words and seeds, as different people send them."""
    things = ("a red apple on blue", "a rocket on black", "a yellow star on green", "a cat on white")
    width, height = card.first.native_size(card.first.release_sizes[0])
    return [
        DrawItem(
            key=str(index),
            prompt=things[index % len(things)],
            negative_prompt="",
            seed=index,
            width=width,
            height=height,
            steps=card.first.steps.default,
            guidance_scale=card.first.guidance_scale.default,
        )
        for index in range(number)
    ]


def seconds(engine: DiffusersEngine, card: ModelCard, number: int) -> float:
    """How long one call takes that draws so many. A picture that failed is no figure."""
    start = time.perf_counter()
    results = engine.draw(card, items(card, number), on_step=lambda done, total: ())
    assert all(isinstance(result, Drawn) for result in results), results
    return time.perf_counter() - start


def gigaflops() -> float:
    """A product of two 1024 x 1024 matrices in single precision."""
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    start = time.perf_counter()
    for _ in range(10):
        left @ right
    return 10 * 2 * 1024**3 / (time.perf_counter() - start) / 1e9


def main() -> None:
    card = load_catalogue(ROOT / "generation" / "catalogue", weights_root=ROOT / "training" / "weights")[CARD]
    engine = DiffusersEngine()
    start = time.perf_counter()
    try:
        engine.warm(card)
    except WeightsError as error:
        raise SystemExit(f"{error} `python -m training.run painter` trains it.") from error
    loaded = time.perf_counter() - start
    seconds(engine, card, 1), seconds(engine, card, BATCH)  # the first of each size is slower
    alone, together, beside = [], [], []
    for _ in range(ROUNDS):
        beside.append(gigaflops())
        alone.append(seconds(engine, card, 1))
        together.append(seconds(engine, card, BATCH) / BATCH)
    one, many = statistics.median(alone), statistics.median(together)
    print(f"{card.name} on {engine.device}, {torch.get_num_threads()} threads, {card.first.steps.default} guided steps")
    print(f"matrix product beside it: {statistics.median(beside):.0f} GFLOP/s")
    print(f"checked and loaded in {loaded:.2f} s")
    print(f"alone:      {1 / one:6.2f} pictures/s  ({one:.2f} s a picture)")
    print(f"batch of {BATCH}: {1 / many:6.2f} pictures/s  ({many * BATCH:.2f} s a batch)")
    print(f"batching brings x{one / many:.2f}")


if __name__ == "__main__":
    main()
