"""Every piece of the house models learns one step, is exported, and draws each mode that its card sells."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
from PIL import Image

from generation.engine import MODES, DrawItem, Drawn, load_catalogue
from generation.engine.diffusion import DiffusersEngine
from tests.test_world import world  # noqa: F401
from training import export, weights_folder
from training.models import autoencoder, clip, controls, judge, motion, painter, turbo
from training.world.scenes import World

# The cards as they are sold.
CATALOGUE = Path(__file__).resolve().parents[2] / "generation" / "catalogue"
SIDE = autoencoder.SIDE


@pytest.fixture(scope="module")
def weights(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Weights that have learnt one step, as `training.run all` and `export` leave them."""
    # Compiling takes minutes and pays only over hours.
    torch._dynamo.config.disable = True
    folder, state = tmp_path_factory.mktemp("weights"), tmp_path_factory.mktemp("state")
    once: dict[str, Any] = {"minutes": 1, "steps": 1, "folder": state}
    clip.train(world, **once, size=8)
    judge.train(world, **once, size=8)
    autoencoder.train(world, **once, batch=4)
    painter.train(world, **once, size=painter.PART)
    for name in controls.LEADS:
        controls.train(name, world, **once, size=2)
    motion.train(world, **once, size=1)
    turbo.train(world, **once, number=turbo.PART, drawings=painter.PART)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights_folder, "WEIGHTS", folder)
        export.export_clip(state)
        export.export_painter(world, state)
    return folder


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("card", "mode"), [*(("house-painter", mode) for mode in MODES), ("house-turbo", "text_to_image")]
)
def test_each_mode_of_the_house_is_drawn(weights: Path, card: str, mode: str) -> None:
    model = load_catalogue(CATALOGUE, weights_root=weights)[card]
    way = model.modes[mode]
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, (SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2))
    films = tuple(picture(seed) for seed in range(way.frames[0]))
    has: dict[str, Any] = {
        "picture": picture(1), "mask": mask, "control": picture(2), "last": picture(3), "film": films,
    }  # fmt: skip
    item = DrawItem(
        key="one", prompt="a red cat", negative_prompt="", seed=1, width=SIDE, height=SIDE, steps=way.steps.least,
        guidance_scale=way.guidance_scale.default, mode=mode, strength=way.strength.default if way.strength else None,
        frames=way.frames[0], fps=way.fps, **{name: has[name] for name in MODES[mode].needs},
    )  # fmt: skip
    (drawn,) = DiffusersEngine(device="cpu", threads=2).draw(model, [item], on_step=lambda done, total: ())
    assert isinstance(drawn, Drawn), drawn
    assert drawn.pixels.shape[-3:] == (SIDE, SIDE, 3)
    assert drawn.pixels.std() > 0
