"""Thresholds are proposed from what people found, and say how sure that is. Nothing of the house is changed."""

import io
import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image

from moderation import policy_files
from moderation.actions import claim_next, decide, look_again
from moderation.models import Case, Sample
from moderation.quality import labels
from moderation.quality.calibration import Curve, Key, Labelled, curves, plot, rewritten, table
from moderation.rules import policies
from tests.moderation.conftest import Moderators, Recorder, open_medium, picture, png
from tests.moderation.sieves import Faults, marked
from tests.moderation.test_screening import screened

KEY = Key("hats", "hats", "house-clip", "abc")


def curve(harmless: list[float], sought: list[float], weights: list[float] | None = None) -> Curve:
    scores = [*harmless, *sought]
    return Curve(
        KEY,
        np.array(scores),
        np.array([False] * len(harmless) + [True] * len(sought)),
        np.array(weights or [1.0] * len(scores)),
    )


def drawn(count: int = 2000) -> Curve:
    """Scores that are what they say: of those with score s, the share s is sought."""
    rng = np.random.default_rng(1)
    scores = rng.random(count)
    return Curve(KEY, scores, rng.random(count) < scores, np.ones(count))


@pytest.mark.parametrize("most_held", [0.0, 0.01, 0.1, 0.5])
def test_what_is_proposed_holds_at_most_so_much_of_the_harmless(most_held: float) -> None:
    found = drawn()
    least = found.propose(most_held)
    assert least is not None
    share = found.held(least, sought=False).share
    assert share is not None
    assert share <= most_held
    lower = found.held(least - 0.01, sought=False).share
    assert lower is not None
    assert lower > most_held


def test_a_weight_counts_as_so_many() -> None:
    harmless, sought = [0.1] * 10 + [0.8], [0.9] * 10
    light = curve(harmless, sought)
    heavy = curve(harmless, sought, [1.0] * 10 + [30.0] + [1.0] * 10)
    assert light.propose(0.1) == pytest.approx(0.45)
    assert heavy.propose(0.1) == pytest.approx(0.85)
    assert heavy.held(0.5, sought=False).share == pytest.approx(30 / 40)


def test_too_few_labels_propose_nothing_and_say_so() -> None:
    few = curve([0.1] * 50, [0.9] * 9)
    assert few.propose(0.02) is None
    assert "too few labels" in table([few], {}, 0.02)


@pytest.mark.parametrize("scores", [[0.5] * 40, [0.0] * 40, [1.0] * 40])
def test_scores_that_are_all_the_same_part_nothing(scores: list[float]) -> None:
    found = curve(scores[:20], scores[20:])
    assert found.auc == 0.5
    least = found.propose(0.02)
    assert least is not None
    assert found.held(least, sought=False).share == 0 or least == 1.0


def test_the_area_is_what_pairs_say() -> None:
    found = drawn(300)
    above = found.scores[found.sought][:, None] - found.scores[~found.sought][None]
    assert found.auc == pytest.approx((above > 0).mean() + (above == 0).mean() / 2)


def test_honest_scores_lie_on_the_diagonal() -> None:
    for said, sought in drawn(20_000).reliability():
        assert sought == pytest.approx(said, abs=0.04)


def test_the_plot_is_svg_and_the_same_twice() -> None:
    one, two = plot(drawn(), 0.5), plot(drawn(), 0.5)
    assert one == two
    assert ET.fromstring(one).tag.endswith("svg")


def test_labels_are_parted_by_version() -> None:
    old = Key("hats", "hats", "house-clip", "older")
    found = curves([Labelled(KEY, 0.5, True), Labelled(old, 0.4, False), Labelled(KEY, 0.2, False)])
    assert [(one.key.version, len(one.scores)) for one in found] == [("abc", 2), ("older", 1)]


