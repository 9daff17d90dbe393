"""Every family that the catalogue knows is loaded and drawn with, offline, by the loader that loads the real ones."""

import json
import shutil
import tomllib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generation.engine import (
    MODES,
    DrawItem,
    Drawn,
    ModelCard,
    NotDrawn,
    WeightsError,
    load_card,
    load_catalogue,
    two_things,
)
from generation.engine.calls import GUIDANCE_RESCALE, arguments
from generation.engine.diffusion import DiffusersEngine
from generation.engine.loading import Resident
from tests.engine.conftest import write_sums
from tests.engine.families import FAMILIES, Family

ROOT = Path(__file__).resolve().parent.parent.parent
SIDE = 64
SHARED = """
sizes = [{{ released = "{side}x{side}", drawn = "{side}x{side}" }}]
max_batch = 4
n_max = 4
price = {{ minimum = 1 }}
steps = {{ default = 2, min = 1, max = 50 }}
guidance_scale = {{ default = 3, min = 0, max = 15 }}
strength = {{ default = 0.6, min = 0, max = 1 }}
frames = {frames}
fps = 8
"""
EACH = [(name, mode) for name, family in FAMILIES.items() for mode, _, _ in family.modes]


def write_card(root: Path, name: str, family: Family, side: int = SIDE) -> ModelCard:
    shared = SHARED.format(side=side, frames=list(family.frames))
    modes = [(MODES[mode], pipeline, parts) for mode, pipeline, parts in family.modes]
    unused = set()
    if not any(mode.is_film for mode, _, _ in modes):
        unused |= {"frames", "fps"}
    if not any(mode.has_strength for mode, _, _ in modes):
        unused |= {"strength"}
    lines = [line for line in shared.splitlines() if line.split(" ")[0] not in unused]
    for mode, pipeline, parts in modes:
        lines += [f"[modes.{mode.name}]", f'pipeline = "{pipeline}"']
        lines += [f"{part if part == 'lora' else f'parts.{part}'} = {folder!r}" for part, folder in parts.items()]
        if mode.has_palette:
            lines.append('palette = { sky = "#06e6e6", grass = "#04fa07" }')
    top = f'name = "{name}"\ntitle = "{name}"\ndescription = "Random."\nfolder = "{name}"\nlicence = "none"\n'
    top += 'commercial_ok = true\ndtype = "float32"\nmemory_gb = 0.01\n'
    (root / f"{name}.toml").write_text(top + "\n".join(lines))
    assert tomllib.loads((root / f"{name}.toml").read_text())
    return load_card(root / f"{name}.toml", weights_root=root)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def cards(root: Path) -> dict[str, ModelCard]:
    """Made when first asked for: each test process needs a few of them only."""

    class Made(dict[str, ModelCard]):
        def __missing__(self, name: str) -> ModelCard:
            torch.manual_seed(0)
            family = FAMILIES[name]
            family.build(root / name)
            write_sums(root / name)
            self[name] = write_card(root, name, family)
            return self[name]

    return Made()


@pytest.fixture(scope="module")
def engine() -> DiffusersEngine:
    return DiffusersEngine(device="cpu", threads=1)


