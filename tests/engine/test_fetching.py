"""`manage.py models` against a hub over HTTP, in a process of its own, as an operator runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from generation.engine import CannotFetch, ModelCard, load_card, verify
from generation.engine import fetching as module
from tests.engine.conftest import CARD
from tests.engine.families import save_sd
from tests.engine.hub import Hub

ROOT = Path(__file__).resolve().parent.parent.parent
COMMIT, OTHER = "a" * 40, "b" * 40
SOURCES = f"""
sources = [
  {{ repository = "house/sd", revision = "{COMMIT}", variant = "fp16" }},
  {{ repository = "house/inpainting", revision = "{OTHER}", into = "unet-inpainting" }},
]
"""
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two repositories as they are found: variants, pickles, code and whole checkpoints beside what is needed."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("hub")
    save_sd(root / "all")
    (root / "all" / "unet-inpainting").rename(root / "inpainting")
    sd = root / "sd"
    sd.mkdir()
    shutil.copy(root / "all" / "model_index.json", sd)
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(root / "all" / part, sd / part)
    for weights in list(sd.rglob("*.safetensors")):
        shutil.copy(weights, weights.with_name(weights.name.replace(".safetensors", ".fp16.safetensors")))
        weights.with_suffix(".bin").write_bytes(b"\x80\x04.")
    (sd / "safety_checker").mkdir()
    (sd / "safety_checker" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (sd / "whole.safetensors").write_bytes(b"0" * 3000)
    (sd / "run_me.py").write_text("print('run')")
    (sd / "README.md").write_text("A card.")
    index = json.loads((sd / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (sd / "model_index.json").write_text(json.dumps(index))
    return root


@pytest.fixture
def hub(made: Path, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub()
    for name, commit in (("sd", COMMIT), ("inpainting", OTHER)):
        shutil.copytree(made / name, tmp_path / "hub" / name)
        hub.repositories[f"house/{name}"] = (tmp_path / "hub" / name, commit)
    yield hub
    hub.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A catalogue with one card, whose weights are not here."""
    (tmp_path / "cards").mkdir()
    inpainting = '[modes.inpainting]\npipeline = "StableDiffusionInpaintPipeline"\n'
    inpainting += 'parts = { unet = "unet-inpainting" }\nstrength = { default = 1, min = 1, max = 1 }\n'
    text = CARD.replace("memory_gb", SOURCES + 'use_limits = "Not for harm."\nmemory_gb')
    (tmp_path / "cards" / "tiny.toml").write_text(text + inpainting)
    return tmp_path / "cards"


