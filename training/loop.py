"""A training run that can be killed at any moment and goes on where it last wrote its state."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.feeding import Make, feed, moved, workers

STATE = Path(__file__).parent / "state"


@cache
def device() -> torch.device:
    """Where the model learns. Asked once: a process forked off one that uses a GPU finds none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_gpu() -> bool:
    return device().type == "cuda"


def sized(*, cpu: int, gpu: int) -> int:
    """The size of a batch, by where the model learns."""
    return gpu if on_gpu() else cpu


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 pays: on a GPU and on CPUs with AMX, 4 times faster; on others it is many times slower."""
    return torch.cuda.is_available() or bool(torch.cpu._is_amx_tile_supported())


@contextlib.contextmanager
def mixed_precision() -> Iterator[None]:
    """Compute in bfloat16 where that pays. On a CPU with plain attention: the backward pass of the fused one takes half
    of a step there."""
    with contextlib.ExitStack() as held:
        held.enter_context(torch.autocast(device().type, torch.bfloat16, enabled=has_fast_bfloat16()))
        if not on_gpu():
            held.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


def compiled(module: nn.Module) -> Any:
    """The same module with the same weights, half as slow again where there is a compiler; saved as the module is."""
    return torch.compile(module) if torch.cuda.is_available() or shutil.which("c++") else module


class Run:
    """One model being trained.

    The learning rate follows the share of the time budget that is used, so that a run on a busy machine ends as
    well cooled as one on an idle machine; it only has seen less.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        rate: float,
        betas: tuple[float, float] = (0.9, 0.98),
        decay: float = 0.01,
        average: float = 0.0,
        folder: Path | None = None,
    ) -> None:
        self.path = (folder or STATE) / f"{name}.pt"
        self.name, self.model, self.rate, self.average = name, model.to(device()), rate, average
        # What is frozen is another model's: it is neither trained nor kept.
        self.learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.learning, lr=rate, betas=betas, weight_decay=decay, fused=torch.cuda.is_available()
        )
        self.own = self._own()
        self.mean = {key: value.clone() for key, value in self.own.items()} if average else {}
        self.step, self.seconds = 0, 0.0
        if self.path.is_file():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.path, map_location=device(), weights_only=True)
        with torch.no_grad():
            for key, value in self.own.items():
                value.copy_(state["model"][key])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean, self.step, self.seconds = state["mean"], state["step"], state["seconds"]
        print(f"{self.name}: goes on at step {self.step} after {self.seconds / 60:.1f} minutes", flush=True)

    def save(self) -> None:
        """Write the state beside the old one, then rename: a kill leaves the old one or the new one."""
        assert all(self.own[name].data_ptr() == one.data_ptr() for name, one in self.model.named_parameters()
                   if one.requires_grad), "the model's weights were moved, and others would be kept"  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        torch.save(
            {
                "model": self.own,
                "optimizer": self.optimizer.state_dict(),
                "mean": self.mean,
                "step": self.step,
                "seconds": self.seconds,
            },
            temporary,
        )
        temporary.replace(self.path)

    def weights(self) -> dict[str, Any]:
        """The weights to use: the running average where one is kept."""
        return self.mean or self.own

    def _own(self) -> dict[str, torch.Tensor]:
        frozen = {name for name, parameter in self.model.named_parameters() if not parameter.requires_grad}
        return {key: value for key, value in self.model.state_dict().items() if key not in frozen}

    def train(
        self,
        loss: Callable[[Any, torch.Generator], torch.Tensor],
        make: Make,
        *,
        name: int,
        minutes: float,
        steps: int | None = None,
        save_every: float = 120,
        after_save: Callable[[int], None] | None = None,
        processes: int | None = None,
    ) -> None:
        """Train until the budget is used. `make` makes the batch of a step on the CPU, `loss` looks at it.

        Both draw all their chance from the generator that they are given, which is the step's own, so that a resumed
        run sees what an unbroken one would have seen. The first step of a process is not counted: it compiles.
        """
        budget, saved, shown, sum_, count = minutes * 60, time.monotonic(), 0.0, torch.zeros((), device=device()), 0
        count_workers = workers() if processes is None else processes
        batches = feed(make, name=name, start=self.step, processes=count_workers)
        chance = torch.Generator(device())
        clock: float | None = None
        self.model.train()
        while self.seconds < budget and (steps is None or self.step < steps):
            used = self.seconds / budget if steps is None else max(self.seconds / budget, self.step / steps)
            for group in self.optimizer.param_groups:
                warm, cooled = min(1.0, (self.step + 1) / 50), min(1.0, max(0.02, (1 - used) / 0.5))
                group["lr"] = self.rate * warm * cooled
            batch = moved(next(batches), device())
            chance.manual_seed(name << 40 | self.step)
            value = loss(batch, chance)
            self.learn(value)
            sum_, count = sum_ + value.detach(), count + 1
            if clock is None:
                sum_.item()  # a GPU is waited for, or the compiling would be counted after all
            now = time.monotonic()
            self.seconds, clock = self.seconds + (now - clock if clock else 0), now
            if now - shown > 10:
                left = (budget - self.seconds) / 60
                print(f"{self.name}: step {self.step} loss {sum_ / count:.4f}, {left:.1f} minutes left", flush=True)
                shown, sum_, count = now, torch.zeros((), device=device()), 0
            if now - saved > save_every:
                self.save()
                saved = now
                if after_save:
                    after_save(self.step)
                    self.model.train()
                clock = time.monotonic()
        self.save()
        print(f"{self.name}: done at step {self.step} after {self.seconds / 60:.1f} minutes", flush=True)

    def learn(self, value: torch.Tensor) -> None:
        """One step down the gradient of `value`."""
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimizer.step()
        self.step += 1
        self._follow()

    def _follow(self) -> None:
        """Move the running average; it follows quickly at first."""
        if not self.mean:
            return
        keep = min(self.average, (1 + self.step) / (10 + self.step))
        moving = [key for key, value in self.own.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.mean[key] for key in moving], [self.own[key] for key in moving], 1 - keep)
            for key in self.own.keys() - set(moving):
                self.mean[key].copy_(self.own[key])
