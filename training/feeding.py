"""Batches made ahead by worker processes, in the order of the steps: a resumed run sees what an unbroken one would."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

# Batches that each worker holds ready.
AHEAD = 4


def workers() -> int:
    """How many make batches: beside a GPU all cores but one, or as many as TRAINING_WORKERS says; nobody where the
    model learns on these same cores."""
    if not torch.cuda.is_available():
        return 0
    return int(os.environ.get("TRAINING_WORKERS", 0)) or max((os.cpu_count() or 1) - 1, 1)


# Makes the batch of a step; all its chance comes from the generator.
Make = Callable[[int, np.random.Generator], Any]


class Batches(Dataset[Any]):
    """What `make` returns for each step.

    `make` runs in other processes: it returns tensors and arrays in the CPU's memory and never touches a GPU.
    """

    def __init__(self, make: Make, name: int) -> None:
        self.make, self.name = make, name

    def __getitem__(self, step: int) -> Any:
        return self.make(step, np.random.default_rng((self.name, step)))


def feed(make: Make, *, name: int, start: int, end: int = 1 << 40, processes: int) -> Iterator[Any]:
    """Yield the batch of each step from `start` to before `end`. `name` parts the chance of different uses."""
    steps = range(start, end)
    settings: dict[str, Any] = {"prefetch_factor": AHEAD, "multiprocessing_context": "fork"} if processes else {}
    return iter(
        DataLoader(
            Batches(make, name),
            sampler=steps,  # type: ignore[arg-type]
            batch_size=None,
            num_workers=processes,
            pin_memory=torch.cuda.is_available(),
            **settings,
        )
    )


def moved(batch: Any, device: torch.device) -> Any:
    """The tensors of a batch on the device; what is no tensor stays as it is."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: moved(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [moved(value, device) for value in batch]
    return batch
