"""Train the house models: `python -m training.run data|clip|autoencoder|painter|export [--minutes N]`.

Each piece can be stopped at any moment and goes on where it last wrote its state; --minutes is its whole budget, over
all its runs. They build on each other, in this order. Nothing is shipped before `export` writes `training/weights/`;
then `python -m training.calibrate --write` fits the gate's thresholds to the new CLIP.
"""

from __future__ import annotations

import argparse
import ctypes
import os

# A thread that waits must sleep: spinning at a barrier whose other thread was put aside makes a step 6 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch

MINUTES = {"clip": 110.0, "autoencoder": 45.0, "painter": 150.0}


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_memory() -> None:
    """Have glibc keep what a step frees for the next: given back and asked for anew, it costs the kernel more than the
    step, and whoever works beside it twice the time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.run", description=__doc__)
    parser.add_argument("piece", choices=["data", *MINUTES, "export"])
    parser.add_argument("--minutes", type=float, help="time budget of the whole piece, over all its resumed runs")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    os.nice(max(0, 19 - os.nice(0)))
    keep_memory()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    from training import drawings
    from training.world import sprites
    from training.world.scenes import World

    if asked.piece == "data":
        drawings.fetch()
        sprites.load()
        return
    if not sprites.has(sprites.SETS):
        raise SystemExit("The drawings are missing: run `python -m training.run data` first")
    world = World(sprites.load())
    minutes = asked.minutes or MINUTES.get(asked.piece, 0.0)
    from training.models import autoencoder, clip, painter

    if asked.piece == "clip":
        clip.train(world, minutes=minutes)
    elif asked.piece == "autoencoder":
        autoencoder.train(world, minutes=minutes)
    elif asked.piece == "painter":
        painter.train(world, minutes=minutes)
    else:
        clip.export(clip.resumed())
        painter.export(painter.resumed(), painter.scaled_vae(world), painter.frozen_words())


if __name__ == "__main__":
    main()
