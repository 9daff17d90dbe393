"""From a card's checked folder to pipelines: one for each mode, sharing all weights that they can."""

import copy
import json
import logging
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is ever fetched while drawing

import diffusers
import torch
import transformers
from safetensors import SafetensorError

from generation.engine.cards import ModeCard, ModelCard
from generation.engine.errors import WeightsError
from generation.engine.folder import verify
from generation.engine.in_motion import PictureInMotionPipeline
from generation.engine.interpolation import LatentInterpolationPipeline
from generation.engine.modes import MODES
from generation.engine.two_things import TwoThingsPipeline

log = logging.getLogger(__name__)
diffusers.utils.logging.set_verbosity_error()  # its warnings quote prompts, which are not for logs
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()

PIPELINES = frozenset().union(*(mode.pipelines for mode in MODES.values())) - {"fake"}
OWN = {each.__name__: each for each in (LatentInterpolationPipeline, PictureInMotionPipeline, TwoThingsPipeline)}
# What may stand in a folder of its own and be put into a pipeline: classes of diffusers, by the name in their config.
PARTS = frozenset(
    {"UNet2DConditionModel", "ControlNetModel", "MotionAdapter", "AutoencoderTiny", "AutoencoderKL"}
)  # fmt: skip
# Where the work is, by the names that pipelines have for it.
NETWORKS = ("unet", "transformer", "transformer_2", "controlnet")
LOADING_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError)


class Resident:
    """A card in memory: the folder's own pipeline, and one for each mode that was asked for, made of its parts."""

    def __init__(self, card: ModelCard, device: str) -> None:
        """Check every file, then load. Raises WeightsError; what was loaded till then is let go."""
        verify(card)
        self.card, self.device = card, device
        # On a CPU without native half precision everything is computed in single.
        self.dtype = getattr(torch, card.dtype) if device != "cpu" else torch.float32
        self._made: dict[tuple[object, ...], Any] = {}
        self._compiled: set[int] = set()
        try:
            self._base = self._load_base()
        except LOADING_ERRORS as error:
            raise WeightsError(card.name, card.folder.name, f"cannot be loaded: {error}") from error

    def pipeline(self, way: ModeCard) -> Any:
        """The pipeline of one mode, made when first asked for. Raises WeightsError."""
        key = (way.pipeline, tuple(sorted(way.parts.items())), way.lora)
        if key not in self._made:
            try:
                self._made[key] = self._make(way)
            except LOADING_ERRORS as error:
                what = f"cannot be loaded as {way.pipeline}: {error}"
                raise WeightsError(self.card.name, self.card.folder.name, what) from error
        return self._made[key]

    @property
    def bytes(self) -> int:
        """What its weights take, each tensor counted once."""
        tensors: dict[int, int] = {}
        for pipeline in (self._base, *self._made.values()):
            for part in pipeline.components.values():
                if isinstance(part, torch.nn.Module):
                    for tensor in (*part.parameters(), *part.buffers()):
                        tensors[tensor.data_ptr()] = tensor.nbytes
        return sum(tensors.values())

    def _load_base(self) -> Any:
        index = json.loads((self.card.folder / "model_index.json").read_text(encoding="utf-8"))
        name = index.get("_class_name", "")
        if name not in PIPELINES:
            raise ValueError(f"model_index.json names {name!r}, which is none of the pipelines that are drawn with")
        # The built-in checker blackens what it dislikes and lets NaN pass. The sieve judges, after the draw.
        left_out: dict[str, Any] = {}
        if "safety_checker" in index:
            left_out = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        if name == "StableDiffusionXLPipeline":
            left_out["add_watermarker"] = False  # a mark of ours is put on at release
        vae = {"vae": self._part(self.card.tuning.tiny_decoder)} if self.card.tuning.tiny_decoder else {}
        return getattr(diffusers, name).from_pretrained(
            self.card.folder,
            dtype=self.dtype,
            variant=self.card.variant("."),
            local_files_only=True,
            use_safetensors=True,
            **left_out,
            **vae,
        )

    def _make(self, way: ModeCard) -> Any:
        kind = OWN.get(way.pipeline) or getattr(diffusers, way.pipeline)
        if type(self._base) is kind and not way.parts and not way.lora:
            made = self._base
        else:
            parts = {name: self._part(folder) for name, folder in way.parts.items()}
            # Without a type `from_pipe` turns the shared weights to single precision.
            made = kind.from_pipe(self._base, dtype=self.dtype, **parts)
        if way.lora:
            self._change(made, way.lora)
        made.set_progress_bar_config(disable=True)
        # Its own clamps to 0..1 and so makes white of infinity; the check needs the decoder's numbers as they came.
        processor = getattr(made, "video_processor", None) or made.image_processor
        processor.denormalize = _plain
        self._tune(made)
        log.info("loaded %s of %s on %s", way.pipeline, self.card.name, self.device)
        return made

    def _part(self, folder: str) -> Any:
        """A network or a scheduler from a folder below the card's."""
        place: Path = self.card.folder / folder
        if (place / "scheduler_config.json").is_file():
            name = json.loads((place / "scheduler_config.json").read_text(encoding="utf-8"))["_class_name"]
            kind = getattr(diffusers, name)
            if not issubclass(kind, diffusers.SchedulerMixin):
                raise ValueError(f"{folder} names {name}, which is no scheduler")
            return kind.from_pretrained(place, local_files_only=True)
        name = json.loads((place / "config.json").read_text(encoding="utf-8")).get("_class_name")
        if name not in PARTS:
            raise ValueError(f"{folder} names {name!r}; parts are {', '.join(sorted(PARTS))}, or a scheduler")
        return getattr(diffusers, name).from_pretrained(
            place, dtype=self.dtype, variant=self.card.variant(folder), local_files_only=True, use_safetensors=True
        )

    def _change(self, pipeline: Any, folder: str) -> None:
        """Put a LoRA into what it changes of one pipeline: into copies, or every mode that shares it would be changed.

        Mostly that is the U-Net; some change what reads the words too.
        """
        (file,) = (self.card.folder / folder).glob("*.safetensors")
        try:
            pipeline.load_lora_weights(file.parent, weight_name=file.name, local_files_only=True, use_safetensors=True)
            changed = {name: copy.deepcopy(getattr(pipeline, name)) for name in pipeline.get_list_adapters()}
        finally:
            pipeline.unload_lora_weights()
        if not changed:
            raise ValueError(f"{folder}/{file.name} changes no part of {type(pipeline).__name__}")
        pipeline.register_modules(**changed)
        pipeline.fuse_lora(components=list(changed))
        pipeline.unload_lora_weights()

    def _tune(self, pipeline: Any) -> None:
        """Bring it to the device, prepared as the card says."""
        tuning = self.card.tuning
        networks = [part for name in NETWORKS if (part := getattr(pipeline, name, None)) is not None]
        if tuning.channels_last:
            for part in (*networks, pipeline.vae):
                if any(parameter.ndim == 4 for parameter in part.parameters()):
                    part.to(memory_format=torch.channels_last)
        if self.device == "cpu":
            return
        if tuning.offload == "model":
            pipeline.enable_model_cpu_offload(device=self.device)
        elif tuning.offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=self.device)
        else:
            pipeline.to(self.device)
        if tuning.compile:
            for part in networks:
                # Once, however many modes share it: each time would compile all anew.
                if id(part) not in self._compiled:
                    self._compiled.add(id(part))
                    part.compile_repeated_blocks()


def _plain(decoded: torch.Tensor) -> torch.Tensor:
    """From -1..1 to 0..1, and nothing cut off."""
    return decoded * 0.5 + 0.5
