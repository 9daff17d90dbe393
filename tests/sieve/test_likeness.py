"""What was refused is known again by the real CLIP where it was changed; others are not taken for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from moderation import policy_files
from moderation.classifiers.clip import Clip
from moderation.classifiers.likeness import Refusal, Refusals, packed, unpacked
from moderation.policy import LIKE_REFUSED, PolicySet
from moderation.signals import Signal
from moderation.verdict import judge
from tests.sieve.conftest import UNKNOWN

ROOT = Path(__file__).resolve().parents[2]
# From here on a person is asked.
NEAR = 0.97


class Refused:
    """What was refused; a test says so."""

    def __init__(self) -> None:
        self.rows: list[Refusal] = []

    def __call__(self, model: str, version: str) -> Refusals:
        return Refusals(self.rows)


@pytest.fixture(scope="module")
def refused() -> Refused:
    return Refused()


@pytest.fixture(scope="module")
def clip(refused: Refused) -> Clip:
    made = Clip(
        ROOT / "training" / "weights" / "house-clip", policy_files.load(ROOT / "moderation" / "policies"), refused
    )
    made.load()
    return made


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    with Image.open(Path(__file__).with_name("scenes.jpg")) as file:
        sheet = file.convert("RGB")
    corners = [(64 * column, 64 * row) for row in range(5) for column in range(8)]
    return [sheet.crop((x, y, x + 64, y + 64)).resize((256, 256), Image.Resampling.LANCZOS) for x, y in corners]


def like(clip: Clip, picture: Image.Image) -> Signal:
    (signals,) = clip.screen([picture])
    (found,) = [one for one in signals if one.name == LIKE_REFUSED]
    return found


def test_a_changed_copy_is_known_and_others_are_not(
    clip: Clip, refused: Refused, pictures: list[Image.Image], house: PolicySet
) -> None:
    refused.rows = []
    traces = [like(clip, one) for one in pictures]
    assert {one.score for one in traces} == {0.0}
    refused.rows = [Refusal(12, "weapon", 1, traces[0].trace)]
    first = pictures[0]
    ground = tuple(int(part) for part in np.asarray(first)[0, 0])
    changed = {
        "as it is": first,
        "smaller": first.resize((128, 128)),
        "turned by 3 degrees": first.rotate(3, Image.Resampling.BICUBIC, fillcolor=ground),
        "darker": ImageEnhance.Brightness(first).enhance(0.9),
        "cut by 3 % at each edge": first.crop((8, 8, 248, 248)),
    }
    scores = {name: like(clip, one).score for name, one in changed.items()}
    assert {name: score >= NEAR for name, score in scores.items()} == dict.fromkeys(changed, True)
    found = like(clip, first)
    assert (found.note, found.severity) == ("like case 12, refused under weapon", 1)
    assert max(like(clip, one).score for one in pictures[1:]) < NEAR

    asked = [one for one in house.asked("medium") if one[0] == LIKE_REFUSED]
    assert [(model, clip.version.startswith(version)) for _, model, version in asked] == [("house-clip", True)]
    verdict = judge(house, "medium", [found, *UNKNOWN], set())
    (trigger,) = [one for one in verdict.triggers if one.signal == LIKE_REFUSED and one.action != "unscreened"]
    assert (trigger.policy_code, trigger.action) == ("known.picture", "review")


def test_the_nearest_of_many_is_named(clip: Clip, refused: Refused, pictures: list[Image.Image]) -> None:
    refused.rows = []
    refused.rows = [Refusal(place, "skull", 0, like(clip, one).trace) for place, one in enumerate(pictures)]
    assert [like(clip, one).note.split(",")[0] for one in pictures] == [f"like case {at}" for at in range(40)]


def test_what_is_no_number_stays_none(clip: Clip) -> None:
    row = np.zeros(128, np.float32)
    row[0] = 1
    table = Refusals([Refusal(1, "skull", 0, packed(row))])
    assert not np.isfinite(table.signal(np.full(128, np.nan, np.float32), "a", "1").score)


def test_a_vector_is_kept_in_half_a_kilobyte_or_less() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kept = [packed(row) for row in rows]
    assert {len(one) for one in kept} == {256}
    assert max(abs(1 - float(unpacked(one) @ row)) for one, row in zip(kept, rows, strict=True)) < 0.0005
