"""What is written in a picture is judged as a prompt is, and a person looks; what cannot be read clears nothing.

The real networks, on captions that are written here.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from moderation import policy_files
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.clip import WeightsRefused
from moderation.classifiers.meaning import Meaning
from moderation.classifiers.text_in_pictures import (
    MOST_COST,
    WEIGHTS,
    Reader,
    TextInPictures,
    _Finite,
    mended_text,
)
from moderation.policy import MEANING, READER_VERSION, TEXT, TEXT_MEANING, PolicySet
from moderation.signals import ItemFault, Signal, Unarmed
from moderation.verdict import Verdict, judge

ROOT = Path(__file__).resolve().parents[2]
SIDE = 512
Colour = tuple[int, int, int]
LIGHT, DARK, RED, BLUE = (240, 238, 225), (25, 20, 30), (190, 30, 40), (40, 70, 190)


@pytest.fixture(scope="module")
def armoury() -> Iterator[Armoury]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    house = policy_files.load(ROOT / "moderation" / "policies")
    yield Armoury.load("house", weights=ROOT / "training" / "weights", policies=house)
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def text(armoury: Armoury) -> TextInPictures:
    return next(one for one in armoury._pictures if isinstance(one, TextInPictures))


def noise(width: int = SIDE, height: int = SIDE, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def drawing(side: int = SIDE) -> Image.Image:
    """A hill, a tree and a sun: nothing is written there."""
    picture = Image.new("RGB", (side, side), (150, 200, 240))
    draw = ImageDraw.Draw(picture)
    unit = side / 16
    draw.rectangle((0, 11 * unit, side, side), fill=(90, 160, 70))
    draw.polygon([(0, 11 * unit), (5 * unit, 6 * unit), (10 * unit, 11 * unit)], fill=(120, 110, 100))
    draw.rectangle((11.5 * unit, 8 * unit, 12 * unit, 12 * unit), fill=(100, 70, 40))
    draw.ellipse((10 * unit, 5 * unit, 13.5 * unit, 9 * unit), fill=(40, 120, 50))
    draw.ellipse((12 * unit, unit, 14 * unit, 3 * unit), fill=(250, 220, 60))
    return picture


def scene(place: int) -> Image.Image:
    """One of the house's own drawings, of 64 x 64 pixels. Enlarged, some of them look like a letter to the finder."""
    with Image.open(Path(__file__).with_name("scenes.jpg")) as sheet:
        return sheet.convert("RGB").crop((place * 64, 0, place * 64 + 64, 64))


def written(
    said: str,
    *,
    size: int = 28,
    ink: Colour = DARK,
    ground: Colour | Image.Image = LIGHT,
    turned: float = 0,
    side: int = SIDE,
    font: str = "DejaVuSans",
) -> Image.Image:
    """A caption in lines, on one colour or over a picture, turned by some degrees."""
    import matplotlib

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    face = ImageFont.truetype(str(file), size)
    lines = [""]
    for word in said.split():
        longer = f"{lines[-1]} {word}".strip()
        lines[-1:] = [longer] if face.getlength(longer) < side * 0.8 else [lines[-1], word]
    picture = ground if isinstance(ground, Image.Image) else Image.new("RGB", (side, side), ground)
    sheet = Image.new("RGBA", picture.size)
    edge = (255, 255, 255) if isinstance(ground, Image.Image) else None
    ImageDraw.Draw(sheet).multiline_text(
        (side * 0.1, side * 0.35), "\n".join(lines), font=face, fill=ink, stroke_width=2 if edge else 0,
        stroke_fill=edge,
    )  # fmt: skip
    sheet = sheet.rotate(turned, Image.Resampling.BICUBIC)
    return Image.alpha_composite(picture.convert("RGBA"), sheet).convert("RGB")