def picture(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def item(card: ModelCard, mode: str, key: str = "a", seed: int = 7, **changed: object) -> DrawItem:
    """One item of a mode with all that it needs."""
    way = card.modes[mode]
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    inputs = {
        "picture": picture(1),
        "mask": mask,
        "control": picture(2),
        "last": picture(3),
        "film": [picture(1)] * way.frames[0],
    }
    values: dict[str, object] = {
        "prompt": "a red apple on blue",
        "negative_prompt": "",
        "width": SIDE,
        "height": SIDE,
        "steps": way.steps.default,
        "guidance_scale": way.guidance_scale.default,
        "strength": way.strength.default if way.strength else None,
        "frames": way.frames[0],
        "fps": way.fps,
        **{name: inputs[name] for name in way.mode.needs},
    }
    return DrawItem(key=key, mode=mode, seed=seed, **{**values, **changed})  # type: ignore[arg-type]


def go_on(step: int, total: int) -> Collection[str]:
    return ()


def drawn(engine: DiffusersEngine, card: ModelCard, *items: DrawItem) -> list[np.ndarray]:
    results = engine.draw(card, items, on_step=go_on)
    assert all(isinstance(result, Drawn) for result in results), results
    return [result.pixels.astype(int) for result in results if isinstance(result, Drawn)]


@pytest.mark.parametrize(("family", "mode"), EACH, ids=[f"{family}-{mode}" for family, mode in EACH])
def test_it_draws(engine: DiffusersEngine, cards: dict[str, ModelCard], family: str, mode: str) -> None:
    card = cards[family]
    told: list[tuple[int, int]] = []

    def note(step: int, total: int) -> Collection[str]:
        told.append((step, total))
        return ()

    (result,) = engine.draw(card, [item(card, mode)], on_step=note)
    assert isinstance(result, Drawn), result
    way = card.modes[mode]
    assert result.pixels.shape == (way.frames[0], SIDE, SIDE, 3)
    assert result.fps == way.fps
    assert told[-1] == (way.steps.default, way.steps.default)
    assert told == sorted(told)
    again, other = drawn(engine, card, item(card, mode, "x"), item(card, mode, "y", seed=8))
    assert np.abs(again - result.pixels).max() <= 2
    assert np.abs(again - other).max() > 2


PICTURES = [(family, mode) for family, mode in EACH if not MODES[mode].is_film]


@pytest.mark.parametrize(("family", "mode"), PICTURES, ids=[f"{family}-{mode}" for family, mode in PICTURES])
def test_a_seed_gives_its_picture_alone_or_among_others(
    engine: DiffusersEngine, cards: dict[str, ModelCard], family: str, mode: str
) -> None:
    """With words and inputs of other people beside it."""
    card = cards[family]
    needs = MODES[mode].needs
    other = {name: picture(9) for name in needs if name != "mask"}
    (alone,) = drawn(engine, card, item(card, mode))
    among = drawn(engine, card, item(card, mode, "x", 1, prompt="a cat", **other), item(card, mode, "a"))
    assert np.abs(among[1] - alone).max() <= 2
    assert np.abs(among[0] - alone).max() > 2


PAIR = "a cat above a dog, blue background"


def test_two_things_count_as_one_item_among_others(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    """They are two pictures of the batch: steps, people's own pictures and cancelling are as for one."""
    card = cards["sd-moved"]
    one, pair = item(card, "text_to_image", "one", 1), item(card, "text_to_image", "pair", prompt=PAIR)
    told: list[tuple[int, int]] = []

    def cancel(step: int, total: int) -> Collection[str]:
        told.append((step, total))
        return ["pair"]

    (alone,), (other,), among = drawn(engine, card, pair), drawn(engine, card, one), drawn(engine, card, one, pair)
    assert np.abs(among[0] - other).max() <= 2
    assert np.abs(among[1] - alone).max() <= 2
    results = engine.draw(card, [pair, one], on_step=cancel)
    assert told == [(1, 2), (2, 2)]
    assert results[0] == NotDrawn("pair", "cancelled")
    assert isinstance(results[1], Drawn)
    assert np.abs(results[1].pixels - other).max() <= 2


def test_two_things_of_which_one_is_broken_do_not_fail_their_neighbours(
    engine: DiffusersEngine, cards: dict[str, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_out = two_things.cut_out

    def broken(made: two_things.Picture) -> two_things.Layer | None:
        found = cut_out(made)
        return None if found is None else found * np.float32(np.nan)

    card = cards["sd-moved"]
    engine.warm(card)
    monkeypatch.setattr(two_things, "cut_out", broken)
    one, pair = item(card, "text_to_image", "one", 1), item(card, "text_to_image", "pair", prompt=PAIR)
    first, second = engine.draw(card, [pair, one], on_step=go_on)
    assert isinstance(first, NotDrawn)
    assert first.reason == "not_finite"
    assert isinstance(second, Drawn)


def test_guidance_is_rescaled_for_models_of_no_terminal_signal_alone(
    engine: DiffusersEngine, cards: dict[str, ModelCard]
) -> None:
    card = cards["sd-moved"]
    way = card.modes["text_to_image"]
    pipeline = Resident(card, "cpu").pipeline(way)
    assert arguments(pipeline, [item(card, "text_to_image")])["guidance_rescale"] == 0
    pipeline.scheduler.register_to_config(rescale_betas_zero_snr=True)
    assert arguments(pipeline, [item(card, "text_to_image")])["guidance_rescale"] == GUIDANCE_RESCALE
    over = Resident(cards["sd"], "cpu").pipeline(cards["sd"].modes["image_to_image"])
    over.scheduler.register_to_config(rescale_betas_zero_snr=True)
    assert "guidance_rescale" not in arguments(over, [item(cards["sd"], "image_to_image")])


def test_what_the_mask_leaves_out_stays_and_the_rest_is_drawn_anew(
    engine: DiffusersEngine, cards: dict[str, ModelCard]
) -> None:
    for family in ("lcm", "sd", "sd-led", "sdxl"):
        card = cards[family]
        wanted = item(card, "inpainting", steps=2, strength=1.0)
        for result in drawn(engine, card, wanted, replace(wanted, key="b", prompt="~ ~ ~ ~ ~ ~")):
            difference = np.abs(result[0] - np.asarray(picture(1), dtype=int))
            assert difference[:, : SIDE // 2].max() == 0
            assert difference[:, SIDE // 2 :].mean() > 10


def test_a_brush_as_thin_as_the_seam_is_drawn_anew(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (30, 0, 31, SIDE))
    result = drawn(engine, cards["sd"], item(cards["sd"], "inpainting", mask=mask))[0][0]
    difference = np.abs(result - np.asarray(picture(1), dtype=int)).max(axis=(0, 2))
    assert difference[30] > 5
    assert difference[:30].max() == difference[31:].max() == 0


def test_a_lora_changes_its_own_mode_and_no_other(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    card = cards["sd-led"]
    way = card.modes["text_to_image"]
    plain = replace(card, name="plain", modes=card.modes | {"text_to_image": replace(way, lora="")})
    before = drawn(engine, plain, item(plain, "text_to_image"))[0]
    over = drawn(engine, card, item(card, "image_to_image"))[0]
    changed = drawn(engine, card, item(card, "text_to_image"))[0]
    assert np.abs(changed - before).max() > 2
    # The film's LoRA also changes what reads the words.
    film = card.modes["text_to_film"]
    with_words, with_some, with_none = (
        drawn(engine, each, item(each, "text_to_film"))[0]
        for each in (
            card,
            replace(card, name="deaf", modes=card.modes | {"text_to_film": replace(film, lora="lora-unet-of-words")}),
            replace(card, name="still", modes=card.modes | {"text_to_film": replace(film, lora="")}),
        )
    )
    assert np.abs(with_words - with_some).max() > 2
    assert np.abs(with_some - with_none).max() > 2
    assert np.abs(drawn(engine, card, item(card, "image_to_image"))[0] - over).max() <= 2


def test_a_lora_for_another_kind_of_model_is_refused(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    """diffusers only warns, and would draw without it."""
    card = cards["sd-led"]
    foreign = replace(card, name="foreign", modes={
        "text_to_image": replace(card.modes["text_to_image"], lora="lora-foreign")})  # fmt: skip
    with pytest.raises(WeightsError, match=r"lora-foreign/.* changes no part of StableDiffusionPipeline"):
        engine.warm(foreign)


def test_a_control_is_followed(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    card = cards["sd"]
    one, two = drawn(engine, card, item(card, "scribble", "a"), item(card, "scribble", "b", control=picture(30)))
    assert np.abs(one - two).max() > 2


def test_less_strength_stays_nearer_to_what_went_in(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    card = cards["sd"]
    near = [drawn(engine, card, item(card, "image_to_image", seed=seed, strength=0.1, steps=10))[0] for seed in (1, 2)]
    far = [drawn(engine, card, item(card, "image_to_image", seed=seed, strength=0.9, steps=10))[0] for seed in (1, 2)]
    assert np.abs(near[0] - near[1]).mean() < np.abs(far[0] - far[1]).mean()


def test_a_strength_of_nought_takes_one_step_and_is_no_error(
    engine: DiffusersEngine, cards: dict[str, ModelCard]
) -> None:
    for family, mode in (("sd", "image_to_image"), ("flux", "image_to_image"), ("wan", "film_variation")):
        drawn(engine, cards[family], item(cards[family], mode, strength=0.0))


def test_a_film_between_begins_and_ends_with_its_pictures(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    """As the decoder knows them: with one and the same picture at both ends the ends are alike, whatever the noise."""
    card = cards["sd"]
    same = item(card, "film_between", last=picture(1))
    films = [drawn(engine, card, replace(same, seed=seed))[0] for seed in (1, 2)]
    for film in films:
        assert np.abs(film[0] - film[-1]).max() <= 2
    assert np.abs(films[0][0] - films[1][0]).max() <= 2
    assert np.abs(films[0][2] - films[1][2]).max() > 2


def test_two_films_of_a_batch_are_told_as_one_progress(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    card = cards["wan"]
    told: list[int] = []

    def note(step: int, total: int) -> Collection[str]:
        told.append(step)
        return ()

    items = [item(card, "text_to_film", key, steps=4) for key in "ab"]
    assert [result.key for result in engine.draw(card, items, on_step=note)] == ["a", "b"]
    assert told == [1, 1, 2, 2, 2, 3, 4, 4]


def test_a_cancelled_film_leaves_the_next_one(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    card = cards["wan"]
    items = [item(card, "text_to_film", key) for key in "ab"]
    results = engine.draw(card, items, on_step=lambda step, total: ["a"])
    assert results[0] == NotDrawn("a", "cancelled")
    assert isinstance(results[1], Drawn)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"picture": None}, "image_to_image needs picture"),
        ({"picture": picture(1).resize((8, 8))}, "What goes in is 8x8; it is drawn at 64x64"),
        ({"strength": None}, "needs a strength"),
        ({"mode": "hologram"}, "no mode 'hologram'"),
    ],
)
def test_items_that_lack_something_are_the_callers_mistake(
    engine: DiffusersEngine, cards: dict[str, ModelCard], changed: dict[str, object], said: str
) -> None:
    card = cards["sd"]
    with pytest.raises(ValueError, match=said):
        engine.draw(card, [replace(item(card, "image_to_image"), **changed)], on_step=go_on)  # type: ignore[arg-type]


def test_modes_of_a_card_share_their_weights_and_keep_their_type(cards: dict[str, ModelCard]) -> None:
    card = replace(cards["sd"], dtype="bfloat16")
    resident = Resident(card, "cpu")
    resident.dtype = torch.bfloat16
    resident._base = resident._load_base()
    first, other = resident.pipeline(card.modes["text_to_image"]), resident.pipeline(card.modes["image_to_image"])
    alone = resident.bytes
    assert other.unet is first.unet
    assert other.vae is first.vae
    assert other.unet.dtype is first.text_encoder.dtype is torch.bfloat16
    controlled = resident.pipeline(card.modes["scribble"])
    assert controlled.unet is first.unet
    assert controlled.controlnet.dtype is torch.bfloat16
    added = sum(parameter.nbytes for parameter in controlled.controlnet.parameters())
    assert resident.bytes - alone == pytest.approx(added, rel=0.05)


def test_nothing_of_a_call_stays_in_the_scheduler(engine: DiffusersEngine, cards: dict[str, ModelCard]) -> None:
    card = cards["sdxl"]
    before = drawn(engine, card, item(card, "text_to_image"))[0]
    scheduler = engine._resident(card).pipeline(card.modes["text_to_image"]).scheduler
    kept = scheduler.timesteps.clone()
    drawn(engine, card, item(card, "image_to_image", steps=7, strength=0.4))
    assert torch.equal(scheduler.timesteps, kept)
    assert np.abs(drawn(engine, card, item(card, "text_to_image"))[0] - before).max() <= 2


def test_a_tiny_decoder_takes_the_place_of_the_large_one(cards: dict[str, ModelCard]) -> None:
    card = replace(cards["sd"], tuning=replace(cards["sd"].tuning, tiny_decoder="tiny-decoder", channels_last=True))
    engine = DiffusersEngine(device="cpu", threads=1)
    drawn(engine, card, item(card, "text_to_image"))
    assert type(engine._resident(card).pipeline(card.first).vae).__name__ == "AutoencoderTiny"


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("model_index.json", {"_class_name": "KandinskyPipeline"}, "none of the pipelines that are drawn with"),
        ("unet-inpainting/config.json", {"_class_name": "UNet1DModel"}, "unet-inpainting names 'UNet1DModel'"),
        ("unet-inpainting/config.json", {"_class_name": None}, "unet-inpainting names None"),
        ("unet-inpainting/config.json", {"cross_attention_dim": 99}, "cannot be loaded as StableDiffusionInpaint"),
    ],
)
def test_a_folder_that_names_something_else_is_not_loaded(
    cards: dict[str, ModelCard], tmp_path: Path, file: str, change: dict[str, object], said: str
) -> None:
    card = cards["sd"]
    shutil.copytree(card.folder, tmp_path / "sd")
    config = json.loads((tmp_path / "sd" / file).read_text())
    (tmp_path / "sd" / file).write_text(json.dumps(config | change))
    write_sums(tmp_path / "sd")
    engine = DiffusersEngine(device="cpu", threads=1)
    changed = replace(card, folder=tmp_path / "sd")
    with pytest.raises(WeightsError, match=said):
        engine.draw(changed, [item(changed, "inpainting")], on_step=go_on)


def test_every_pipeline_that_a_card_names_is_drawn_with_here() -> None:
    catalogue = load_catalogue(ROOT / "generation" / "catalogue", weights_root=ROOT)
    named = {(name, way.pipeline) for card in catalogue.values() for name, way in card.modes.items()}
    kinds = {pipeline for _, pipeline in named}
    assert kinds <= {pipeline for family in FAMILIES.values() for _, pipeline, _ in family.modes}
    assert {mode for mode, _ in named} == set(MODES)
    # What a tiny model proves of a pipeline in one mode of pictures holds for a variation too.
    tried = {(mode, pipeline) for family in FAMILIES.values() for mode, pipeline, _ in family.modes}
    tried |= {("variation", pipeline) for mode, pipeline in tried if mode == "image_to_image"}
    assert named <= tried


def test_every_class_that_a_mode_allows_is_drawn_with_here() -> None:
    tried = {(mode, pipeline) for family in FAMILIES.values() for mode, pipeline, _ in family.modes}
    allowed = {(mode.name, pipeline) for mode in MODES.values() for pipeline in mode.pipelines - {"fake"}}
    tried |= {("variation", pipeline) for mode, pipeline in tried if mode == "image_to_image"}
    tried |= {("image_to_image", pipeline) for mode, pipeline in tried if mode == "variation"}
    assert allowed <= tried
