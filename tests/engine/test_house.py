"""The shipped house models, by what no other test asks of them: led by more than words, moving, in few steps.

That each mode loads is tried in test_families.py, on random weights. Here they are the real ones: a part that is
missing, or of another training than its painter, does not give the ground that was asked for.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from generation.engine import DrawItem, Drawn, ModelCard, load_catalogue
from generation.engine.diffusion import DiffusersEngine
from generation.engine.in_motion import from_the_start, moved, path

ROOT = Path(__file__).resolve().parents[2]
SIDE = 128


def lead(line: str, ground: str) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    ImageDraw.Draw(picture).ellipse((32, 32, 96, 96), outline=line, width=4)
    return picture


INPUTS: dict[str, dict[str, Any]] = {
    "scribble": {"control": lead("white", "black")},
    "segmentation": {"control": lead("#ffa500", "#f4f1ea")},
    "inpainting": {
        "picture": Image.new("RGB", (SIDE, SIDE), (45, 110, 225)),
        "mask": Image.new("L", (SIDE, SIDE), 255),
    },
    "text_to_film": {},
    "text_to_image": {},
}


def asked(card: str, mode: str, **changed: Any) -> tuple[ModelCard, DrawItem]:
    model = load_catalogue(ROOT / "generation" / "catalogue", weights_root=ROOT / "training" / "weights")[card]
    way = model.modes[mode]
    values: dict[str, Any] = {
        "key": "one", "prompt": "a red apple on blue", "negative_prompt": "", "seed": 1, "width": SIDE, "height": SIDE,
        "steps": max(way.steps.least, 4), "guidance_scale": way.guidance_scale.default, "mode": mode,
        "strength": way.strength.default if way.strength else None, "frames": way.frames[0], "fps": way.fps,
    }  # fmt: skip
    return model, DrawItem(**values | changed)


def frames_of(model: ModelCard, item: DrawItem) -> NDArray[np.int64]:
    """frames x SIDE x SIDE x 3."""
    (drawn,) = DiffusersEngine(device="cpu", threads=1).draw(model, [item], on_step=lambda done, total: ())
    assert isinstance(drawn, Drawn), drawn
    frames: NDArray[np.int64] = drawn.pixels.reshape(-1, SIDE, SIDE, 3).astype(int)
    assert len(frames) == item.frames
    return frames


@pytest.mark.parametrize(
    ("card", "mode"),
    [*(("house-painter", mode) for mode in INPUTS if mode != "text_to_image"), ("house-turbo", "text_to_image")],
)
def test_a_shipped_part_draws_on_the_ground_that_was_asked_for(card: str, mode: str) -> None:
    frames = frames_of(*asked(card, mode, **INPUTS[mode]))
    border = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], 1)
    red, green, blue = np.median(border, (0, 1))
    assert blue > 150
    assert blue > max(red, green) + 50
    # And something is there that is redder than it is blue.
    assert (frames[..., 0] > frames[..., 2] + 50).mean() > 0.01


@pytest.mark.parametrize("card", ["house-painter", "house-turbo"])
def test_two_things_stand_as_they_are_told(card: str) -> None:
    model, item = asked(card, "text_to_image", prompt="a red apple above a green pear on blue")
    red, green, blue = np.moveaxis(frames_of(model, item)[0], -1, 0)
    apple, pear = red > np.maximum(green, blue) + 50, green > np.maximum(red, blue) + 20
    assert apple.mean() > 0.02
    assert pear.mean() > 0.02
    assert np.argwhere(apple)[:, 0].mean() < np.argwhere(pear)[:, 0].mean() - 0.2 * SIDE


def test_a_picture_of_two_is_the_same_alone_and_among_others() -> None:
    model, two = asked("house-painter", "text_to_image", prompt="a red apple above a green pear on blue")
    one = dataclasses.replace(two, key="two", prompt="a red apple on blue", seed=2)
    engine = DiffusersEngine(device="cpu", threads=1)

    def drawn(*items: DrawItem) -> list[NDArray[np.int64]]:
        made = engine.draw(model, items, on_step=lambda done, total: ())
        return [each.pixels.astype(int) for each in made if isinstance(each, Drawn)]

    (first, second, third), (alone,), (other,) = drawn(one, two, one), drawn(two), drawn(one)
    assert np.abs(second - alone).max() <= 1
    assert max(np.abs(first - other).max(), np.abs(third - other).max()) <= 1


def picture() -> Image.Image:
    """A red disc on blue, such as the models know."""
    made = Image.new("RGB", (SIDE, SIDE), (45, 110, 225))
    ImageDraw.Draw(made).ellipse((34, 34, 94, 94), fill=(225, 45, 45))
    return made


@pytest.mark.parametrize("mode", ["image_to_image", "variation", "film_variation", "film_between"])
def test_what_is_hardly_left_stays_what_it_was(mode: str) -> None:
    """Of a picture that goes in, nothing may be noise that the painter never learnt to take away."""
    given = picture()
    inputs: dict[str, Any] = {"picture": given, "strength": 0.3}
    if mode == "film_variation":
        inputs = {"film": (given,) * 16, "strength": 0.3}
    if mode == "film_between":
        inputs = {"picture": given, "last": given}
    frames = frames_of(*asked("house-painter", mode, steps=10, **inputs))
    assert np.abs(frames - np.asarray(given, dtype=int)).mean() < 8


@pytest.mark.parametrize("mode", ["text_to_film", "image_to_film"])
def test_a_film_moves_as_it_is_told(mode: str) -> None:
    given = {"picture": picture()} if mode == "image_to_film" else {}
    card, item = asked("house-painter", mode, prompt="a red apple moving left on blue", steps=8, **given)
    frames = frames_of(card, item)
    is_red = frames[..., 0] > frames[..., 2] + 50
    assert is_red.any((1, 2)).all()
    right = [np.argwhere(one)[:, 1].mean() / SIDE for one in is_red]
    assert right[0] - right[-1] > 0.2
    if mode == "image_to_film":
        shown = torch.from_numpy(np.array(given["picture"], np.float32) / 255).permute(2, 0, 1)
        led = moved(shown, from_the_start(path("left", len(frames)))).permute(0, 2, 3, 1).numpy() * 255
        assert np.abs(frames - led).mean((1, 2, 3)).max() < 12  # what was brought, wherever it is by then
        assert np.abs(frames[0] - led[0]).mean() < 8


def test_a_part_drawn_anew_meets_what_is_about_it() -> None:
    ground = (45, 110, 225)
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (24, 24, 104, 104))
    given = Image.new("RGB", (SIDE, SIDE), ground)
    card, item = asked("house-painter", "inpainting", steps=20, picture=given, mask=mask)
    (frame,) = frames_of(card, item)
    part = frame[24:104, 24:104]
    rim = np.concatenate([part[:3].reshape(-1, 3), part[-3:].reshape(-1, 3)])
    assert np.abs(np.median(rim, 0) - ground).max() < 20
    assert (part[..., 0] > part[..., 2] + 50).mean() > 0.05  # and there is something in it
