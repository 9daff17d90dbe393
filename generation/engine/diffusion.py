"""The engine that draws with diffusers pipelines."""

import copy
import logging
import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is ever fetched while drawing

import diffusers
import numpy as np
import torch
import transformers
from safetensors import SafetensorError

from generation.engine.cards import ModelCard, verify
from generation.engine.checks import picture_of
from generation.engine.errors import WeightsError
from generation.engine.items import DrawItem, Drawn, NotDrawn, OnStep

log = logging.getLogger(__name__)
diffusers.utils.logging.set_verbosity_error()  # its warnings quote prompts, which are not for logs
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()


class AllCancelled(Exception):
    """Nobody waits for this batch any more. Raised from the step callback: diffusers' `interrupt` would still
    decode and return a half-denoised picture."""


class DiffusersEngine:
    """Holds one pipeline and draws batches with it. One call at a time; make one engine for each process.

    threads None leaves torch its choice, all cores. On cores shared with others fewer are faster: torch's threads
    wait for each other at every operation.
    """

    def __init__(self, *, device: str | None = None, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._card: ModelCard | None = None
        self._pipeline: Any = None
        self._scheduler: Any = None

    @property
    def loaded(self) -> str | None:
        return self._card.name if self._card else None

    def warm(self, card: ModelCard) -> None:
        """Load a card's pipeline, unless it is the one in memory. The one before leaves first.

        Every file is checked before any is read by diffusers: safetensors only, from the local folder, no code.
        """
        if self._card == card:
            return
        verify(card)
        self._card = self._pipeline = self._scheduler = None
        if self.device == "cuda":
            torch.cuda.empty_cache()
        kind = getattr(diffusers, card.pipeline)
        # On a CPU without native half precision everything is computed in single.
        dtype = getattr(torch, card.dtype) if self.device != "cpu" else torch.float32
        # The built-in checker blackens what it dislikes and lets NaN pass. The sieve judges, after the draw.
        left_out = {"safety_checker": None, "requires_safety_checker": False}
        options = left_out if card.pipeline == "StableDiffusionPipeline" else {}
        try:
            pipeline = kind.from_pretrained(
                card.folder, dtype=dtype, local_files_only=True, use_safetensors=True, **options
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
            what = f"cannot be loaded as {card.pipeline}: {error}"
            raise WeightsError(card.name, card.folder.name, what) from error
        pipeline.set_progress_bar_config(disable=True)
        # Its own clamps to 0..1 and so makes white of infinity; the check needs the decoder's numbers as they came.
        pipeline.image_processor.denormalize = lambda decoded: decoded * 0.5 + 0.5
        self._pipeline = pipeline.to(self.device)
        self._scheduler = pipeline.scheduler
        self._card = card
        log.info("loaded %s on %s", card.name, self.device)

    def draw(self, card: ModelCard, items: Sequence[DrawItem], *, on_step: OnStep) -> list[Drawn | NotDrawn]:
        """Draw a batch; one generator for each item, so that a seed gives its picture alone or among others.

        Equal to about 1e-6 in single precision, never bit for bit. See items.Engine for what is raised.
        """
        if len({(item.width, item.height, item.steps, item.guidance_scale) for item in items}) != 1:
            raise ValueError("A batch has one size, one number of steps and one guidance scale.")
        self.warm(card)
        first = items[0]
        cancelled: set[str] = set()

        def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            cancelled.update(on_step(min(step + 1, first.steps), first.steps))
            if cancelled.issuperset(item.key for item in items):
                raise AllCancelled
            return tensors

        # Every pipeline made from these parts would share one scheduler, which keeps state: a fresh one each call.
        self._pipeline.scheduler = copy.deepcopy(self._scheduler)
        try:
            with torch.inference_mode():
                pixels = self._pipeline(
                    prompt=[item.prompt for item in items],
                    negative_prompt=[item.negative_prompt for item in items],
                    generator=[torch.Generator("cpu").manual_seed(item.seed) for item in items],
                    width=first.width,
                    height=first.height,
                    num_inference_steps=first.steps,
                    guidance_scale=first.guidance_scale,
                    output_type="np",
                    callback_on_step_end=after_step,
                    callback_on_step_end_tensor_inputs=["latents"],
                ).images
        except AllCancelled:
            return [NotDrawn(item.key, "cancelled") for item in items]
        return [
            NotDrawn(item.key, "cancelled") if item.key in cancelled else picture_of(item.key, np.asarray(decoded))
            for item, decoded in zip(items, pixels, strict=True)
        ]