def models(hub: Hub, shelf: Path, *words: str) -> SimpleNamespace:
    """What the command said, and how it ended."""
    done = subprocess.run(
        [sys.executable, "manage.py", "models", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(shelf.parent / "home"),
            "VAGLIO_CATALOGUE": str(shelf),
            "VAGLIO_WEIGHTS": str(shelf.parent / "weights"),
            "VAGLIO_MODELS": "tiny",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    return SimpleNamespace(code=done.returncode, said=done.stdout, wrong=done.stderr)


def card(shelf: Path) -> ModelCard:
    return load_card(shelf / "tiny.toml", weights_root=shelf.parent / "weights")


def test_a_model_is_fetched_verified_tried_and_only_data_of_it_came(hub: Hub, shelf: Path) -> None:
    done = models(hub, shelf, "fetch", "tiny")
    assert done.code == 0, done.wrong
    assert "Not for harm." in done.said
    folder = card(shelf).folder
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert UNET in here
    assert "unet/diffusion_pytorch_model.safetensors" not in here
    assert "unet-inpainting/diffusion_pytorch_model.safetensors" in here
    assert not [
        name for name in here if name.endswith((".bin", ".py")) or name.startswith(("safety", ".cache", "whole"))
    ]
    verify(card(shelf))
    (sums,) = re.findall(r'sums_sha256 = "(\w{64})"', done.said)
    verify(replace(card(shelf), sums_sha256=sums))
    assert "sold" in models(hub, shelf, "list").said
    assert "every file is as listed" in models(hub, shelf, "verify").said
    warm = models(hub, shelf, "warm", "tiny")
    assert warm.code == 0, warm.wrong
    assert "tiny text_to_image: 0.00 GB on" in warm.said
    assert "tiny inpainting:" in warm.said


def test_what_broke_off_goes_on_where_it_was(hub: Hub, shelf: Path) -> None:
    hub.breaks_off[UNET] = 20
    first = models(hub, shelf, "fetch", "tiny")
    assert first.code == 1
    assert "What came so far is kept; fetch again" in first.wrong
    assert not card(shelf).folder.exists()
    hub.breaks_off.clear()
    hub.asked.clear()
    assert models(hub, shelf, "fetch", "tiny").code == 0
    verify(card(shelf))
    came = [name for name, _ in hub.asked]
    assert "vae/config.json" in came
    assert "text_encoder/config.json" not in came  # it was whole already


@pytest.mark.parametrize("spoilt", [UNET, "vae/config.json"], ids=["large", "small"])
def test_a_file_that_is_not_what_the_hub_lists_is_thrown_away(hub: Hub, shelf: Path, spoilt: str) -> None:
    hub.spoils.add(spoilt)
    done = models(hub, shelf, "fetch", "tiny")
    assert done.code == 1
    assert f"{spoilt} is not what the hub lists" in done.wrong
    assert not card(shelf).folder.exists()
    hub.spoils.clear()
    assert models(hub, shelf, "fetch", "tiny").code == 0


def pickled(sd: Path) -> None:
    for path in (sd / "unet").glob("*.safetensors"):
        path.unlink()


def with_code(sd: Path) -> None:
    index = json.loads((sd / "model_index.json").read_text())
    index["unet"] = ["run_me", "MyUNet"]
    (sd / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pickled, "unet has its weights as pickles only"),
        (with_code, "names run_me.MyUNet: a class in the repository's own code"),
        (lambda sd: shutil.rmtree(sd), "house/sd was not brought"),
    ],
    ids=["pickles", "code", "gone"],
)
def test_a_repository_that_is_no_data_is_refused(hub: Hub, shelf: Path, change: object, said: str) -> None:
    change(hub.repositories["house/sd"][0])  # type: ignore[operator]
    if said.endswith("brought"):
        del hub.repositories["house/sd"]
    done = models(hub, shelf, "fetch", "tiny")
    assert done.code == 1
    assert said in done.wrong
    assert not card(shelf).folder.exists()


def test_an_answer_for_another_commit_is_refused(hub: Hub, shelf: Path) -> None:
    hub.answers_for = "c" * 40
    assert "answers for cccc" in models(hub, shelf, "fetch", "tiny").wrong


def test_an_unpinned_model_is_not_fetched(hub: Hub, shelf: Path) -> None:
    (shelf / "tiny.toml").write_text((shelf / "tiny.toml").read_text().replace(COMMIT, ""))
    done = models(hub, shelf, "fetch", "tiny")
    assert done.code == 1
    assert "house/sd is not pinned. Choose a commit" in done.wrong
    assert hub.asked == []
    assert "not pinned" in models(hub, shelf, "list").said


def test_unknown_names_and_a_fetch_of_nothing_are_said(hub: Hub, shelf: Path) -> None:
    assert "There is no model nothing. Known are: tiny." in models(hub, shelf, "verify", "nothing").wrong
    assert "Name what to fetch" in models(hub, shelf, "fetch").wrong
    assert models(hub, shelf, "warm", "tiny").code == 1


def test_what_does_not_fit_on_the_disk_is_not_begun(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = [module.Wanted(card(shelf).sources[0], "unet/config.json", 5 * 10**9, "", "")]
    monkeypatch.setattr(module, "plan", lambda card: wanted)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=6 * 10**9))
    with pytest.raises(CannotFetch, match=r"needs 5.0 GB more and 2 GB to spare; 6.0 GB are free"):
        module.fetch(card(shelf), tell=print)
