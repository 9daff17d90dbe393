"""What is out and would not be released today is asked about, once; what a severe list names goes dark."""

import io
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from journal import files
from moderation import policy_files
from moderation.actions import claim_next, decide, look_again
from moderation.actions.freezes import is_frozen
from moderation.actions.samples import waiting
from moderation.actions.uploads import erase, take
from moderation.classifiers.armoury import Armoury
from moderation.models import Case, Decision, Sample, Screening
from moderation.policy import PolicySet
from moderation.quality.figures import figures
from moderation.rescan import Tally, rescan
from moderation.rules import policies
from tests.moderation.conftest import Moderators, Recorder, open_medium, picture, png
from tests.moderation.sieves import Faults, marked
from tests.moderation.test_desk import signed_in
from tests.moderation.test_known import listed, medium, ordered, scene
from tests.moderation.test_screening import last, screened


def again(**options: Any) -> str:
    """What the command says at its end."""
    told = io.StringIO()
    call_command("rescan", stdout=told, stderr=io.StringIO(), **options)
    return told.getvalue()


@pytest.fixture
def today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PolicySet]:
    """The house's policies with one line of one file changed, in force from now on."""

    def change(file: str, right: str, wrong: str) -> PolicySet:
        folder = tmp_path / "policies"
        folder.mkdir()
        for each in settings.POLICIES:
            for path in Path(each).glob("*.toml"):
                shutil.copy(path, folder)
        text = (folder / file).read_text()
        assert right in text
        (folder / file).write_text(text.replace(right, wrong))
        house = policy_files.load(folder)
        for room in ("rescan", "screening.records", "known", "arming"):
            monkeypatch.setattr(f"moderation.{room}.policies", lambda: house)
        return house

    return change


