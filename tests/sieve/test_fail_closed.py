"""For every classifier of the house and every way in which one fails: nothing is cleared (law 2).

What a failure does to a case, that it is retried or asks one person once, is in tests/moderation. Missing and changed
files are in test_armoury and test_meaning, processes that are killed or hang in tests/moderation/test_machinery.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from moderation import policy_files
from moderation.classifiers.armoury import Armoury
from moderation.policy import PolicySet
from moderation.signals import ItemFault, Signal
from moderation.verdict import judge
from tests.sieve.conftest import UNKNOWN

WEIGHTS = Path(__file__).resolve().parents[2] / "training" / "weights"
CLASSIFIERS = ("house-clip", "opennsfw", "faces", "text", "meaning", "names")
Answers = list[list[Signal]]


@pytest.fixture(scope="module")
def armed() -> Armoury:
    house = policy_files.load(Path(__file__).resolve().parents[2] / "moderation" / "policies")
    return Armoury.load("house", weights=WEIGHTS, policies=house)


class Spoilt:
    """A real classifier whose answers fail in one way."""

    def __init__(self, sound: Any, spoil: Callable[[Answers], Answers]) -> None:
        self.name, self.version = sound.name, sound.version
        self._sound, self._spoil = sound, spoil

    def load(self) -> None:
        """It is loaded."""

    def screen(self, subjects: Sequence[Any]) -> Answers:
        return self._spoil(self._sound.screen(subjects))


def scored(score: float) -> Callable[[Answers], Answers]:
    return lambda answers: [[replace(one, score=score) for one in each] for each in answers]


def _raise(answers: Answers) -> Answers:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


WAYS: dict[str, Callable[[Answers], Answers]] = {
    "raises": _raise,
    "not a number": scored(math.nan),
    "infinite": scored(math.inf),
    "below every scale": scored(-math.inf),
    "silent": lambda answers: [[] for _ in answers],
    "silent of one signal": lambda answers: [each[:-1] for each in answers],
    "another version": lambda answers: [[replace(one, version="0" * 64) for one in each] for each in answers],
    "no version": lambda answers: [[replace(one, version="") for one in each] for each in answers],
    "another's name": lambda answers: [[replace(one, model="other") for one in each] for each in answers],
    "one answer less": lambda answers: answers[1:],
    "one answer more": lambda answers: [*answers, answers[0]],
    "no answer": lambda answers: [],
}  # fmt: skip


def outcomes(armoury: Armoury, house: PolicySet) -> list[str]:
    """What becomes of two harmless prompts, and of two harmless pictures; nothing, where it is an error."""
    drawn = np.zeros((64, 64, 3), np.uint8)
    drawn[16:48, 16:48] = (40, 160, 60)
    drawn[24:30, 20:40] = (240, 240, 240)
    found = []
    beside = {"prompt": [], "medium": UNKNOWN}
    prompts, pictures = [("a red apple", ""), ("a boat on a lake", "")], [drawn, 255 - drawn]
    for subject, screen in (
        ("prompt", lambda: armoury.screen_prompts(prompts)),
        ("medium", lambda: armoury.screen_pictures([Image.fromarray(one) for one in pictures])),
    ):
        try:
            answers = screen()
        except (RuntimeError, ItemFault):
            continue
        found += [
            f"{subject} {judge(house, subject, [*each, *beside[subject]], armoury.required(subject)).outcome}"
            for each in answers
        ]
    return found


def test_a_sound_sieve_clears_them(armed: Armoury, house: PolicySet) -> None:
    assert {one.name for one in (*armed._pictures, *armed._prompts)} == set(CLASSIFIERS)
    assert outcomes(armed, house) == ["prompt clear", "prompt clear", "medium clear", "medium clear"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_that_fails_clears_nothing(armed: Armoury, house: PolicySet, name: str, way: str) -> None:
    def spoilt(sound: Sequence[Any]) -> list[Any]:
        return [Spoilt(one, WAYS[way]) if one.name == name else one for one in sound]

    failing = Armoury(spoilt(armed._pictures), house, spoilt(armed._prompts))
    subject = "prompt" if name in {"meaning", "names"} else "medium"
    assert f"{subject} clear" not in outcomes(failing, house)
