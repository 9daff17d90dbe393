"""Heads over a CLIP's embedding, in the shapes that they are published in, over CLIPs built here from nothing."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from moderation.classifiers.armoury import Armoury
from moderation.classifiers.clip import Clip, WeightsRefused, weights_version
from moderation.classifiers.heads import Head, HeadRefused
from moderation.policy import PolicySet
from moderation.verdict import judge
from tests.sieve.conftest import UNKNOWN
from training.models.words import tokenizer
from training.weights_folder import write_sums

# As ViT-L-14 is shaped, in small. The full one is in tests/soak.
SMALL = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}


def build(folder: Path, vision: dict[str, Any], *, wide: int = 48) -> Path:
    """Write an untrained CLIP in open_clip's format."""
    folder.mkdir(parents=True)
    config = {
        "model_cfg": {
            "embed_dim": wide,
            "vision_cfg": vision,
            "text_cfg": {"context_length": 16, "vocab_size": len(tokenizer()), "hf_tokenizer_name": folder.name,
                         "width": 64, "heads": 2, "layers": 1},
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }  # fmt: skip
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}", load_weights=False)
    save_file({key: value.half() for key, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    tokenizer().save_pretrained(folder)
    return folder


def add_head(folder: Path, name: str, tensors: dict[str, torch.Tensor], **said: str) -> None:
    (folder / "heads").mkdir(exist_ok=True)
    told = {"clip": weights_version(folder), "embedding": "unit"} | said
    save_file(tensors, folder / "heads" / f"{name}.safetensors", metadata=told)
    write_sums(folder)


def linear(wide: int = 48) -> dict[str, torch.Tensor]:
    """As UnivFD's: 768 weights and a bias, of a ViT-L-14."""
    return {"weight": torch.randn(1, wide), "bias": torch.zeros(1)}


def layers(wide: int = 48) -> dict[str, torch.Tensor]:
    """As LAION's: some layers with numbers that leave out what has no weights."""
    sizes = {0: (wide, 32), 2: (32, 16), 10: (16, 1)}
    return {
        f"layers.{place}.{kind}": torch.randn(*shape)
        for place, (before, after) in sizes.items()
        for kind, shape in (("weight", (after, before)), ("bias", (after,)))
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path / "other-clip", SMALL)


@pytest.fixture
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (80, 60, 3), dtype=np.uint8)) for _ in range(3)]


def test_heads_of_both_shapes_speak_beside_the_house(
    folder: Path, house: PolicySet, pictures: list[Image.Image]
) -> None:
    add_head(folder, "synthetic", linear(), embedding="raw")
    add_head(folder, "nsfw", layers())
    other = Clip(folder, house)
    other.load()
    answers = other.screen(pictures)
    assert [[(one.name, one.model) for one in each] for each in answers] == [
        [("nsfw", "other-clip"), ("synthetic", "other-clip"), ("like_refused", "other-clip")]
    ] * 3
    assert all(0 <= one.score <= 1 and len(one.version) == 64 for each in answers for one in each)
    assert len({one.score for each in answers for one in each[:2]}) == 6


def test_a_head_computes_what_its_layers_say(folder: Path) -> None:
    raw = torch.randn(4, 48)
    made = linear()
    add_head(folder, "one", made, embedding="raw")
    head = Head.read(folder / "heads" / "one.safetensors", clip=weights_version(folder))
    assert head.scores(raw) == pytest.approx((raw @ made["weight"].T)[:, 0].sigmoid().tolist(), abs=1e-6)
    many = layers()
    add_head(folder, "two", many)
    head = Head.read(folder / "heads" / "two.safetensors", clip=weights_version(folder))
    state = torch.nn.functional.normalize(raw, dim=-1)
    for place in (0, 2):
        state = (state @ many[f"layers.{place}.weight"].T + many[f"layers.{place}.bias"]).relu()
    expected = (state @ many["layers.10.weight"].T + many["layers.10.bias"])[:, 0].sigmoid()
    assert head.scores(raw) == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("tensors", "said", "told"),
    [
        (linear(), {"clip": "0" * 64}, "was trained on the CLIP 000000000000"),
        (linear(), {"embedding": "half"}, "embedding in its metadata must be one of unit, raw"),
        ({"weight": torch.zeros(2, 48), "bias": torch.zeros(2)}, {}, "the last with one output"),
        ({"weight": torch.zeros(1, 48)}, {}, "weight is no layer with a bias"),
        ({"a": torch.zeros(1)}, {}, "it must be layers"),
        (linear() | {"extra": torch.zeros(3)}, {}, "it must be layers"),
        (layers() | {"layers.2.weight": torch.zeros(16, 7)}, {}, "takes 7 numbers, and the layer before gives 32"),
    ],
)
def test_a_head_that_is_not_right_keeps_the_worker_from_starting(
    folder: Path, house: PolicySet, tensors: dict[str, torch.Tensor], said: dict[str, str], told: str
) -> None:
    add_head(folder, "odd", tensors, **said)
    other = Clip(folder, house)
    with pytest.raises(HeadRefused, match=told):
        other.load()
    assert other.version == ""


def test_a_head_that_is_no_file_of_safetensors_is_refused(folder: Path, house: PolicySet) -> None:
    (folder / "heads").mkdir()
    (folder / "heads" / "odd.safetensors").write_bytes(b"\x80\x04pickle")
    write_sums(folder)
    with pytest.raises(HeadRefused, match="cannot be read"):
        Clip(folder, house).load()


def test_a_clip_that_nobody_uses_is_refused(folder: Path, house: PolicySet) -> None:
    write_sums(folder)
    with pytest.raises(WeightsRefused, match="no policy and no head uses other-clip"):
        Clip(folder, house).load()


def test_an_armoury_is_armed_with_it_or_not_at_all(folder: Path, house: PolicySet, tmp_path: Path) -> None:
    add_head(folder, "synthetic", linear())
    weights = Path(__file__).resolve().parents[2] / "training" / "weights"
    armed = Armoury.load("house", weights=weights, policies=house, clips=[folder])
    ramp = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    (signals,) = armed.screen_pictures([ramp])
    assert not judge(house, "medium", [*signals, *UNKNOWN], armed.required("medium")).is_unscreened
    assert {one.model for one in signals} >= {"house-clip", "other-clip", "opennsfw", "faces"}
    assert "other-clip" in armed.required("medium")


def test_a_number_that_is_none_comes_through_as_such(folder: Path) -> None:
    """It is the armoury that stops it."""
    add_head(folder, "one", linear())
    head = Head.read(folder / "heads" / "one.safetensors", clip=weights_version(folder))
    assert math.isnan(head.scores(torch.full((1, 48), math.nan))[0])