def test_a_file_keeps_everything_but_its_thresholds() -> None:
    path = Path(__file__).resolve().parents[2] / "moderation" / "policies" / "weapon.toml"
    text = path.read_text()
    changed = rewritten(text, {("weapon", "house-clip"): 0.123})
    differing = [pair for pair in zip(text.splitlines(), changed.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(differing) == 1
    assert differing[0][1] == "review = 0.123"
    assert rewritten(text, {}) == text


@pytest.fixture
def found_by_people(people: Moderators, outcome: Recorder, settings: Any) -> None:
    """Twelve were held and refused, as many were held and released, and of twelve released ones two were wrong."""
    for number in range(24):
        case = screened(open_medium(people.alice, png(marked(picture(number), "review"))))
        assert claim_next(people.bob) == case
        to, code = ("refused", "fake.review") if number < 12 else ("cleared", "")
        decide(case, moderator=people.bob, to=to, policy_code=code, reason="looked")
    settings.AUDIT_SHARE = settings.NEAR_MISS_SHARE = 1
    for number in range(12):
        case = screened(open_medium(people.alice, png(picture(50 + number))), Faults(score=number / 100))
        sample = Sample.objects.get(case=case)
        look_again(sample, moderator=people.bob, policy_code="fake.review" if number < 2 else "", reason="looked")


def calibrated(out: Path, **options: Any) -> str:
    told = io.StringIO()
    call_command("calibrate", out=out, stdout=told, **options)
    return told.getvalue()


def test_the_command_proposes_from_the_desk_and_from_second_looks(
    found_by_people: None, tmp_path: Path, settings: Any
) -> None:
    out = tmp_path / "out"
    told = calibrated(out)
    assert (out / "calibration.md").read_text() in told
    (row,) = [line for line in told.splitlines() if line.startswith("| fake.review |")]
    assert "| 36, 14 |" in row
    assert (out / "fake.review.review.fake.1.svg").is_file()
    assert [one.name for one in tmp_path.iterdir()] == ["out"], "nothing half made lies about"
    # Half of what was held is harmless: nothing but the highest score keeps it out.
    proposed = policy_files.load(out / "policies")
    (threshold,) = [one for policy, one in proposed.thresholds("medium") if policy.code == "fake.review"]
    assert threshold.review == 1.0
    assert {policy.code for policy in proposed} == {policy.code for policy in policies()}
    assert policies().version == policy_files.load(*settings.POLICIES).version


@pytest.mark.parametrize("at_once", [1, 5, 1000])
def test_no_label_is_lost_between_batches(found_by_people: None, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(labels, "AT_ONCE", at_once)
    long_ago = timezone.now() - timedelta(days=1)
    for read, number in ((labels.of_the_desk, 24), (labels.of_second_looks, 12)):
        found = [one for one in read(long_ago) if one.key.policy == "fake.review"]
        assert len(found) == number
        assert sum(one.is_sought for one in found) == (12 if number == 24 else 2)


def test_second_looks_are_read_in_as_many_queries_however_many_there_are(
    found_by_people: None, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(3):
        assert len(list(labels.of_second_looks(timezone.now() - timedelta(days=1)))) >= 12


def test_no_labels_no_calibration(people: Moderators, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There are no labels"):
        calibrated(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_input_gets_a_sentence_and_writes_nothing(people: Moderators, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("kept")
    (tmp_path / "media" / "no.such.policy").mkdir(parents=True)
    (tmp_path / "broken" / "harmless").mkdir(parents=True)
    (tmp_path / "broken" / "harmless" / "a.png").write_bytes(b"no picture")
    (tmp_path / "flat" / "harmless").mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "flat" / "harmless" / "a.png")
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"out": tmp_path / "full"}, "no empty folder"),
        ({"most_held": 1.5}, "from 0 to 1"),
        ({"days": float("nan")}, "--days is from 0"),
        ({"media": tmp_path / "flat"}, "cannot be judged: every pixel has the same colour"),
        ({"media": tmp_path / "nowhere"}, "is no folder"),
        ({"media": tmp_path / "media"}, "named after no policy"),
        ({"media": tmp_path / "broken"}, "cannot be read as a picture"),
    )
    for options, told in wrong:
        with pytest.raises(CommandError, match=told):
            call_command("calibrate", **{"out": tmp_path / "out", **options})
        assert not (tmp_path / "out").exists()


def test_labelled_pictures_are_judged_by_the_armoury(people: Moderators, tmp_path: Path) -> None:
    for label, mark in (("harmless", ""), ("fake.review", "review")):
        (tmp_path / "media" / label).mkdir(parents=True)
        for number in range(12):
            drawing = picture(number)
            (marked(drawing, mark) if mark else drawing).save(tmp_path / "media" / label / f"{number}.png")
    told = calibrated(tmp_path / "out", media=tmp_path / "media")
    (row,) = [line for line in told.splitlines() if line.startswith("| fake.review |")]
    assert "| 24, 12 | 1.000 |" in row
    assert not Case.objects.exists()
