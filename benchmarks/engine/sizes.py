"""Models of real sizes with random weights, drawn as the engine prepares them and as diffusers comes: on a GPU.

`python -m benchmarks.engine.sizes`. Beside each is what its arithmetic would take at the rate of one large matrix
product: the floor that no preparation can go below.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.engine import large, plain
from benchmarks.engine.backlog import items
from benchmarks.world import ROOT
from generation.engine import load_catalogue
from generation.engine.loading import Resident

STEPS = 20


def prepared(pipeline: Any) -> Any:
    """The pipeline as the engine would have it, with compiled blocks and channels last."""
    card = next(iter(load_catalogue(ROOT / "generation" / "catalogue", weights_root=Path()).values()))
    resident = Resident.__new__(Resident)
    resident.card = replace(card, tuning=replace(card.tuning, compile=True, channels_last=True))
    resident.device, resident._compiled = "cuda", set()
    resident._tune(pipeline)
    return pipeline


def tera(pipeline: Any, side: int) -> float:
    """TFLOP of one picture."""
    with FlopCounterMode(display=False) as counted:
        plain.draws(pipeline, items(1, steps=1, side=side))
    one = counted.get_total_flops()
    with FlopCounterMode(display=False) as counted:
        plain.draws(pipeline, items(1, steps=2, side=side))
    step = counted.get_total_flops() - one
    return (one + (STEPS - 1) * step) / 1e12


def measure(name: str, build: Callable[[str], Any], *, side: int, batch: int, rounds: int, peak: float) -> None:
    pipeline = build("cuda").to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    work = tera(pipeline, side)
    usual = plain.rate(pipeline, items(1, steps=STEPS, side=side), batch=1, rounds=rounds)
    together = plain.rate(pipeline, items(batch, steps=STEPS, side=side), batch=batch, rounds=max(rounds // 4, 1))
    prepared(pipeline)
    alone = plain.rate(pipeline, items(1, steps=STEPS, side=side), batch=1, rounds=rounds)
    ours = plain.rate(pipeline, items(batch, steps=STEPS, side=side), batch=batch, rounds=max(rounds // 2, 1))
    print(f"{name}, {side} x {side}, {STEPS} guided steps, {work:.1f} TFLOP a picture")
    print(f"  as diffusers comes, one by one {usual:6.2f} pictures/s")
    print(f"  as it comes, {batch} together      {together:6.2f} pictures/s  x{together / usual:.2f}")
    print(f"  prepared, one by one           {alone:6.2f} pictures/s  x{alone / usual:.2f}")
    print(f"  prepared, {batch} together         {ours:6.2f} pictures/s  x{ours / usual:.2f}", end="")
    print(f", x{ours / alone:.2f} of one by one; {100 * ours * work / peak:.0f} % of the floor's rate", flush=True)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("This one needs a GPU.")
    peak = large.teraflops("cuda")
    print(f"{torch.cuda.get_device_name()}: {peak:.0f} TFLOP/s in a bfloat16 product of 8192 x 8192")
    measure("Stable Diffusion 1.5", large.stable_diffusion, side=512, batch=8, rounds=8, peak=peak)
    torch.cuda.empty_cache()
    measure("Stable Diffusion XL", large.stable_diffusion_xl, side=1024, batch=4, rounds=4, peak=peak)


if __name__ == "__main__":
    main()
