"""Train the house models: `python -m training.run data|clip|autoencoder|painter|judge|export [--minutes N]`."""

from __future__ import annotations

import argparse
import os

# A thread that waits must sleep: spinning at a barrier whose other thread was put aside makes a step 6 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch

MINUTES = {"clip": 6.0, "autoencoder": 6.0, "painter": 45.0, "judge": 4.0, "export": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.run", description=__doc__)
    parser.add_argument("piece", choices=["data", *MINUTES])
    parser.add_argument("--minutes", type=float, help="time budget of the whole piece, over all its resumed runs")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    os.nice(max(0, 19 - os.nice(0)))
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    from training import drawings

    if asked.piece == "data":
        drawings.fetch()
        drawings.load()
        return
    from training.loop import Run
    from training.scenes import Scenes

    if not drawings.has_emoji():
        raise SystemExit("The drawings are missing: run `python -m training.run data` first")
    scenes = Scenes(drawings.load())
    minutes = asked.minutes or MINUTES[asked.piece]
    if asked.piece == "clip":
        from training import clip

        clip.export(clip.train(scenes, minutes=minutes))
    elif asked.piece == "autoencoder":
        from training import autoencoder

        autoencoder.train(scenes, minutes=minutes)
    elif asked.piece == "painter":
        from training import painter

        painter.train(scenes, minutes=minutes)
    elif asked.piece == "export":
        from training import clip, painter

        clip.export(Run("clip", clip.build(), rate=0, average=0.99))
        painter.export(Run("painter", painter.Painter(), rate=0, average=0.995), painter.code(scenes)[2])
    elif asked.piece == "judge":
        from training import judge

        judge.train(scenes, minutes=minutes)


if __name__ == "__main__":
    main()
