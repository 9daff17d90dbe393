"""A card with a typo and a folder that was tampered with are refused, each with its own sentence."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generation.engine import (
    CardError,
    ChangedWeights,
    Drawn,
    MissingWeights,
    ModelCard,
    NotDrawn,
    UnsafeWeights,
    load_card,
    load_catalogue,
    verify,
)
from generation.engine.checks import picture_of
from tests.engine.conftest import CARD, write_sums

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_card_of_the_catalogue_is_well_formed() -> None:
    for catalogue in ("generation/catalogue", "tests/catalogue"):
        cards = load_catalogue(ROOT / catalogue, weights_root=ROOT / "training" / "weights")
        assert all(card.licence and card.price > 0 for card in cards.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Tiny"', 'titel = "Tiny"', "title is missing"),
        ("price = 1", "price = 1\ncolour = 3", "colour is not known"),
        ("price = 1", "price = 0", "price must be at least 1"),
        ("price = 1", "price = true", "price must be a int"),
        ("max_batch = 4", 'max_batch = "4"', "max_batch must be a int"),
        ('pipeline = "StableDiffusionPipeline"', 'pipeline = "DiffusionPipeline"', "pipeline is 'DiffusionPipeline'"),
        ('folder = "tiny"', 'folder = "../tiny"', "must lie inside"),
        ('folder = "tiny"', 'folder = "/tiny"', "must lie inside"),
        ('released = "64x64"', 'released = "64"', "must look like 512x512"),
        ("default = 4, min = 1", "default = 90, min = 1", "steps.default must lie between"),
        ("min = 1, max = 50", "min = 1, max = 50, most = 9", "steps.most is not known"),
        ('name = "tiny"', 'name = "other"', "must be the file's name"),
        ("price = 1", "price = ", "is not valid TOML"),
        ('modes = ["text_to_image"]', 'modes = ["hologram"]', "names 'hologram'"),
        ('modes = ["text_to_image"]', "modes = [[]]", "names []"),
        ('modes = ["text_to_image"]', "modes = []", "modes is empty"),
        ('drawn = "64x64"', 'drawn = "60x64"', "sizes.drawn must be multiples of 8, not 60x64"),
        ('drawn = "64x64" }', 'drawn = "64x64" }, { released = "64x64", drawn = "8x8" }', "names 64x64 twice"),
        ('[{ released = "64x64", drawn = "64x64" }]', "[64]", "sizes holds 64"),
        ("max = 15", "max = inf", "guidance_scale.max must be a finite number"),
    ],
)
def test_a_typo_names_the_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in CARD
    (tmp_path / "tiny.toml").write_text(CARD.replace(old, new))
    with pytest.raises(CardError) as caught:
        load_card(tmp_path / "tiny.toml", weights_root=tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).startswith("tiny.toml: ")


def test_an_empty_catalogue_is_said(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="has no model card"):
        load_catalogue(tmp_path, weights_root=tmp_path)


@pytest.fixture
def model(tiny: ModelCard, tmp_path: Path) -> ModelCard:
    """A copy that a test may damage."""
    shutil.copytree(tiny.folder, tmp_path / "tiny")
    return replace(tiny, folder=tmp_path / "tiny")


UNET = "unet/diffusion_pytorch_model.safetensors"


def truncate(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-10])


def pickle_listed(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    write_sums(folder)


def code_listed(folder: Path) -> None:
    (folder / "pipeline.py").write_text("print('run')")
    write_sums(folder)


def link(folder: Path) -> None:
    (folder / UNET).unlink()
    (folder / UNET).symlink_to("/etc/hostname")


def escape(folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("0" * 64 + "  ../../etc/passwd\n")


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda folder: (folder / UNET).unlink(), MissingWeights, UNET),
        (lambda folder: (folder / "SHA256SUMS").unlink(), MissingWeights, "SHA256SUMS"),
        (truncate, ChangedWeights, "truncated"),
        (pickle_listed, UnsafeWeights, "may run code"),
        (code_listed, UnsafeWeights, "may run code"),
        (lambda folder: (folder / "extra.json").write_text("{}"), UnsafeWeights, "not listed"),
        (link, UnsafeWeights, "is a link"),
        (escape, ChangedWeights, "no sum"),
    ],
    ids=["missing", "no sums", "truncated", "pickle", "code", "unlisted", "link", "escape"],
)
def test_a_damaged_folder_is_not_loaded(
    model: ModelCard, damage: Callable[[Path], None], error: type[Exception], said: str
) -> None:
    verify(model)
    damage(model.folder)
    with pytest.raises(error) as caught:
        verify(model)
    assert said in str(caught.value)
    assert "tiny" in str(caught.value)


def test_other_sums_than_the_card_names_are_refused(model: ModelCard) -> None:
    with pytest.raises(ChangedWeights, match="not the list that the card names"):
        verify(replace(model, sums_sha256="0" * 64))


def test_importing_the_engine_loads_no_torch() -> None:
    code = "import sys, generation.engine; sys.exit(bool({'torch', 'numpy', 'django'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((8, 8, 3), 0.5), "constant"),
        (np.array([0.2, 0.5, 0.9]) * np.ones((8, 8, 3)), "constant"),
        (np.full((8, 8, 3), np.nan), "not_finite"),
        (np.where(np.arange(192).reshape(8, 8, 3) == 5, np.inf, 0.1), "not_finite"),
        (np.zeros((8, 8)), "undecodable"),
        (np.zeros((0, 8, 3)), "undecodable"),
    ],
)
def test_what_is_no_picture_is_said(pixels: np.ndarray, reason: str) -> None:
    result = picture_of("k", pixels)
    assert isinstance(result, NotDrawn)
    assert result.reason == reason


def test_a_picture_is_a_png_without_metadata() -> None:
    result = picture_of("k", np.random.default_rng(1).random((8, 16, 3)))
    assert isinstance(result, Drawn)
    assert (result.width, result.height) == (16, 8)
    assert b"tEXt" not in result.png
