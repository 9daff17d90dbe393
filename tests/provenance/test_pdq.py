"""PDQ as its makers' package has it, and what it finds again."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from moderation.provenance import pdq as module
from moderation.provenance.hashes import LEAST_QUALITY, NEAR, Pdq
from moderation.provenance.pdq import pdq, turned


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft fields with a few hard edges: the same on every machine."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = np.kron(small, np.ones((40, 40, 1), dtype=np.uint8))
    for _ in range(6):
        top, left = rng.integers(0, 200, 2)
        picture[top : top + 30, left : left + 50] = rng.integers(0, 256, 3)
    return Image.fromarray(picture).resize(size, Image.Resampling.BOX)


# By pdqhash 0.2.8, over the same arrays: hash and quality.
KNOWN = {
    (1, (320, 240)): ("50e271ab860f871f39e179fc7930ba4183196bd678c3867945ae658ea42d8d37", 100),
    (2, (64, 64)): ("e6ed3875709ae7ccc393c01d3fe519b21812c5edcbb8cb1064edf8f07058131b", 100),
    (3, (601, 333)): ("aa15c3bcfde3f478b0fd01e343f4fc61d50a4ec4071e931baa15631c1c63364b", 100),
    (4, (97, 251)): ("b520c0b2d926c9d13698a64c2f4d1ec3839f272d3ee65b90fda1f93258769ec1", 100),
}


@pytest.mark.parametrize(("seed", "size"), list(KNOWN))
def test_it_is_the_hash_of_its_makers_to_the_bit(
    seed: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 10_000)
    found = pdq(scene(seed, size))
    assert (found.digits, found.quality) == KNOWN[seed, size]


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    written = io.BytesIO()
    picture.save(written, format="JPEG", quality=quality)
    return Image.open(io.BytesIO(written.getvalue()))


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near_and_other_pictures_far(seed: int) -> None:
    picture = scene(seed, (640, 480))
    own = pdq(picture)
    assert own.quality >= LEAST_QUALITY
    for copy in (
        picture.resize((320, 240)),
        picture.resize((900, 675)),
        as_jpeg(picture, 40),
        picture.point(lambda v: v * 0.9),
    ):
        assert own - pdq(copy) <= NEAR
    for other in range(5, 15):
        assert own - pdq(scene(other)) > 2 * NEAR


def test_a_picture_that_was_turned_or_mirrored_is_among_the_eight() -> None:
    picture = scene(3)
    for changed in (
        ImageOps.mirror(picture),
        ImageOps.flip(picture),
        picture.rotate(90, expand=True),
        picture.rotate(180),
    ):
        assert pdq(picture) - pdq(changed) > NEAR
        assert min(pdq(picture) - way for way in turned(changed)) == 0
    assert turned(picture)[0] == pdq(picture)
    assert len({way.digits for way in turned(picture)}) == 8


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (64, 64), (17, 300)])
def test_a_picture_of_any_shape_has_a_hash(size: tuple[int, int]) -> None:
    found = pdq(Image.new("RGB", size, (200, 10, 10)))
    assert len(found.digits) == 64
    assert found.quality == 0


def test_the_distance_counts_bits() -> None:
    assert Pdq("0" * 64, 100) - Pdq("f" * 64, 100) == 256
    assert Pdq("0" * 63 + "1", 100) - Pdq("0" * 63 + "3", 100) == 1
