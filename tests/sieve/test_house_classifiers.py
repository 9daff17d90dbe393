"""The real classifiers on real scenes. They are part of the house: where they cannot be loaded, this fails."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moderation.classifiers.armoury import Armoury
from moderation.classifiers.clip import weights_version
from moderation.policy import PolicySet
from moderation.signals import ItemFault, Signal
from moderation.verdict import judge
from tests.sieve.conftest import UNKNOWN

ROOT = Path(__file__).resolve().parent.parent.parent
WEIGHTS = ROOT / "training" / "weights"
# What scenes.jpg shows, row by row: harmless combinations that the CLIP never learnt (but for the apple), and things
# that policies look for, in colours that it never saw them in where there are such; half of them softened. Drawings: by
# Fluent Emoji (MIT), Noto Emoji (Apache-2.0), Twemoji (CC BY 4.0), and our own gun and sword.
HARMLESS = [
    "red apple", "green dinosaur", "grey saw", "black snail", "pink squid", "green kiwi",
    "grey jellyfish", "purple wolf", "red mushroom", "black turtle", "yellow taxi", "black compass",
    "purple corn", "blue turkey", "black butterfly", "orange teddy bear", "blue sandwich", "blue gorilla",
    "purple pear", "yellow pretzel", "purple umbrella", "orange person", "orange bell", "brown doughnut",
]  # fmt: skip
SOUGHT = [
    "sword", "gun", "skull", "bomb", "dagger", "gun",
    "cocktail", "cigarette", "beer", "knife", "wine", "sword",
    "bomb", "skull", "drop of blood", "drop of blood",
]  # fmt: skip
SOUGHT_BY = {
    "weapon": {"sword", "gun", "bomb", "knife", "dagger"},
    "alcohol_tobacco": {"cocktail", "cigarette", "wine", "beer"},
    "skull": {"skull"},
    "blood": {"drop of blood"},
}
SIDE, COLUMNS = 64, 8


@pytest.fixture(scope="session")
def armoury(house: PolicySet) -> Iterator[Armoury]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Armoury.load("house", weights=WEIGHTS, policies=house)
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def scenes() -> dict[str, list[Image.Image]]:
    with Image.open(Path(__file__).with_name("scenes.jpg")) as file:
        sheet = file.convert("RGB")
    cut = [
        sheet.crop(
            (
                place % COLUMNS * SIDE,
                place // COLUMNS * SIDE,
                place % COLUMNS * SIDE + SIDE,
                place // COLUMNS * SIDE + SIDE,
            )
        )
        for place in range(len(HARMLESS) + len(SOUGHT))
    ]
    return {"harmless": cut[: len(HARMLESS)], "sought": cut[len(HARMLESS) :]}


@pytest.fixture(scope="session")
def seen(armoury: Armoury, scenes: dict[str, list[Image.Image]]) -> dict[str, list[list[Signal]]]:
    """The signals of every scene, as the gate asks for them."""
    return {
        kind: [[*signals, *UNKNOWN] for signals in armoury.screen_pictures(pictures)]
        for kind, pictures in scenes.items()
    }


def score(signals: list[Signal], name: str) -> float:
    return next(one.score for one in signals if one.name == name)


def test_the_policies_are_calibrated_for_the_weights_that_are_shipped(house: PolicySet) -> None:
    """After training: `python -m training.calibrate --write`."""
    version = weights_version(WEIGHTS / "house-clip")
    pinned = {one.version for policy, one in house.thresholds("medium")
              if (one.signal, one.model) == (policy.code, "house-clip")}  # fmt: skip
    assert pinned == {version[:16]}


def test_every_answer_that_the_policies_ask_for_comes(house: PolicySet, seen: dict[str, list[list[Signal]]]) -> None:
    asked = {(signal, model) for signal, model, _ in house.asked("medium")}
    for signals in seen["harmless"] + seen["sought"]:
        assert {(one.name, one.model) for one in signals} >= asked
        assert all(0 <= one.score <= 1 for one in signals)


def test_a_red_apple_on_blue_passes(house: PolicySet, armoury: Armoury, seen: dict[str, list[list[Signal]]]) -> None:
    verdict = judge(house, "medium", seen["harmless"][0], armoury.required("medium"))
    assert (verdict.outcome, verdict.triggers) == ("clear", ())


def test_harmless_scenes_pass(house: PolicySet, armoury: Armoury, seen: dict[str, list[list[Signal]]]) -> None:
    outcomes = [judge(house, "medium", signals, armoury.required("medium")).outcome for signals in seen["harmless"]]
    assert "block" not in outcomes
    assert outcomes.count("review") <= 3


@pytest.mark.parametrize("policy", SOUGHT_BY)
def test_what_a_policy_looks_for_scores_above_what_is_harmless(
    policy: str, seen: dict[str, list[list[Signal]]]
) -> None:
    """Of all pairs of a sought and a harmless scene. This small CLIP is far from sure; a coin would give half."""
    sought = [
        score(signals, policy)
        for word, signals in zip(SOUGHT, seen["sought"], strict=True)
        if word in SOUGHT_BY[policy]
    ]
    harmless = [score(signals, policy) for signals in seen["harmless"]]
    won = sum(one > other for one in sought for other in harmless)
    assert won / (len(sought) * len(harmless)) > 0.7


def test_nothing_here_is_nudity(seen: dict[str, list[list[Signal]]]) -> None:
    assert max(score(signals, "nudity") for signals in seen["harmless"]) < 0.6


def test_a_picture_gets_the_same_scores_alone_and_in_a_batch(
    armoury: Armoury, scenes: dict[str, list[Image.Image]], seen: dict[str, list[list[Signal]]]
) -> None:
    (alone,) = armoury.screen_pictures(scenes["sought"][2:3])
    for one, other in zip([*alone, *UNKNOWN], seen["sought"][2], strict=True):
        assert (one.name, one.version) == (other.name, other.version)
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_size_and_mode_of_a_picture_do_not_matter(
    armoury: Armoury, scenes: dict[str, list[Image.Image]], seen: dict[str, list[list[Signal]]]
) -> None:
    large = scenes["sought"][2].resize((512, 512), Image.Resampling.BICUBIC).convert("RGBA")
    (signals,) = armoury.screen_pictures([large])
    assert score(signals, "skull") == pytest.approx(score(seen["sought"][2], "skull"), abs=0.25)


def test_weights_of_another_version_never_clear(
    house: PolicySet, armoury: Armoury, seen: dict[str, list[list[Signal]]]
) -> None:
    foreign = [Signal(one.name, one.score, one.model, "0" + one.version) for one in seen["harmless"][0]]
    verdict = judge(house, "medium", foreign, armoury.required("medium"))
    assert verdict.outcome == "review"
    assert verdict.is_unscreened


def test_a_picture_of_one_colour_is_not_judged(armoury: Armoury) -> None:
    with pytest.raises(ItemFault):
        armoury.screen_pictures([Image.new("RGB", (512, 512), (90, 20, 20))])


def _noise(width: int, height: int, spread: int = 255) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, spread, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


ODD = {
    "one pixel and its neighbour": lambda: _noise(2, 1),
    "three by three": lambda: _noise(3, 3),
    "a long line": lambda: _noise(20_000, 1),
    "a high line": lambda: _noise(1, 20_000),
    "a ribbon": lambda: _noise(4096, 16),
    "noise": lambda: _noise(512, 512),
    "almost black": lambda: _noise(512, 512, 4),
    "grey": lambda: _noise(64, 64).convert("L"),
    "a palette": lambda: _noise(64, 64).convert("P"),
    "of a press": lambda: _noise(64, 64).convert("CMYK"),
    "of 16 bits": lambda: Image.fromarray(np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)),
}


@pytest.mark.parametrize("kind", ODD)
def test_every_classifier_speaks_of_an_odd_picture(house: PolicySet, armoury: Armoury, kind: str) -> None:
    (signals,) = armoury.screen_pictures([ODD[kind]()])
    assert {one.model for one in signals} >= armoury.required("medium")
    assert all(0 <= one.score <= 1 for one in signals)
    assert not judge(house, "medium", [*signals, *UNKNOWN], armoury.required("medium")).is_unscreened


def test_noise_over_it_hides_little(
    house: PolicySet, armoury: Armoury, scenes: dict[str, list[Image.Image]], seen: dict[str, list[list[Signal]]]
) -> None:
    """Of what is held as it is, at least three quarters stay held under noise that a person hardly sees."""

    def is_held(signals: list[Signal]) -> bool:
        return judge(house, "medium", signals, armoury.required("medium")).outcome != "clear"

    rng = np.random.default_rng(4)
    held = [place for place, signals in enumerate(seen["sought"]) if is_held(signals)]
    noisy = []
    for place in held:
        pixels = np.asarray(scenes["sought"][place]).astype(int) + rng.integers(-8, 9, (SIDE, SIDE, 3))
        noisy.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    assert len(held) >= 10
    still = [is_held([*signals, *UNKNOWN]) for signals in armoury.screen_pictures(noisy)]
    assert sum(still) >= 0.75 * len(held)
