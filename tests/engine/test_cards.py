"""A card with a typo and a folder that was tampered with are refused, each with its own sentence."""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
from generation.engine.cards import Price
from generation.engine.checks import medium_of
from generation.engine.encoding import original
from tests.engine.conftest import CARD, write_sums

PRICE = "price = { minimum = 1 }"
SOURCE = '\nsources = [{{ repository = "{}", revision = "{}" }}]'
MODE = '[modes.text_to_image]\npipeline = "StableDiffusionPipeline"\n'
MAP = '[modes.segmentation]\npipeline = "StableDiffusionControlNetPipeline"\n'
VARIATION = '[modes.variation]\npipeline = "FluxImg2ImgPipeline"\n'
ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_card_of_the_catalogue_is_well_formed() -> None:
    for catalogue in ("generation/catalogue", "tests/catalogue"):
        cards = load_catalogue(ROOT / catalogue, weights_root=ROOT / "training" / "weights")
        assert all(card.licence and card.first.price.minimum > 0 for card in cards.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Tiny"', 'titel = "Tiny"', "title is missing"),
        (PRICE, f"{PRICE}\ncolour = 3", "colour is not known"),
        (PRICE, "price = { minimum = 0 }", "text_to_image.price.minimum must be at least 1"),
        (PRICE, "price = { minimum = true }", "minimum must be a int"),
        (PRICE, "price = 3", "text_to_image.price must be a dict"),
        (PRICE, "price = { minimum = 1, per_second = -1 }", "price must not be negative"),
        (PRICE, "price = { minimum = 1, per_megapixel_step = nan }", "must be a finite number"),
        (PRICE, "price = ", "is not valid TOML"),
        (PRICE, f"{PRICE}\nfps = 8", "fps is of no use to any mode"),
        (PRICE, f'{PRICE}\ntuning = {{ offload = "disk" }}', "tuning.offload is 'disk'"),
        (PRICE, f"{PRICE}\nsources = [3]", "sources holds 3"),
        (PRICE, PRICE + SOURCE.format("a/b", "main"), "must be the full hash of a commit, not 'main'"),
        (PRICE, PRICE + SOURCE.format("b", "0" * 40), "must look like owner/name, not 'b'"),
        (PRICE, PRICE + SOURCE.format("a/b", "0" * 40)[:-2] + ', into = "../x" }]', "must lie inside"),
        ("max_batch = 4", 'max_batch = "4"', "max_batch must be a int"),
        ("max_batch = 4\n", "", "text_to_image.max_batch is missing"),
        ("memory_gb = 0.1", "memory_gb = -1", "memory_gb must not be negative"),
        ('pipeline = "StableDiffusionPipeline"', 'pipeline = "DiffusionPipeline"', "pipeline is 'DiffusionPipeline'"),
        ('pipeline = "StableDiffusionPipeline"', 'pipeline = "WanPipeline"', "pipeline is 'WanPipeline'"),
        ('folder = "tiny"', 'folder = "../tiny"', "must lie inside"),
        ('folder = "tiny"', 'folder = "/tiny"', "must lie inside"),
        ('released = "64x64"', 'released = "64"', "must look like 512x512"),
        ("default = 4, min = 1", "default = 90, min = 1", "steps.default must lie between"),
        ("default = 4, min = 1", "default = 4.5, min = 1", "steps.default must be a int"),
        ("min = 1, max = 50", "min = 1, max = 50, most = 9", "steps.most is not known"),
        ('name = "tiny"', 'name = "other"', "must be the file's name"),
        ("[modes.text_to_image]", "[modes.hologram]", "names 'hologram'"),
        ("[modes.text_to_image]", "[modes.inpainting]", "pipeline is 'StableDiffusionPipeline'"),
        (MODE, '[modes]\ntext_to_image = "yes"\n', "must be a table"),
        (MODE, "[modes]\n", "modes is empty"),
        (MODE, MODE + VARIATION, "variation.strength is missing"),
        (MODE, f'{MODE}[modes.text_to_film]\npipeline = "LTXPipeline"\nfps = 8\nframes = []\n', "lengths of film"),
        (MODE, f'{MODE}[modes.text_to_film]\npipeline = "LTXPipeline"\nfps = 8\n', "frames is missing"),
        (MODE, f"{MODE}{MAP}", "palette is missing"),
        (MODE, f"{MODE}{MAP}palette = {{ sky = '#06e6e6' }}\n", "must name two things or more"),
        (MODE, f"{MODE}{MAP}palette = {{ sky = 'blue', sea = '#0907e6' }}\n", "sky must look like #06e6e6"),
        (MODE, f"{MODE}{MAP}palette = {{ sky = '#06e6e6', sea = '#06E6E6' }}\n", "sea has the colour of another"),
        (
            MODE,
            MODE + VARIATION + "strength = { default = 1, min = 0, max = 2 }\n",
            "variation.strength must lie between 0 and 1",
        ),
        (
            MODE,
            MODE
            + '[modes.scribble]\npipeline = "StableDiffusionControlNetPipeline"\nparts = { controlnet = "../c" }\n',
            "parts.controlnet must lie inside",
        ),
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
    result = medium_of("k", pixels)
    assert isinstance(result, NotDrawn)
    assert result.reason == reason


def test_a_picture_is_a_png_without_metadata() -> None:
    drawn = medium_of("k", np.random.default_rng(1).random((8, 16, 3)))
    assert isinstance(drawn, Drawn)
    assert (drawn.frames, drawn.width, drawn.height, drawn.fps) == (1, 16, 8, 0)
    file = original(drawn)
    assert (file.suffix, file.media_type) == (".png", "image/png")
    with Image.open(io.BytesIO(file.data)) as read:
        assert read.info == {}
        assert np.array_equal(np.asarray(read), drawn.pixels[0])


def test_the_price_follows_work_and_length_and_is_rounded_up() -> None:
    price = Price(minimum=2, per_megapixel_step=Decimal("0.1"), per_second=Decimal("1.5"))
    assert price.credits((64, 64), 20) == 2
    assert price.credits((1000, 1000), 30) == 3
    assert price.credits((1000, 1001), 30) == 4
    assert price.credits((1000, 500), 10, frames=24, fps=8) == 12 + 5
    # As the card has it: in binary the tenth would be a little more, and cost one credit too many.
    assert Price(1, Decimal("0.1"), Decimal(0)).credits((1000, 1000), 30) == 3
