"""What the house models learn from, and that a killed training goes on. Needs neither the emoji sets nor npm."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.colours import NAMES, main_colour, name_index
from training.drawings import Painted, repaint, shape
from training.objects import THINGS
from training.scenes import CENTRED, Scenes, caption, request, vocabulary
from training.weights_folder import write_sums

WORDS = [thing.word for thing in THINGS[::9]]


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    painted: Painted = {}
    for word in WORDS:
        plain = shape(word)
        natural = main_colour(plain[..., :3], plain[..., 3] > 127)
        others = {colour: repaint(plain, colour) for colour in ("red", "green", "blue", "white", "black")}
        painted[word, "fluent"] = {natural: plain} | {name: rgba for name, rgba in others.items() if rgba is not None}
    return Scenes(painted)


def test_a_scene_has_the_colours_that_its_request_names(scenes: Scenes) -> None:
    for one in scenes.combinations[::7]:
        picture = scenes.draw(one, "fluent")
        ring = name_index(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]))
        assert {NAMES[i] for i in ring} == {one.background}
        names = name_index(picture).ravel()
        middle = np.bincount(names[names != NAMES.index(one.background)], minlength=len(NAMES))
        assert NAMES[int(middle.argmax())] == one.colour
        assert one.colour in request(one)
        assert request(one).endswith(one.background)


def test_a_caption_is_true_of_its_own_scene_and_uses_known_words(scenes: Scenes) -> None:
    rng = np.random.default_rng(0)
    known = set(vocabulary()) | {"whatever"}
    for one in scenes.combinations[::11]:
        said = caption(one, rng)
        assert one.word in said.words
        assert said.colour in (None, one.colour)
        assert said.background in (None, one.background)
        assert set(said.text.replace(",", "").split()) <= known


def test_what_is_held_out_never_reaches_the_training(scenes: Scenes) -> None:
    assert scenes.held_out
    assert not set(scenes.held_out) & set(scenes.learnt)
    assert set(scenes.held_out) | set(scenes.learnt) == set(scenes.combinations)
    for seed in range(6):
        _, drawn = scenes.sample(np.random.default_rng(seed), 64)
        assert not any(one.held_out for one in drawn)


def test_each_held_out_word_colour_and_background_is_learnt_in_other_company(scenes: Scenes) -> None:
    learnt = {(one.word, one.background) for one in scenes.learnt} | {(one.word, one.colour) for one in scenes.learnt}
    for one in scenes.held_out:
        assert (one.word, one.colour) in learnt or (one.word, one.background) in learnt


def test_a_drawing_is_repainted_in_its_main_colour_only() -> None:
    drawing = np.zeros((96, 96, 4), np.uint8)
    drawing[10:90, 10:90] = (220, 38, 45, 255)
    drawing[40:50, 40:50] = (246, 246, 246, 255)
    green = repaint(drawing, "green")
    assert green is not None
    assert main_colour(green[..., :3], green[..., 3] > 127) == "green"
    assert (green[45, 45] == drawing[45, 45]).all()


def test_the_middle_placement_leaves_a_border() -> None:
    assert CENTRED.left > 4
    assert CENTRED.left + CENTRED.size < 60


def test_the_sums_cover_every_file(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    write_sums(tmp_path)
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.splitlines() == ["b.txt: OK", "part/a.txt: OK"]


TRAIN = """
import sys
from pathlib import Path
import torch
from training.loop import Run
torch.manual_seed(0)
run = Run("tiny", torch.nn.Linear(3, 1), rate=0.1, average=0.9, folder=Path(sys.argv[1]))
print("starts at", run.step, flush=True)
def make(step, rng):
    return rng.standard_normal((8, 3), dtype="float32")
def loss(batch, chance):
    return run.model(batch + torch.randn(8, 3, generator=chance)).square().mean()
def saved(step):
    print("saved", step, flush=True)
run.train(loss, make, name=1, minutes=5, steps=int(sys.argv[2]), save_every=0, after_save=saved)
"""


def _start(folder: Path, steps: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(folder), str(steps)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )


def test_a_killed_run_goes_on_at_its_last_saved_step(tmp_path: Path) -> None:
    with _start(tmp_path, 1_000_000) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("saved 20"):
                break
        first.send_signal(signal.SIGKILL)
        rest = [line for line in first.stdout.read().splitlines() if line.startswith("saved")]
    last = int(rest[-1].split()[1]) if rest else 20
    with _start(tmp_path, last + 3) as second:
        assert second.stdout is not None
        told = second.stdout.read()
    begun = int(next(line for line in told.splitlines() if line.startswith("starts at")).split()[2])
    assert begun in (last, last + 1)  # the state may be written and the kill come before the line
    assert f"done at step {last + 3}" in told
    assert second.returncode == 0
