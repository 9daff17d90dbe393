"""The shipped house models, by what no other test asks of them: led by more than words, moving, in few steps.

That each mode loads is tried in test_families.py, on random weights. Here they are the real ones: a part that is
missing, or of another training than its painter, does not give the ground that was asked for.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from generation.engine import DrawItem, Drawn, load_catalogue
from generation.engine.diffusion import DiffusersEngine

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


@pytest.mark.parametrize(
    ("card", "mode"),
    [*(("house-painter", mode) for mode in INPUTS if mode != "text_to_image"), ("house-turbo", "text_to_image")],
)
def test_a_shipped_part_draws_on_the_ground_that_was_asked_for(card: str, mode: str) -> None:
    model = load_catalogue(ROOT / "generation" / "catalogue", weights_root=ROOT / "training" / "weights")[card]
    way = model.modes[mode]
    item = DrawItem(
        key="one", prompt="a red apple on blue", negative_prompt="", seed=1, width=SIDE, height=SIDE,
        steps=max(way.steps.least, 4), guidance_scale=way.guidance_scale.default, mode=mode,
        strength=way.strength.default if way.strength else None, frames=way.frames[0], fps=way.fps, **INPUTS[mode],
    )  # fmt: skip
    (drawn,) = DiffusersEngine(device="cpu", threads=2).draw(model, [item], on_step=lambda done, total: ())
    assert isinstance(drawn, Drawn), drawn
    frames = drawn.pixels.reshape(-1, SIDE, SIDE, 3).astype(int)
    assert len(frames) == way.frames[0]
    border = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], 1)
    red, green, blue = np.median(border, (0, 1))
    assert blue > 150
    assert blue > max(red, green) + 50
    # And something is there that is redder than it is blue.
    assert (frames[..., 0] > frames[..., 2] + 50).mean() > 0.01