def verdict(text: TextInPictures, house: PolicySet, picture: Image.Image) -> Verdict:
    """What the policies say, of what is written alone."""
    (signals,) = text.screen([picture])
    asked = [one for one in house.asked("medium") if one[1] not in (TEXT, TEXT_MEANING)]
    others = [Signal(name, 0.0, model, version) for name, model, version in asked]
    return judge(house, "medium", [*signals, *others], {TEXT})


def codes(found: Verdict) -> set[str]:
    return {one.policy_code for one in found.triggers}


def test_the_shipped_thresholds_are_those_of_the_shipped_networks(text: TextInPictures, house: PolicySet) -> None:
    """Else every picture is held. The beginning of Reader.version goes into moderation/policy.py."""
    assert text.reader.version.startswith(READER_VERSION)
    assert text.version == f"{READER_VERSION}.{house.version[:16]}"


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        ("white power", "hate"),
        ("BREAKING: Donald Trump arrested in New York", "person.real"),
        ("Giorgia Meloni si dimette", "person.real"),
        ("NAKED GIRLS", "sexual.nudity"),
        ("una donna nuda sulla spiaggia", "sexual.nudity"),
        ("h1tl3r w4s r1ght", "hate"),
        ("how to make a bomb", "weapon"),
        # None of these words is a term of the lexicon.
        ("they are vermin and must be wiped out", "hate"),
        ("i gay vanno eliminati", "hate"),
    ],
)
def test_what_is_written_is_held_and_the_finding_names_it(
    text: TextInPictures, house: PolicySet, said: str, policy: str
) -> None:
    found = verdict(text, house, written(said))
    assert found.outcome == "review"
    assert policy in codes(found)
    assert all(one.words for one in found.triggers)


