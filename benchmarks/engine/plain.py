"""What anybody would write with diffusers alone, to hold the engine against."""

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from generation.engine import DrawItem


def draws(pipeline: Any, items: Sequence[DrawItem]) -> None:
    """One call of a pipeline for these items, pictures made and thrown away."""
    pipeline.scheduler = copy.deepcopy(pipeline.scheduler)
    with torch.inference_mode():
        pipeline(
            [item.prompt for item in items],
            negative_prompt=[item.negative_prompt for item in items],
            width=items[0].width,
            height=items[0].height,
            generator=[torch.Generator("cpu").manual_seed(item.seed) for item in items],
            num_inference_steps=items[0].steps,
            guidance_scale=items[0].guidance_scale,
            output_type="pil",
        )


def seconds(act: Callable[[], object]) -> float:
    """How long it takes, a GPU's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    act()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def rate(pipeline: Any, items: Sequence[DrawItem], *, batch: int, rounds: int) -> float:
    """Pictures a second over several batches, after one to warm up."""
    part = list(items[:batch])
    draws(pipeline, part)
    return rounds * batch / seconds(lambda: [draws(pipeline, part) for _ in range(rounds)])
