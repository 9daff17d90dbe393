"""Faces, found and compared: on two photographs that packages carry, on drawings, and on what no face is in."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from moderation.classifiers.clip import WeightsRefused
from moderation.classifiers.faces import FINDER_SHA256, HALF, Faces, aligned, likeness
from moderation.signals import Signal

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "training" / "weights" / "face-descriptor"
# Rear Admiral Grace Hopper, by the United States Navy: in the public domain, and in matplotlib.
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def finder() -> Faces:
    faces = Faces(WEIGHTS)
    faces.load()
    return faces


@pytest.fixture(scope="module")
def hopper() -> Image.Image:
    return Image.open(HOPPER).convert("RGB")


def signals(faces: Faces, picture: Image.Image) -> dict[str, Signal]:
    (found,) = faces.screen([picture])
    return {one.name: one for one in found}


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda one: one,
    "jpeg 30": lambda one: as_jpeg(one, 30),
    "a quarter as large": lambda one: one.resize((one.width // 4, one.height // 4)),
    "mirrored": ImageOps.mirror,
    "grey": lambda one: ImageOps.grayscale(one).convert("RGB"),
    "dark": lambda one: ImageEnhance.Brightness(one).enhance(0.5),
    "turned by 20 degrees": lambda one: one.rotate(20),
    "blurred": lambda one: one.filter(ImageFilter.GaussianBlur(3)),
    "stretched": lambda one: one.resize((one.width, round(one.height * 0.75))),
    "cut": lambda one: one.crop((50, 50, 450, 420)),
    "in a corner of a large picture": lambda one: _in_a_corner(one),
}  # fmt: skip


def _in_a_corner(one: Image.Image) -> Image.Image:
    large = Image.new("RGB", (1600, 1200), (70, 110, 60))
    large.paste(one.resize((300, 352)), (1250, 800))
    return large


@pytest.mark.parametrize("way", WAYS)
def test_a_registered_face_is_known_however_it_comes(finder: Faces, hopper: Image.Image, way: str) -> None:
    (face,) = finder.faces(hopper)
    known = Faces(WEIGHTS, lambda finder, version: [face.descriptor])
    known._finder, known._describe, known.version = finder._finder, finder._describe, finder.version
    told = signals(known, WAYS[way](hopper))
    assert told["face"].score >= 0.6
    assert told["protected"].score >= 0.5


def test_another_face_is_not_taken_for_it(finder: Faces, hopper: Image.Image) -> None:
    rng = np.random.default_rng(0)
    others = rng.standard_normal((50, 128)).astype(np.float32)
    others *= 1.4 / np.linalg.norm(others, axis=1, keepdims=True)
    known = Faces(WEIGHTS, lambda finder, version: others)
    known._finder, known._describe, known.version = finder._finder, finder._describe, finder.version
    assert signals(known, hopper)["protected"].score < 0.05


def test_nobody_is_registered(finder: Faces, hopper: Image.Image) -> None:
    assert signals(finder, hopper)["protected"].score == 0.0


def test_where_it_is(finder: Faces, hopper: Image.Image) -> None:
    (face,) = finder.faces(hopper)
    left, top, right, bottom = face.box
    # The eyes lie about (245, 165) and (315, 165), the mouth at (285, 240).
    assert left < 245 < 315 < right
    assert top < 165 < 240 < bottom
    assert right - left < 220
    assert len(face.descriptor) == 128


def test_two_people_in_one_picture_are_two(finder: Faces, hopper: Image.Image) -> None:
    both = Image.new("RGB", (hopper.width * 2, hopper.height))
    both.paste(hopper, (0, 0))
    both.paste(ImageOps.mirror(hopper).resize((256, 300)), (hopper.width + 100, 100))
    large, small = finder.faces(both)
    assert large.box[3] - large.box[1] > small.box[3] - small.box[1]
    apart = np.linalg.norm(np.subtract(large.descriptor, small.descriptor))
    assert apart < HALF


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (33, 2_000), (3_000, 3_000)])
def test_sizes_at_the_edge_find_nobody_and_break_nothing(finder: Faces, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (min(size[1], 64), min(size[0], 64), 3), dtype=np.uint8)
    told = signals(finder, Image.fromarray(noise).resize(size))
    assert told["face"].score < 0.6
    assert told["protected"].score == 0.0


def test_drawings_of_people_are_no_faces(finder: Faces) -> None:
    scenes = Image.open(ROOT / "tests" / "sieve" / "scenes.jpg").convert("RGB")
    assert signals(finder, scenes)["face"].score < 0.6


def test_a_face_is_brought_upright() -> None:
    """Eyes, nose and mouth come to lie where the descriptor expects them, from any turn and size."""
    marks = np.array([[48.2, 48.75], [101.8, 48.75], [75, 79.5], [56.25, 106.5], [93.75, 106.5]])
    picture = np.full((400, 400, 3), 40, np.uint8)
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]) * 1.4
    points = (marks - 75) @ turn.T + (210, 190)
    for x, y in points:
        picture[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = 255
    chip = aligned(Image.fromarray(picture), points)
    for x, y in marks:
        assert chip[round(y), round(x)].min() > 150


def test_a_distance_becomes_a_score() -> None:
    assert likeness(HALF) == pytest.approx(0.5)
    assert likeness(0.0) > 0.99
    assert likeness(0.75) < 0.05
    assert likeness(0.3) > likeness(0.4) > likeness(0.5)


def test_weights_that_changed_are_refused(tmp_path: Path) -> None:
    for file in WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(WeightsRefused, match=r"model\.safetensors"):
        Faces(tmp_path).load()


def test_another_finder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.classifiers.faces.FINDER_SHA256", FINDER_SHA256[::-1])
    with pytest.raises(ValueError, match=r"centerface\.onnx"):
        Faces(WEIGHTS).load()
