"""Small heads over a CLIP's embedding: a linear layer, or a few with ReLU between, as such heads are published.

UnivFD (Ojha et al., "Towards Universal Fake Image Detectors that Generalize Across Generative Models", 2023) is one
linear layer over the raw embedding; LAION's heads for nudity are a few layers over one of length 1. Each is a file of
safetensors whose metadata say which CLIP it belongs to: over another's embedding it would give numbers that mean
nothing.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "heads"
EMBEDDINGS = ("unit", "raw")


class HeadRefused(Exception):
    """A head that is not written as it should be, or belongs to another CLIP."""


@dataclass(frozen=True)
class Head:
    """One score from an embedding. `layers` are (weight, out x in; bias, out), float32; the last has one output."""

    signal: str
    version: str
    embedding: str
    layers: tuple[tuple[Any, Any], ...]

    @classmethod
    def read(cls, path: Path, *, clip: str) -> "Head":
        """Read a head whose name is its signal. `clip` is the version of the CLIP that it is to stand on.

        Raises HeadRefused.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                said = file.metadata() or {}
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise HeadRefused(f"{path.name} cannot be read: {error}") from error
        if said.get("clip") != clip:
            raise HeadRefused(f"{path.name} was trained on the CLIP {said.get('clip', '')[:12]}, not on {clip[:12]}")
        if said.get("embedding") not in EMBEDDINGS:
            raise HeadRefused(f"{path.name}: embedding in its metadata must be one of {', '.join(EMBEDDINGS)}")
        return cls(
            signal=path.stem,
            version=hashlib.sha256(path.read_bytes()).hexdigest(),
            embedding=said["embedding"],
            layers=tuple(_layers(path.name, tensors)),
        )

    def scores(self, raw: Any) -> list[float]:
        """The score of each raw embedding, n x d, 0..1."""
        import torch.nn.functional as F

        state = F.normalize(raw, dim=-1) if self.embedding == "unit" else raw
        for weight, bias in self.layers[:-1]:
            state = F.relu(F.linear(state, weight, bias))
        weight, bias = self.layers[-1]
        found: list[float] = F.linear(state, weight, bias)[:, 0].sigmoid().tolist()
        return found


def read_all(folder: Path, *, clip: str) -> list[Head]:
    """Every head beside a CLIP, by name."""
    return [Head.read(path, clip=clip) for path in sorted((folder / FOLDER).glob("*.safetensors"))]


def _layers(name: str, tensors: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The layers in the order of the numbers in their names: weight and bias alone, or layers.0.weight and so on."""

    def place(key: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", key)]

    weights = sorted((key for key in tensors if key.split(".")[-1] == "weight"), key=place)
    layers = []
    wide: Sequence[int] = ()
    for key in weights:
        weight, bias = tensors[key], tensors.get(f"{key.removesuffix('weight')}bias")
        if weight.ndim != 2 or bias is None or tuple(bias.shape) != (weight.shape[0],):
            raise HeadRefused(f"{name}: {key} is no layer with a bias")
        if wide and weight.shape[1] != wide[0]:
            raise HeadRefused(f"{name}: {key} takes {weight.shape[1]} numbers, and the layer before gives {wide[0]}")
        wide = weight.shape
        layers.append((weight, bias))
    if not layers or wide[0] != 1 or 2 * len(layers) != len(tensors):
        raise HeadRefused(f"{name}: it must be layers with weight and bias, the last with one output")
    return layers
