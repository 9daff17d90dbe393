"""A film is what was drawn, frame by frame, and lasts as long as it says."""

import io
import math
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from generation.engine import Drawn, NotDrawn
from generation.engine.checks import medium_of
from generation.engine.encoding import film, frames, original


def moving(number: int = 16, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A bright square that moves to the right over two colours."""
    pixels = np.zeros((number, height, width, 3), np.uint8)
    pixels[:, :, width // 2 :] = (40, 90, 160)
    for at in range(number):
        pixels[at, 16:32, 2 * at : 2 * at + 16] = (240, 200, 30)
    return pixels


def test_an_original_has_every_pixel_as_it_was_drawn() -> None:
    drawn = Drawn("k", np.random.default_rng(1).integers(0, 256, (7, 24, 40, 3), dtype=np.uint8), fps=8)
    file = original(drawn)
    assert (file.suffix, file.media_type) == (".mp4", "video/mp4")
    assert np.array_equal(np.stack(list(frames(io.BytesIO(file.data)))), drawn.pixels)


@pytest.mark.parametrize(("number", "fps"), [(16, 8), (25, 24), (2, 30), (81, 16)])
def test_a_film_for_playing_lasts_exactly_as_long_as_its_frames(number: int, fps: int) -> None:
    with av.open(io.BytesIO(film(moving(number), fps))) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert stream.average_rate == fps
        assert stream.duration * stream.time_base == Fraction(number, fps)
        assert stream.frames == number == sum(1 for _ in container.decode(video=0))


def test_a_film_for_playing_begins_with_its_index_and_says_nothing_of_its_maker() -> None:
    data = film(moving(), 8)
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(io.BytesIO(data)) as container:
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands", "encoder"}


def test_a_film_for_playing_looks_like_what_was_drawn() -> None:
    pixels = moving()
    played = np.stack(list(frames(io.BytesIO(film(pixels, 8)))))
    error = np.mean((played.astype(float) - pixels) ** 2)
    assert 10 * math.log10(255**2 / error) > 30


def test_odd_sides_are_said_before_anything_is_encoded() -> None:
    with pytest.raises(ValueError, match="even sides, not 63x48"):
        film(moving(width=63), 8)


def test_a_film_may_have_a_flat_frame_and_not_only_such() -> None:
    pixels = np.random.default_rng(1).random((4, 8, 8, 3))
    pixels[1] = 0.5
    assert isinstance(medium_of("k", pixels, fps=8), Drawn)
    flat = medium_of("k", np.full((4, 8, 8, 3), 0.5), fps=8)
    assert isinstance(flat, NotDrawn)
    assert flat.reason == "constant"


def test_one_frame_that_is_no_number_spoils_the_film() -> None:
    pixels = np.random.default_rng(1).random((4, 8, 8, 3))
    pixels[3, 0, 0, 0] = np.nan
    spoilt = medium_of("k", pixels, fps=8)
    assert isinstance(spoilt, NotDrawn)
    assert spoilt.reason == "not_finite"
