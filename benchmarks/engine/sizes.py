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
    counts = []
    for steps in (1, 2):
        with FlopCounterMode(display=False) as counted:
            plain.draws(pipeline, items(1, steps=steps, side=side))
        counts.append(counted.get_total_flops())
    return (counts[0] + (STEPS - 1) * (counts[1] - counts[0])) / 1e12


def measure(name: str, build: Callable[[str], Any], *, side: int, batch: int, rounds: int, peak: float) -> None:
    """Print the three rates of one model, each as soon as it is known."""
    pipeline = build("cuda").to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    work = tera(pipeline, side)
    print(f"{name}, {side} x {side}, {STEPS} guided steps, {work:.1f} TFLOP a picture")
    usual = plain.rate(pipeline, items(1, steps=STEPS, side=side), batch=1, rounds=2 * rounds)
    print(f"  as diffusers comes, one by one  {usual:6.2f} pictures/s  {100 * usual * work / peak:3.0f} % of the floor")
    wanted = items(batch, steps=STEPS, side=side)
    for what, made in ((f"as it comes, {batch} together", pipeline), (f"prepared, {batch} together", None)):
        rate = plain.rate(made or prepared(pipeline), wanted, batch=batch, rounds=rounds)
        share = 100 * rate * work / peak
        print(f"  {what:<31} {rate:6.2f} pictures/s  {share:3.0f} % of the floor  x{rate / usual:.2f}", flush=True)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("This one needs a GPU.")
    peak = large.teraflops("cuda")
    print(f"{torch.cuda.get_device_name()}: {peak:.0f} TFLOP/s in a bfloat16 product of 8192 x 8192", flush=True)
    measure("Stable Diffusion 1.5", large.stable_diffusion, side=512, batch=8, rounds=3, peak=peak)
    torch.cuda.empty_cache()
    measure("Stable Diffusion XL", large.stable_diffusion_xl, side=1024, batch=4, rounds=2, peak=peak)


if __name__ == "__main__":
    main()
