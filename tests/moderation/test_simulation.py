"""What other policies would have said of what was screened, by the command that operators use."""

import io
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from moderation import policy_files
from moderation.actions import claim_next, decide
from moderation.models import Case, Screening
from moderation.rules import policies
from moderation.simulation import differences, simulate
from tests import path
from tests.people import People, cast

HOUSE = [Path(folder) for folder in settings.POLICIES]


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A copy of the house's policies, to be changed."""
    for folder in HOUSE:
        for file in folder.glob("*.toml"):
            shutil.copy(file, tmp_path)
    return tmp_path


def change(folder: Path, file: str, right: str, wrong: str) -> None:
    text = (folder / file).read_text()
    assert right in text
    (folder / file).write_text(text.replace(right, wrong, 1))


def said(*words: object) -> str:
    written = io.StringIO()
    call_command("policies", *map(str, words), stdout=written)
    return written.getvalue()


def a_day(people: People) -> None:
    """Two clear, two held and then refused and cleared by Bob, one blocked; and a prompt that asks."""
    for prompt in ("a red apple", "a pear", "verdict:review one", "verdict:review two", "verdict:block three"):
        path.submit(people.alice, prompt)
    path.work()
    for to in ("refused", "cleared"):
        case = claim_next(people.bob)
        assert case is not None
        decide(case, moderator=people.bob, to=to, policy_code="", reason="for the test")


def test_the_same_policies_move_nothing(people: People, other: Path) -> None:
    a_day(people)
    now = timezone.now()
    report = simulate(policies(), policy_files.load(other), since=now - timedelta(days=1), until=now)
    assert report.screenings == 10
    assert all(before == after for arrows in report.arrows.values() for before, after in arrows)
    assert report.load(0) == report.load(1) == 2
    assert report.missed == (0, 1)
    assert report.spared == (0, 1)


def test_a_higher_threshold_spares_people_and_misses_what_they_refused(people: People, other: Path) -> None:
    a_day(people)
    change(other, "fake.review.toml", "review = 0.5", "review = 1.0\nblock = 1.0")
    text = said("simulate", other, "--days", 1)
    assert "medium:" in text
    change(other, "fake.review.toml", "review = 1.0\nblock = 1.0", "review = 0.5")
    change(other, "fake.review.toml", 'code = "fake.review"', 'code = "fake.review"\nmode = "shadow"')
    text = said("simulate", other, "--days", 1)
    assert "10 screenings of 1 days, judged anew" in text
    assert "People would have had 0 to look at instead of 2: 0.0 a day instead of 2.0." in text
    assert "Of 1 that people refused, 1 would now be cleared unseen." in text
    assert "Of 1 that people cleared, 1 would now need nobody." in text


def test_words_are_judged_anew_from_the_prompts(people: People, other: Path) -> None:
    path.submit(people.alice, "a very purple cow")
    path.work()
    change(other, "weapon.toml", "review = [\n", 'review = [\n  "purple cow",\n')
    now = timezone.now()
    report = simulate(policies(), policy_files.load(other), since=now - timedelta(days=1), until=now)
    assert report.arrows["prompt"]["clear", "review"] == 1
    assert report.policies["weapon"].asked == [0, 1]


def test_only_the_last_screening_of_a_case_counts(people: People, other: Path) -> None:
    a_day(people)
    case = Case.objects.filter(subject="medium").first()
    assert case is not None
    first = case.screenings.get()
    Screening.objects.create(
        case=case, attempt=2, verdict="clear", policy_version="x", worker="w", fault="it fell over"
    )
    now = timezone.now()
    assert simulate(policies(), policies(), since=now - timedelta(days=1), until=now).screenings == 10
    assert first.pk


def test_nothing_screened_says_so(people: People, other: Path) -> None:
    assert "Nothing was screened" in said("simulate", other)


def test_a_shadow_is_written_down_with_the_screening_and_for_the_moderator(
    people: People, other: Path, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(other, "fake.block.toml", 'code = "fake.block"', 'code = "fake.block"\nmode = "shadow"')
    quiet = policy_files.load(other)
    monkeypatch.setattr("moderation.screening.worker.policies", lambda: quiet)
    job = path.submit(people.alice, "verdict:block a forbidden apple")
    path.work()
    case = Case.objects.get(subject="medium", medium__job=job)
    assert case.state == "cleared"
    assert case.screenings.get().shadow == [{"policy": "fake.block", "action": "block"}]
    assert case.findings[0]["sentence"].startswith("In shadow, moving nothing: A test of block refuses")


def test_check_lists_the_policies_and_names_what_is_wrong(other: Path) -> None:
    text = said("check")
    assert "weapon" in text
    assert f"version {policies().version[:16]}" in text
    change(other, "weapon.toml", 'code = "weapon"', 'code = "weapon"\nmode = "shadow"')
    change(other, "blood.toml", 'code = "blood"', 'code = "blood"\nshare = 0.1')
    assert "in shadow" in said("check", other)
    assert "on 10%" in said("check", other)
    change(other, "skull.toml", "review = 0.4", "review = 4")
    with pytest.raises(CommandError, match=r"skull\.toml: thresholds\.review must be from 0 to 1"):
        said("check", other)


def test_diff_names_each_change_and_nothing_else(other: Path) -> None:
    assert said("diff", other).strip() == "Nothing is other."
    change(other, "skull.toml", "review = 0.4", "review = 0.3")
    change(other, "weapon.toml", '"machine gun", ', '"machine guns", ')
    change(other, "weapon.toml", 'severity = "medium"', 'severity = "high"')
    (other / "fake.block.toml").unlink()
    (other / "new.toml").write_text((other / "fake.review.toml").read_text().replace("fake.review", "hats.new"))
    lines = differences(policies(), policy_files.load(other))
    assert any(line.startswith("skull: skull of house-clip, review from 0.4, block from") for line in lines)
    assert "weapon: words.review loses 'machine gun'" in lines
    assert "weapon: words.review gains 'machine guns'" in lines
    assert "weapon: severity 1 becomes 2" in lines
    assert "fake.block: is gone" in lines
    assert "hats.new: is new" in lines
    assert len(lines) == 6