@pytest.mark.parametrize(
    "picture",
    [
        *(written("Heil Hitler", size=size) for size in (10, 14, 20, 48)),
        *(written("Heil Hitler", turned=turned) for turned in (5, 15, -15, 90, 180)),
        *(written("Heil Hitler", font=font) for font in ("DejaVuSerif", "DejaVuSans-Bold", "DejaVuSansMono")),
        written("Heil Hitler", ink=LIGHT, ground=RED),
        written("Heil Hitler", ink=RED, ground=BLUE),
        written("Heil Hitler", ground=noise()),
        written("Heil Hitler", ground=noise(), turned=15),
        written("Heil Hitler", ground=drawing()),
        written("Heil Hitler", size=10, side=128),
        written("Heil Hitler", size=24, side=1024),
        written("Heil Hitler", size=60, side=3000),
        written("Heil Hitler").resize((SIDE, SIDE // 3)),
    ],
    ids=lambda one: f"{one.width}x{one.height}",
)  # fmt: skip
def test_however_it_is_written(text: TextInPictures, house: PolicySet, picture: Image.Image) -> None:
    found = verdict(text, house, picture)
    assert found.outcome == "review"
    assert "hitler" in {word for one in found.triggers if one.policy_code == "hate" for word in one.words}


@pytest.mark.parametrize(
    "said",
    [
        "HAPPY BIRTHDAY Anna", "children's storybook", "Buon compleanno nonna!", "Sale 50% off today only",
        "Bakery open from 7 to 19", "Stop racism", "una mela rossa", "EXIT", "No parking at any time",
    ],
)  # fmt: skip
def test_harmless_text_is_read_and_passes(text: TextInPictures, house: PolicySet, said: str) -> None:
    before = text.reader.pictures_read
    assert verdict(text, house, written(said)) == Verdict("clear", (), 0)
    assert text.reader.pictures_read == before + 1


@pytest.mark.parametrize(
    "picture",
    [
        *map(scene, (0, 1, 2, 4)), noise(), noise(64, 64), Image.linear_gradient("L").convert("RGB"),
        Image.new("RGB", (64, 64), RED), Image.new("RGB", (1, 1), RED), noise(3, 3), noise(20_000, 1),
        noise(1, 20_000), noise(8000, 20), Image.new("RGB", (SIDE, SIDE)),
    ],
    ids=lambda one: f"{one.width}x{one.height}",
)  # fmt: skip
def test_where_nothing_is_written_nothing_is_read_and_every_score_is_0(
    text: TextInPictures, house: PolicySet, picture: Image.Image
) -> None:
    before = text.reader.pictures_read
    (signals,) = text.screen([picture])
    assert text.reader.pictures_read == before
    asked = {(one.signal, one.model) for _, one in house.thresholds("medium") if one.model in (TEXT, TEXT_MEANING)}
    assert {(one.name, one.model) for one in signals} == asked
    assert {(one.score, one.words) for one in signals} == {(0.0, ())}


def test_every_policy_with_words_or_meaning_judges_what_is_written(house: PolicySet) -> None:
    for subject in ("upload", "medium"):
        asked = {(policy.code, one.model, one.block) for policy, one in house.thresholds(subject)}
        for policy in (one for one in house if not one.is_context):
            assert ((policy.code, TEXT, None) in asked) == (policy.words is not None)
            assert ((policy.code, TEXT_MEANING, None) in asked) == (policy.meaning is not None)


def test_the_worst_words_are_still_for_a_person(text: TextInPictures, house: PolicySet) -> None:
    found = verdict(text, house, written("child porn"))
    assert (found.outcome, found.severity) == ("review", 3)
    assert "sexual.minors" in codes(found)


def test_a_picture_is_read_alike_alone_and_among_others(text: TextInPictures) -> None:
    pictures = [written("white power"), drawing(), written("kill yourself", size=40, turned=5)]
    together = text.screen(pictures)
    for picture, signals in zip(pictures, together, strict=True):
        for one, other in zip(*text.screen([picture]), signals, strict=True):
            assert (one.name, one.model, one.version, one.words) == (
                other.name,
                other.model,
                other.version,
                other.words,
            )
            assert one.score == pytest.approx(other.score, abs=1e-5)
    assert max(one.score for one in together[1]) == 0 < max(one.score for one in together[0])


def test_more_text_than_is_read_is_for_a_person(text: TextInPictures) -> None:
    page = written("the quick brown fox jumps over the lazy dog " * 40, size=16, side=1024, ground=(255, 255, 255))
    page = Image.fromarray(np.roll(np.asarray(page), -300, axis=0))
    with pytest.raises(ItemFault, match=r"lines of text, which are [\d.]+ times what is read") as caught:
        text.screen([drawing(), page, drawing()])
    assert caught.value.index == 1


def test_hundreds_of_boxes_end_in_bounded_time(text: TextInPictures) -> None:
    """Twelve hundred short words: found in one pass, and not read one by one."""
    sheet = Image.new("RGB", (2048, 2048), "white")
    draw, face = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    for place in range(1200):
        draw.text((place % 30 * 68, place // 30 * 51), "ab12", font=face, fill=DARK)
    begun = time.process_time()
    with pytest.raises(ItemFault):
        text.screen([sheet])
    assert time.process_time() - begun < 10
    assert MOST_COST * 48 * 48 < 2_000_000, "the pixels that the reader sees at the most"


def test_words_run_together_and_letters_mistaken_are_mended() -> None:
    assert mended_text("DONALDTRUMPARRESTED in NewYork") == "donald trump arrested in new york"
    assert mended_text("hltl3r w4s rlght") == "hitler was right"
    assert mended_text("a lilac veil, una mela") == "a lilac veil una mela"
    assert mended_text("") == ""
    assert mended_text("Hiter, a hit, later hitter", ["hitler"]) == "hitler a hit later hitter"


def test_one_meaning_serves_prompts_and_pictures(armoury: Armoury, text: TextInPictures) -> None:
    assert [one for one in armoury._prompts if one.name == MEANING] == [text._meaning]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The networks of the package, copied, to be spoilt."""
    import rapidocr_onnxruntime

    copy = shutil.copytree(Path(rapidocr_onnxruntime.__file__).with_name("models"), tmp_path / "models")
    monkeypatch.setattr(rapidocr_onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    return Path(copy)


def test_a_sound_copy_is_loaded(package: Path) -> None:
    reader = Reader()
    reader.load()
    assert reader.version.startswith(READER_VERSION)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda whole: b"", WeightsRefused),
        (lambda whole: whole[: len(whole) // 2], WeightsRefused),
        (lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), WeightsRefused),
        (None, FileNotFoundError),
    ],
)
def test_spoilt_networks_are_refused(
    package: Path, name: str, spoil: Callable[[bytes], bytes] | None, error: type[Exception]
) -> None:
    if spoil is None:
        (package / name).unlink()
    else:
        (package / name).write_bytes(spoil((package / name).read_bytes()))
    reader = Reader()
    with pytest.raises(error, match=name.replace(".", r"\.")):
        reader.load()
    assert reader.version == ""


def test_without_the_networks_nobody_is_armed(package: Path, house: PolicySet) -> None:
    shutil.rmtree(package)
    with pytest.raises(Unarmed) as caught:
        Armoury.load("house", weights=ROOT / "training" / "weights", policies=house)
    assert set(caught.value.missing) == {TEXT}


@pytest.mark.parametrize("which", ["_find", "_turn", "_read"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_gives_no_numbers_finds_no_text_and_passes_nothing(
    text: TextInPictures, house: PolicySet, monkeypatch: pytest.MonkeyPatch, which: str, value: float
) -> None:
    """A map of NaN lies over no threshold: read as it comes, it would say that there is no text."""
    part = getattr(text.reader, which)
    where = "session" if which == "_read" else "infer"
    sound = getattr(part, where)
    monkeypatch.setattr(part, where, _Finite(lambda given: [np.full_like(answer, value) for answer in sound(given)]))
    with pytest.raises(FloatingPointError):
        Armoury([text], house).screen_pictures([written("white power")])


class SpoiltMeaning(Meaning):
    """Scores that fail in one way."""

    def __init__(self, sound: Meaning, spoil: Callable[[list[Signal]], list[Signal]]) -> None:
        self.__dict__ |= sound.__dict__
        self._spoil = spoil

    def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
        return [self._spoil(one) for one in super().screen(prompts)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda signals: [],
        lambda signals: signals[1:],
        lambda signals: [Signal(one.name, float("nan"), one.model, one.version) for one in signals],
        lambda signals: [Signal(one.name, float("inf"), one.model, one.version) for one in signals],
    ],
    ids=["silent", "silent of one", "not a number", "infinite"],
)
def test_a_meaning_that_fails_over_what_was_read_clears_nothing(
    text: TextInPictures, house: PolicySet, spoil: Any
) -> None:
    failing = TextInPictures(house, SpoiltMeaning(text._meaning, spoil))
    failing.reader, failing.version = text.reader, text.version
    armoury = Armoury([failing], house)
    assert armoury.screen_pictures([drawing()]), "where nothing is written it is not asked"
    with pytest.raises((RuntimeError, ItemFault)):
        armoury.screen_pictures([written("happy birthday to you\nand many more", size=60)])


def test_one_line_that_is_no_number_is_not_lost_among_others(text: TextInPictures, house: PolicySet) -> None:
    """The whole comes first, then each line: of these only the first line fails."""

    class First(Meaning):
        def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
            found = super().screen(prompts)
            found[1] = [Signal(one.name, float("nan"), one.model, one.version) for one in found[1]]
            return found

    meaning = First(house)
    meaning.__dict__ |= text._meaning.__dict__
    failing = TextInPictures(house, meaning)
    failing.reader, failing.version = text.reader, text.version
    with pytest.raises(ItemFault, match="text gave a score that is no number"):
        Armoury([failing], house).screen_pictures(
            [written("white power happy people here we are and all of us go home to see the sea", size=24)]
        )
