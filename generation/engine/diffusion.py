"""The engine that draws with diffusers pipelines."""

import copy
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from generation.engine.calls import arguments, check
from generation.engine.cards import ModeCard, ModelCard
from generation.engine.checks import medium_of
from generation.engine.errors import EngineBroken
from generation.engine.items import DrawItem, Drawn, NotDrawn, OnStep, WhyNot
from generation.engine.loading import Resident
from generation.engine.masks import keep_outside

log = logging.getLogger(__name__)

# Of a GPU's memory, weights may take so much; the rest is for what is computed with them.
SHARE_FOR_WEIGHTS = 0.7
# Where nothing says how much there is: what a worker of a small machine may keep.
GB_ON_CPU = 4.0
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class AllCancelled(Exception):
    """Nobody waits for this batch any more. Raised from the step callback: diffusers' `interrupt` would still
    decode and return a half-denoised picture."""


class StoppedByCaller(Exception):
    """What `on_step` raised, so that it is not taken for a fault of the items."""


class DiffusersEngine:
    """Keeps models in memory and draws batches with them. One call at a time; make one engine for each process.

    threads None leaves torch its choice, all cores. On cores shared with others fewer are faster: torch's threads
    wait for each other at every operation. memory_gb is what weights may take; the least recently used leave first.
    """

    def __init__(
        self, *, device: str | None = None, threads: int | None = None, memory_gb: float | None = None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.budget = int((memory_gb or self._usual_gb()) * 1e9)
        self._residents: OrderedDict[str, Resident] = OrderedDict()

    @property
    def loaded(self) -> str | None:
        """The model that was drawn with last."""
        return next(reversed(self._residents), None)

    @property
    def resident(self) -> tuple[str, ...]:
        """Every model in memory, least recently used first."""
        return tuple(self._residents)

    def warm(self, card: ModelCard) -> None:
        """Have a card's weights in memory, ready for its first mode.

        Whoever was used longest ago leaves, until there is room.

        Every file is checked before any is read by diffusers: safetensors only, from the local folder, no code.
        """
        self.load(card, card.first)

    def load(self, card: ModelCard, way: ModeCard) -> int:
        """Have ready what one mode of a card needs. Returns the bytes of the card's weights in memory by then."""
        resident = self._resident(card)
        resident.pipeline(way)
        self._make_room(0, keep=card.name)  # for what the mode has beside the card's common weights
        return resident.bytes

    def draw(self, card: ModelCard, items: Sequence[DrawItem], *, on_step: OnStep) -> list[Drawn | NotDrawn]:
        """Draw a batch; one generator for each item, so that a seed gives its medium alone or among others.

        Equal to about 1e-6 in single precision, never bit for bit. See items.Engine for what is raised.

        1. Together. Films one after the other: a batch of them saves little and needs its memory many times.
        2. What does not fit in memory is split in halves; an error is looked for by drawing each alone.
        3. An item that fails alone is not drawn, as long as any other was. If none was, the error is raised: then it
           is rather the machine's.
        """
        check(items)
        way = card.modes[items[0].mode]
        self.load(card, way)
        pipeline = self._residents[card.name].pipeline(way)
        cancelled: set[str] = set()
        errors: list[Exception] = []
        films = items[0].frames > 1
        results: dict[str, Drawn | NotDrawn] = {}
        waiting = [[item] for item in items] if films else [list(items)]
        while waiting:
            part = waiting.pop(0)
            try:
                for result in self._draw(pipeline, part, items, cancelled, on_step):
                    results[result.key] = result
            except AllCancelled:
                continue
            except StoppedByCaller as stopped:
                raise stopped.__cause__ or stopped from None
            except Exception as error:
                if _is_broken(error):
                    raise EngineBroken(f"{card.name}: {type(error).__name__}") from error
                lacks_memory = _lacks_memory(error)
                log.warning("%s: %d together failed: %s", card.name, len(part), type(error).__name__)
                if len(part) > 1:
                    half = -(-len(part) // 2) if lacks_memory else 1
                    waiting = [part[at : at + half] for at in range(0, len(part), half)] + waiting
                else:
                    errors.append(error)
                    reason: WhyNot = "too_large" if lacks_memory else "error"
                    results[part[0].key] = NotDrawn(part[0].key, reason, type(error).__name__)
            finally:
                if self.device == "cuda" and waiting:
                    torch.cuda.empty_cache()
        if errors and not any(isinstance(result, Drawn) for result in results.values()):
            raise errors[0]
        return [
            results[item.key] if item.key in results and item.key not in cancelled else NotDrawn(item.key, "cancelled")
            for item in items
        ]

    def _draw(
        self, pipeline: Any, part: list[DrawItem], items: Sequence[DrawItem], cancelled: set[str], on_step: OnStep
    ) -> Iterator[Drawn | NotDrawn]:
        """One call of the pipeline. Steps are told as of the whole batch, films one after the other."""
        first, done = part[0], items.index(part[0]) if items[0].frames > 1 else 0
        of = len(items) if items[0].frames > 1 else 1
        if cancelled.issuperset(item.key for item in part):
            return

        def after_step(made: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            # With a strength fewer steps are taken than were asked for; people see the share.
            share = min((step + 1) / max(made.num_timesteps, 1), 1.0)
            try:
                cancelled.update(on_step(max(round((done + share) / of * first.steps), 1), first.steps))
            except Exception as error:
                raise StoppedByCaller from error
            if cancelled.issuperset(item.key for item in part):
                raise AllCancelled
            return tensors

        # Every pipeline made from these parts would share one scheduler, which keeps state: a fresh one each call.
        scheduler, pipeline.scheduler = pipeline.scheduler, copy.deepcopy(pipeline.scheduler)
        try:
            with torch.inference_mode():
                made = pipeline(
                    **arguments(pipeline, part),
                    output_type="np",
                    callback_on_step_end=after_step,
                    callback_on_step_end_tensor_inputs=["latents"],
                )
        finally:
            pipeline.scheduler = scheduler
        decoded = made.frames if hasattr(made, "frames") else made.images
        for item, pixels in zip(part, decoded, strict=True):
            result = medium_of(item.key, np.asarray(pixels), fps=item.fps)
            if isinstance(result, Drawn) and item.mask is not None:
                result = keep_outside(result, item)
            yield result

    def _resident(self, card: ModelCard) -> Resident:
        found = self._residents.get(card.name)
        if found is None or found.card != card:
            self._residents.pop(card.name, None)
            self._make_room(int(card.memory_gb * 1e9))
            found = self._residents[card.name] = Resident(card, self.device)
        self._residents.move_to_end(card.name)
        return found

    def _make_room(self, needed: int, *, keep: str = "") -> None:
        """Let the least recently used go until the rest and the newcomer fit. One too large for all stays alone."""
        for name in [name for name in self._residents if name != keep]:
            if sum(each.bytes for each in self._residents.values()) + needed <= self.budget:
                break
            del self._residents[name]
            log.info("%s leaves memory", name)
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def _usual_gb(self) -> float:
        if self.device != "cuda":
            return GB_ON_CPU
        return float(torch.cuda.get_device_properties(0).total_memory) * SHARE_FOR_WEIGHTS / 1e9


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error).lower() for words in OUT_OF_MEMORY
    )


def _is_broken(error: Exception) -> bool:
    """Whether the GPU's context is lost: such an error stays for the life of the process."""
    return isinstance(error, torch.AcceleratorError) and not _lacks_memory(error)
