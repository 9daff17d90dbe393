"""Train the house models: `python -m training.run data`, then `all`, or one piece after the other in this order:
clip, judge, autoencoder, painter, inpainting, scribble, segmentation, motion, turbo, export.

Each piece can be stopped at any moment and goes on where it last wrote its state; --minutes is its whole budget, over
all its runs. On a GPU, where there is one, every piece is given a fraction of what a CPU takes. Nothing is shipped
before `export` writes `training/weights/`; then `python -m training.calibrate --write` fits the gate's thresholds to
the new CLIP, and `python -m training.heads --write` its heads. Where the CLIP is the very same its heads stay.

On a CPU run it with jemalloc (LD_PRELOAD=.../libjemalloc.so.2): after some hundred steps glibc's own allocator was
found searching its lists of free memory for minutes. And see that it has a core: beside other work Linux shares by
session first, so a high priority inside a busy machine's own session is not enough (/proc/PID/autogroup).
"""

from __future__ import annotations

import argparse
import ctypes
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# A thread that waits must sleep: spinning at a barrier whose other thread was put aside makes a step 6 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch

# Minutes on two CPU cores, and on a GPU.
MINUTES = {
    "clip": (150.0, 2.5),
    "judge": (90.0, 1.5),
    "autoencoder": (150.0, 1.5),
    "painter": (150.0, 6.0),
    "inpainting": (60.0, 1.5),
    "scribble": (60.0, 1.5),
    "segmentation": (60.0, 1.5),
    "motion": (100.0, 2.0),
    "turbo": (60.0, 1.5),
}
# These see more styles of drawing than the painter is to paint in.
WIDE = frozenset({"clip", "judge"})

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_memory() -> None:
    """Have glibc keep what a step frees for the next: given back and asked for anew, it costs the kernel more than the
    step, and whoever works beside it twice the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def pieces() -> dict[str, Callable[..., Any]]:
    """How each piece is trained."""
    from training.models import autoencoder, clip, controls, judge, motion, painter, turbo

    return {
        "clip": clip.train,
        "judge": judge.train,
        "autoencoder": autoencoder.train,
        "painter": painter.train,
        **{name: partial(controls.train, name) for name in ("inpainting", "scribble", "segmentation")},
        "motion": motion.train,
        "turbo": turbo.train,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.run", description=__doc__)
    parser.add_argument("piece", choices=["data", *MINUTES, "all", "export"])
    parser.add_argument("--minutes", type=float, help="time budget of the whole piece, over all its resumed runs")
    parser.add_argument("--steps", type=int, help="end after so many steps in all, to see that a piece works")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--state", type=Path, help="where states are kept, instead of training/state")
    asked = parser.parse_args()
    os.nice(max(0, 19 - os.nice(0)))
    keep_memory()
    torch.set_num_threads(asked.threads)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    from training import drawings, export
    from training.loop import on_gpu
    from training.world import sprites
    from training.world.scenes import World

    wide = {**sprites.SETS, **sprites.MORE}
    if asked.piece == "data":
        drawings.fetch()
        for sets in (sprites.SETS, wide, sprites.UNSEEN):
            sprites.load(sets)
        return
    for sets in (sprites.SETS, wide):
        if not sprites.is_ready(sets):
            raise SystemExit("The drawings are missing: run `python -m training.run data` first")
    for piece in MINUTES if asked.piece == "all" else [asked.piece]:
        world = World(sprites.load(wide if piece in WIDE else sprites.SETS))
        if piece != "export":
            minutes = MINUTES[piece][on_gpu()]
            pieces()[piece](world, minutes=asked.minutes or minutes, steps=asked.steps, folder=asked.state)
    if asked.piece in ("all", "export"):
        export.export_clip(asked.state)
        export.export_painter(World(sprites.load()), asked.state)


if __name__ == "__main__":
    main()