def test_a_severe_match_goes_dark_at_once_and_the_old_decision_stays(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    case, other = screened(medium(people.alice, scene())), screened(medium(people.carol, scene(1)))
    old = last(case)
    listed(tmp_path, scene(), policy="sexual.minors")
    assert "2 looked at, 0 of them by their files; 0 asked about, 1 taken back" in again()
    case.refresh_from_db()
    other.refresh_from_db()
    assert (case.state, other.state) == ("withdrawn", "cleared")
    new = last(case)
    assert (new.actor_kind, new.policy_code, new.verdict) == ("machine", "known.picture", "block")
    assert new.policy_version == policies().version
    assert outcome.of(case) == ["cleared", "withdrawn"]
    assert is_frozen(people.alice)
    assert not is_frozen(people.carol)
    assert Decision.objects.get(pk=old.pk).__dict__["verdict"] == "clear"
    assert "1 looked at, 0 of them by their files; 0 asked about, 0 taken back" in again()


def test_any_other_match_asks_once_first_of_all_and_stays_out_meanwhile(
    people: Moderators, outcome: Recorder, tmp_path: Path, settings: Any
) -> None:
    settings.AUDIT_SHARE = settings.NEAR_MISS_SHARE = 1
    screened(open_medium(people.alice))
    case = screened(medium(people.alice, scene()))
    listed(tmp_path, scene(), policy="weapon")
    assert "1 asked about" in again()
    assert "0 asked about" in again()
    sample = waiting(people.bob)[0]
    assert (sample.case, sample.stratum, sample.policy_version) == (case, "rescan", policies().version)
    case.refresh_from_db()
    assert case.state == "cleared"
    assert case.screenings.count() == 2
    html = signed_in(people.bob).get(f"/desk/samples/{sample.pk}/").content.decode()
    assert "the sieve of today would not release it" in html
    assert "of the list “exchange” under weapon: 0 of 256 bits differ" in html
    look_again(sample, moderator=people.bob, policy_code="", reason="")
    assert "0 asked about" in again()
    listed(tmp_path, scene(), source="another list", policy="weapon")
    ordered("retire", "--source", "exchange", "--reason", "it is a broom")
    assert "1 asked about" in again(), "another list says so too: that is news"


def test_what_a_rescan_chose_is_no_part_of_the_estimate(people: Moderators, outcome: Recorder, tmp_path: Path) -> None:
    case = screened(medium(people.alice, scene()))
    listed(tmp_path, scene(), policy="weapon")
    again()
    look_again(Sample.objects.get(case=case), moderator=people.bob, policy_code="weapon", reason="a rifle")
    assert figures(timezone.now() + timedelta(minutes=1)).missed.share is None
    case.refresh_from_db()
    assert case.state == "withdrawn"


def test_a_lower_threshold_asks_by_the_signals_of_then_and_opens_no_file(
    people: Moderators, outcome: Recorder, today: Callable[..., PolicySet]
) -> None:
    case = screened(open_medium(people.alice), Faults(score=0.2))
    assert case.state == "cleared"
    old = last(case)
    house = today("skull.toml", "review = 0.4", "review = 0.15")

    def arm() -> Armoury:
        raise AssertionError("no file has to be looked at")

    assert rescan(arm, policy="skull") == Tally(looked=1, asked=1, last=case.pk)
    sample = Sample.objects.get()
    assert sample.policy_version == house.version != old.policy_version
    assert sample.reason.startswith("Skulls asks (skull 0.20 of 0.15)")
    assert rescan(arm, policy="weapon") == Tally(looked=1, last=case.pk)


def test_a_signal_that_is_missing_is_asked_of_the_file_once(
    people: Moderators, outcome: Recorder, today: Callable[..., PolicySet]
) -> None:
    case = screened(open_medium(people.alice))
    house = today("skull.toml", 'version = "de113bb7f964eb36"', 'version = "of today"')
    armed: list[Armoury] = []

    def arm() -> Armoury:
        armed.append(Armoury.load("fake", weights=Path(), policies=house))
        return armed[-1]

    assert rescan(arm) == Tally(looked=1, files=1, last=case.pk)
    screening = case.screenings.last()
    assert screening is not None
    assert screening.policy_version == house.version
    assert rescan(arm) == Tally(looked=1, last=case.pk)
    assert len(armed) == 1
    assert last(case).policy_version != house.version


def test_a_file_that_cannot_be_read_again_asks(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_medium(people.alice))
    files.remove(files.quarantine(), case.evidence["original_key"])
    assert "1 asked about" in again(files=True)
    assert "cannot be looked at again" in Sample.objects.get().reason
    assert "0 asked about" in again(files=True)


def test_by_its_file_a_mirrored_copy_is_found(people: Moderators, outcome: Recorder, tmp_path: Path) -> None:
    from PIL import ImageOps

    screened(medium(people.alice, ImageOps.mirror(scene())))
    listed(tmp_path, scene(), policy="weapon")
    assert "1 asked about" in again(files=True, policy="known.picture")


def test_a_dry_run_counts_and_changes_nothing(people: Moderators, outcome: Recorder, tmp_path: Path) -> None:
    case, other = screened(medium(people.alice, scene())), screened(medium(people.alice, scene(1)))
    listed(tmp_path, scene(), policy="weapon")
    listed(tmp_path, scene(1), source="worse", policy="sexual.minors")
    told = again(dry_run=True, files=True)
    assert "2 of them by their files; 1 asked about, 1 taken back" in told
    assert "Nothing was changed." in told
    assert not Sample.objects.exists()
    assert Screening.objects.count() == 2
    assert {Case.objects.get(pk=one.pk).state for one in (case, other)} == {"cleared"}


def test_what_a_person_released_is_asked_about_only_for_what_they_did_not_see(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    case = screened(medium(people.alice, marked(scene(), "review")))
    assert claim_next(people.bob) == case
    decide(case, moderator=people.bob, to="cleared", reason="it is an apple", policy_code="")
    assert "1 looked at, 0 of them by their files; 0 asked about" in again()
    listed(tmp_path, scene(), policy="weapon")
    assert "1 asked about" in again()


def test_uploads_that_may_be_drawn_with_are_looked_at_and_erased_ones_are_not(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    kept = take(people.alice, ContentFile(png(scene())), "picture")
    gone = take(people.carol, ContentFile(png(scene())), "picture")
    assert screened(gone.case).state == "cleared"
    erase(gone)
    listed(tmp_path, scene(), policy="sexual.minors")
    assert "1 looked at" in again()
    assert Case.objects.get(pk=kept.case_id).state == "withdrawn"
    assert Case.objects.get(pk=gone.case_id).state == "cleared"


def test_it_goes_on_where_it_was_stopped(
    people: Moderators, outcome: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderation.rescan.AT_ONCE", 2)
    cases = [screened(open_medium(people.alice, png(picture(seed)))) for seed in (3, 5, 7, 9, 11)]
    told = io.StringIO()
    call_command("rescan", stdout=io.StringIO(), stderr=told)
    assert [int(line.split()[0]) for line in told.getvalue().splitlines()] == [2, 4, 5]
    assert told.getvalue().splitlines()[0].endswith(f"go on with --after {cases[1].pk}")
    assert "3 looked at" in again(after=cases[1].pk)
    assert "0 looked at" in again(since=f"{timezone.now() + timedelta(days=2):%Y-%m-%d}")


def test_where_the_tables_cannot_be_asked_it_stops_and_says_where(
    fresh_people: Moderators, outcome: Recorder, as_owner: Any
) -> None:
    screened(open_medium(fresh_people.alice))
    as_owner.execute("ALTER TABLE moderation_blockedword RENAME TO gone")
    with pytest.raises(CommandError, match=r"known pictures cannot be looked up.*Go on with --after 0"):
        again()


@pytest.mark.parametrize(
    ("options", "told"),
    [({"policy": "no.such"}, "There is no policy 'no.such'"), ({"since": "yesterday"}, "--since is a day")],
)
def test_an_order_that_names_nothing_is_refused(db: None, options: dict[str, str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        again(**options)
