"""What the house models learn from, and that a killed training goes on. Needs neither the emoji sets nor npm."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from training.colours import main_colour, repaint
from training.models.clip import keep_heads
from training.weights_folder import write_sums


def test_a_drawing_is_repainted_in_its_main_colour_only() -> None:
    drawing = np.zeros((96, 96, 4), np.uint8)
    drawing[10:90, 10:90] = (220, 38, 45, 255)
    drawing[40:50, 40:50] = (246, 246, 246, 255)
    green = repaint(drawing, "green")
    assert green is not None
    assert main_colour(green[..., :3], green[..., 3] > 127) == "green"
    assert (green[45, 45] == drawing[45, 45]).all()


def test_the_sums_cover_every_file(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    write_sums(tmp_path)
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.splitlines() == ["b.txt: OK", "part/a.txt: OK"]


def test_an_export_keeps_the_heads_of_the_same_clip_and_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, fresh = tmp_path / "heads", tmp_path / "fresh"
    old.mkdir()
    fresh.mkdir()
    (fresh / "open_clip_model.safetensors").write_bytes(b"weights")
    same = hashlib.sha256(b"weights").hexdigest()
    for name, clip in (("blood", {"clip": same}), ("weapon", {"clip": "0" * 64}), ("skull", None)):
        save_file({"weight": np.ones(2, np.float32)}, old / f"{name}.safetensors", metadata=clip)
    keep_heads(old, fresh)
    assert [path.name for path in (fresh / "heads").iterdir()] == ["blood.safetensors"]
    assert (fresh / "heads" / "blood.safetensors").read_bytes() == (old / "blood.safetensors").read_bytes()
    said = capsys.readouterr().out
    assert "weapon" in said
    assert "skull" in said
    assert "blood" not in said


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
