"""A screening worker without its classifiers does not start, and says why in one sentence."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moderation.arming import load_armoury
from moderation.checks import policies_can_be_read
from moderation.rules import policies
from moderation.signals import Unarmed

ROOT = Path(__file__).resolve().parent.parent.parent


def test_an_armoury_lacks_nothing_or_is_not_made(settings: Any, tmp_path: Path) -> None:
    settings.CLASSIFIERS = "house"
    settings.WEIGHTS = tmp_path
    with pytest.raises(Unarmed, match="house-clip"):
        load_armoury()


def test_a_screening_worker_that_is_not_armed_does_not_start(tmp_path: Path) -> None:
    environment = os.environ | {"VAGLIO_CLASSIFIERS": "house", "VAGLIO_WEIGHTS": str(tmp_path)}
    worker = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "screen", "-P", "solo", "-l", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert worker.returncode == 1
    assert "The screening worker does not start: classifiers are missing" in worker.stdout + worker.stderr
    assert "Traceback" not in worker.stdout + worker.stderr


def test_a_policy_with_a_typo_is_named_before_the_first_prompt(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "weapon.toml").write_text('code = "weapon"\nseverty = "high"\n')
    settings.POLICIES = [tmp_path]
    policies.cache_clear()
    try:
        (error,) = policies_can_be_read(None)
    finally:
        policies.cache_clear()
    assert "weapon.toml: severity" in error.msg
