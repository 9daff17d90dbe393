"""The engine on a real diffusers pipeline with small random weights."""

import io
import math
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generation.engine import DrawItem, Drawn, ModelCard, NotDrawn, WeightsError
from generation.engine.diffusion import DiffusersEngine
from generation.engine.encoding import original
from tests.engine.conftest import POISON, Damage, write_sums


@pytest.fixture(scope="module")
def engine(tiny: ModelCard) -> DiffusersEngine:
    # One thread: beside the other tests' processes two wait for each other more than they compute.
    engine = DiffusersEngine(device="cpu", threads=1)
    engine.warm(tiny)
    return engine


def item(key: str, seed: int, prompt: str = "a red apple", **changed: object) -> DrawItem:
    values = {"width": 64, "height": 64, "steps": 3, "guidance_scale": 5.0} | changed
    return DrawItem(key=key, prompt=prompt, negative_prompt="", seed=seed, **values)


def go_on(step: int, total: int) -> Collection[str]:
    return ()


def pixels(result: Drawn | NotDrawn) -> np.ndarray:
    assert isinstance(result, Drawn), result
    return result.pixels.astype(np.int16)


def test_a_seed_gives_its_picture_alone_or_among_others(engine: DiffusersEngine, tiny: ModelCard) -> None:
    alone = pixels(engine.draw(tiny, [item("a", 7)], on_step=go_on)[0])
    among = engine.draw(tiny, [item("x", 1, "a car"), item("a", 7), item("y", 2, "a cat")], on_step=go_on)
    assert np.abs(pixels(among[1]) - alone).max() <= 1
    assert np.abs(pixels(among[0]) - alone).max() > 1


def test_each_step_is_told_once_and_in_order(engine: DiffusersEngine, tiny: ModelCard) -> None:
    told: list[tuple[int, int]] = []

    def note(step: int, total: int) -> Collection[str]:
        told.append((step, total))
        return ()

    engine.draw(tiny, [item("a", 1, steps=5)], on_step=note)
    assert told == [(step, 5) for step in range(1, 6)]


def test_a_cancelled_batch_stops_within_one_step_and_the_pipeline_stays_usable(
    engine: DiffusersEngine, tiny: ModelCard
) -> None:
    before = pixels(engine.draw(tiny, [item("a", 3)], on_step=go_on)[0])
    steps = 0

    def cancel(step: int, total: int) -> Collection[str]:
        nonlocal steps
        steps = step
        return ["a"] if step == 2 else ()

    results = engine.draw(tiny, [item("a", 3, steps=20)], on_step=cancel)
    assert results == [NotDrawn("a", "cancelled")]
    assert steps == 2
    assert np.array_equal(pixels(engine.draw(tiny, [item("a", 3)], on_step=go_on)[0]), before)


def test_one_cancelled_item_leaves_its_neighbour(engine: DiffusersEngine, tiny: ModelCard) -> None:
    results = engine.draw(tiny, [item("a", 1), item("b", 2)], on_step=lambda step, total: ["a"])
    assert results[0] == NotDrawn("a", "cancelled")
    assert isinstance(results[1], Drawn)


def test_what_a_step_raises_stops_the_draw(engine: DiffusersEngine, tiny: ModelCard) -> None:
    def lost(step: int, total: int) -> Collection[str]:
        raise TimeoutError("the lease is lost")

    with pytest.raises(TimeoutError):
        engine.draw(tiny, [item("a", 1)], on_step=lost)


def reasons(results: list[Drawn | NotDrawn]) -> list[str]:
    return [result.reason if isinstance(result, NotDrawn) else "drawn" for result in results]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_decoder_that_makes_no_numbers_makes_no_picture(damaged: Damage, number: float) -> None:
    """Infinity in one channel only: diffusers itself would clamp it and hand out a picture."""
    card = damaged("vae", "decoder.conv_out.bias", 0, number)
    assert reasons(DiffusersEngine(device="cpu").draw(card, [item("a", 1)], on_step=go_on)) == ["not_finite"]


def test_an_item_that_is_no_number_leaves_its_neighbours(damaged: Damage) -> None:
    """The token of `~` reads as NaN, so only the prompt that holds it fails."""
    card = damaged("text_encoder", "embeddings.token_embedding.weight", POISON, math.nan)
    items = [item("a", 1), item("b", 2, "a ~ cat"), item("c", 3)]
    assert reasons(DiffusersEngine(device="cpu").draw(card, items, on_step=go_on)) == ["drawn", "not_finite", "drawn"]


def test_a_flat_picture_is_no_picture(damaged: Damage) -> None:
    card = damaged("vae", "decoder.conv_out.weight", slice(None), 0.0)
    assert reasons(DiffusersEngine(device="cpu").draw(card, [item("a", 1)], on_step=go_on)) == ["constant"]


def test_weights_of_another_shape_are_said_and_leave_nothing_in_memory(tiny: ModelCard, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder, tmp_path / "tiny")
    (tmp_path / "tiny" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"not weights")
    write_sums(tmp_path / "tiny")
    engine = DiffusersEngine(device="cpu")
    with pytest.raises(WeightsError, match="tiny cannot be loaded: Unable to load weights"):
        engine.warm(replace(tiny, folder=tmp_path / "tiny"))
    assert engine.loaded is None


def test_a_picture_carries_no_words_of_its_prompt(engine: DiffusersEngine, tiny: ModelCard) -> None:
    drawn = engine.draw(tiny, [item("a", 1, "secret words")], on_step=go_on)[0]
    assert isinstance(drawn, Drawn)
    assert Image.open(io.BytesIO(original(drawn).data)).info == {}


def test_items_of_different_sizes_are_no_batch(engine: DiffusersEngine, tiny: ModelCard) -> None:
    with pytest.raises(ValueError, match="one size"):
        engine.draw(tiny, [item("a", 1), item("b", 2, width=128)], on_step=go_on)
