"""The sieve: what clears, what is held, what is refused; and that whatever fails never clears."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from journal import files
from journal.models import Wakeup
from moderation import derivative, sweep
from moderation.actions import CannotRelease, Ruling, clear
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.fake import FakePictureClassifier, FakePromptClassifier
from moderation.classifiers.meaning import Meaning
from moderation.classifiers.text_in_pictures import TextInPictures
from moderation.models import Case, Decision, Freeze, Screening
from moderation.policy import NAMES
from moderation.rules import policies
from moderation.screening import oldest_pending_age
from moderation.screening.leases import claim
from moderation.screening.originals import Original, View
from moderation.screening.records import sentence
from moderation.screening.worker import screen_waiting
from moderation.signals import Signal
from moderation.verdict import Trigger
from tests.moderation.conftest import (
    Moderators,
    Recorder,
    at_once,
    open_medium,
    open_prompt,
    picture,
    png,
)
from tests.moderation.sieves import Faults, armed, marked

MACHINE = Ruling(kind=Decision.ActorKind.MACHINE, reason="for the test")


def screened(case: Case, faults: Faults | None = None) -> Case:
    """The case after the sieve had its way with it, as often as it asks for."""
    screen_waiting(armed(faults), worker="tests")
    case.refresh_from_db()
    return case


def last(case: Case) -> Decision:
    decision = case.decisions.last()
    assert decision is not None
    return decision


def test_a_harmless_prompt_is_cleared(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_prompt(people.alice))
    assert case.state == "cleared"
    assert (last(case).actor_kind, last(case).verdict) == ("machine", "clear")
    assert last(case).policy_version
    assert outcome.of(case) == ["cleared"]


def test_a_prompt_that_a_policy_refuses_is_refused_by_its_code(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_prompt(people.alice, "a naked child"))
    assert case.state == "refused"
    assert last(case).policy_code.startswith("sexual")
    assert outcome.of(case) == ["refused"]


def test_a_released_picture_is_made_anew_and_both_hashes_are_kept(people: Moderators, outcome: Recorder) -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("secret", "who drew it")
    written = io.BytesIO()
    picture(3).save(written, format="PNG", pnginfo=told)
    case = screened(open_medium(people.alice, written.getvalue()))
    assert case.state == "cleared"
    data = files.read(files.released(), case.derivative_key)
    assert case.derivative_sha256 in case.derivative_key
    assert files.digest(data) == case.derivative_sha256 == last(case).derivative_sha256
    assert last(case).original_sha256 == files.digest(written.getvalue())
    assert last(case).perceptual_distance is not None
    with Image.open(io.BytesIO(data)) as released:
        assert released.size == (128, 128)
        assert not released.info.keys() - {"xmp", "XML:com.adobe.xmp"}, "more came along than the declaration"
    assert b"who drew it" not in data


def test_every_signal_is_kept_with_its_classifier(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_medium(people.alice))
    screening = Screening.objects.get(case=case)
    signals = list(screening.signals.all())
    assert signals
    assert all(signal.model and signal.version for signal in signals)
    assert last(case).signals_sha256 == screening.signals_sha256 != ""


def test_a_doubtful_picture_waits_for_a_person_with_its_file_ready(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_medium(people.alice, png(marked(picture(2), "review"))))
    assert case.state == "in_review"
    assert case.deadline is not None
    assert files.digest(files.read(files.released(), case.derivative_key)) == case.derivative_sha256
    assert outcome.of(case) == ["held"]


def test_a_blocked_picture_has_no_file_for_release(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_medium(people.alice, png(marked(picture(2), "block"))))
    assert (case.state, case.derivative_key) == ("refused", "")
    assert last(case).policy_code
    assert not Freeze.objects.exists()


def test_a_severe_block_freezes_the_person_and_nobody_else(people: Moderators, outcome: Recorder) -> None:
    severe = screened(open_medium(people.alice, png(marked(picture(2), "severe"))))
    assert severe.state == "refused"
    assert severe.is_severe
    assert Freeze.objects.get().person == people.alice
    later, carols = open_medium(people.alice), open_medium(people.carol)
    assert screened(later).state == "in_review"
    carols.refresh_from_db()
    assert carols.state == "cleared"


FAULTS = {
    "a score that is no number": Faults(score=float("nan")),
    "a score beyond all bounds": Faults(score=float("inf")),
    "a score of two": Faults(score=2.0),
    "a classifier that says nothing": Faults(silent=True),
    "a classifier of another version": Faults(version="another"),
    "a classifier that crashes": Faults(raises=ZeroDivisionError("crash")),
    "a classifier that cannot take this item": Faults(item_fault=True),
    "an answer too few": Faults(one_answer_less=True),
    "a machine out of memory": Faults(machinery_fault=True),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("subject", [open_medium, open_prompt], ids=["picture", "prompt"])
def test_a_fault_of_a_classifier_never_clears(
    people: Moderators, outcome: Recorder, fault: Faults, subject: Callable[..., Case]
) -> None:
    case = screened(subject(people.alice), fault)
    assert case.state in {"pending", "in_review"}
    assert "cleared" not in outcome.of(case)


def gif(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, format="GIF")
    return written.getvalue()


BROKEN = {
    "one whose score is no number": png(marked(picture(6), "nan")),
    "one flat colour": png(Image.new("RGB", (64, 64), (200, 10, 10))),
    "no picture": b"not a picture at all",
    "nothing": b"",
    "cut in half": png(picture(5))[: len(png(picture(5))) // 2],
    "of another size": png(picture(5, (65, 64))),
    "of a format that we do not decode": gif(picture(5)),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_never_clears_and_costs_its_neighbour_nothing(
    people: Moderators, outcome: Recorder, data: bytes
) -> None:
    good, broken = open_medium(people.carol), open_medium(people.alice, data)
    assert screened(broken).state == "in_review"
    good.refresh_from_db()
    assert good.state == "cleared"


def test_a_file_that_is_not_the_one_drawn_never_clears(people: Moderators, outcome: Recorder) -> None:
    case = open_medium(people.alice)
    another = png(picture(9))
    assert files.digest(another) != case.evidence["original_sha256"]
    with open(files.quarantine().path(case.evidence["original_key"]), "wb") as file:
        file.write(another)
    assert screened(case).state == "in_review"
    assert last(case).verdict == "unscreened"


def test_a_picture_of_too_many_pixels_is_not_decoded(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_medium(people.alice, width=100_000, height=100_000))
    assert case.state == "in_review"
    assert "pixels" in last(case).reason


def test_a_fault_of_the_machinery_does_not_count_and_is_tried_again(people: Moderators, outcome: Recorder) -> None:
    case = screened(open_medium(people.alice), Faults(machinery_fault=True))
    assert (case.state, case.attempts, case.lease_token) == ("pending", 0, None)
    assert claim("tests") is None, "it is waited out for a moment"
    Case.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    Wakeup.objects.all().delete()
    assert sweep.wake_if_waiting()
    assert Wakeup.objects.filter(topic="screen").count() == 1
    assert screened(case).state == "cleared"


def test_names_that_cannot_be_read_stop_the_sieve_and_fill_no_desk(people: Moderators, outcome: Recorder) -> None:
    """What breaks beside the picture classifiers is the machinery's fault as well, and no picture's."""

    class Broken(FakePromptClassifier):
        name = NAMES

        def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
            raise RuntimeError("the model of names is gone")

    house = policies()
    cases = [open_medium(people.alice, png(picture(seed))) for seed in (11, 12, 13)]
    screen_waiting(Armoury([FakePictureClassifier(house)], house, [Broken(house)]), "tests")
    for case in cases:
        case.refresh_from_db()
    assert [(case.state, case.attempts) for case in cases] == [("pending", 0)] * 3
    Case.objects.update(retry_at=None)
    assert {screened(case).state for case in cases} == {"cleared"}


def test_three_attempts_then_a_person_is_asked(people: Moderators, outcome: Recorder, settings: Any) -> None:
    case = screened(open_medium(people.alice), Faults(item_fault=True))
    assert case.screenings.exclude(fault="").count() == settings.MOST_ATTEMPTS
    assert (case.state, last(case).verdict) == ("in_review", "unscreened")
    assert outcome.of(case) == ["held"]


def test_a_picture_that_chokes_a_classifier_costs_its_neighbours_nothing(people: Moderators, outcome: Recorder) -> None:
    good = [open_medium(people.carol) for _ in range(3)]
    poison = open_medium(people.alice, png(marked(picture(1), "crash")))
    assert screened(poison).state == "in_review"
    for case in good:
        case.refresh_from_db()
        assert case.state == "cleared"


def expire_leases() -> None:
    Case.objects.filter(lease_token__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=1))
    sweep.recover_lost_leases()


def test_a_picture_that_kills_its_process_is_retried_alone_and_then_held(
    people: Moderators, outcome: Recorder, settings: Any
) -> None:
    poison, good = open_medium(people.alice), open_medium(people.carol)
    first = claim("dies")
    assert first is not None
    assert len(first.cases) == 2
    expire_leases()
    for _ in range(settings.MOST_ATTEMPTS - 1):
        alone = claim("dies")
        assert alone is not None
        assert list(alone.cases) == [poison]
        expire_leases()
    poison.refresh_from_db()
    assert (poison.state, last(poison).verdict) == ("in_review", "unscreened")
    assert screened(good).state == "cleared"


def test_two_workers_that_screen_one_case_make_one_decision(fresh_people: Moderators, outcome: Recorder) -> None:
    case = open_medium(fresh_people.alice)
    at_once(4, lambda number: screen_waiting(armed(), worker=f"w{number}"))
    case.refresh_from_db()
    assert case.state == "cleared"
    assert case.decisions.count() == 1
    assert outcome.of(case) == ["cleared"]


def test_a_worker_that_lost_its_lease_decides_nothing(people: Moderators, outcome: Recorder) -> None:
    case = open_medium(people.alice)

    def lose_it() -> None:
        # While the classifiers look, the lease runs out and another worker refuses the case.
        Case.objects.filter(pk=case.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        sweep.recover_lost_leases()
        other = claim("other")
        assert other is not None

    screen_waiting(armed(Faults(meanwhile=lose_it)), worker="late")
    case.refresh_from_db()
    assert case.state == "pending"
    assert not case.decisions.exists()
    assert not case.screenings.exists()


def test_a_file_for_release_that_is_far_from_its_original_waits_for_a_person(
    people: Moderators, outcome: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derivative, "FARTHEST", -1)
    case = screened(open_medium(people.alice))
    assert case.state == "in_review"
    assert "differs from the original" in last(case).reason


def test_a_file_for_release_changed_before_release_is_not_released(people: Moderators, outcome: Recorder) -> None:
    case = open_medium(people.alice)
    made = derivative.make(Original((View(picture(4)),)), case.evidence, folder="tests", signer=None)
    with open(files.released().path(made.key), "ab") as file:
        file.write(b"x")
    with pytest.raises(CannotRelease):
        clear(case, MACHINE, fence={}, fields=made.fields())
    assert outcome.told == []


def test_an_outcome_that_fails_leaves_nothing_shown(people: Moderators, outcome: Recorder) -> None:
    outcome.fails_at = "cleared"
    case = screened(open_medium(people.alice))
    assert case.state == "in_review"
    assert outcome.of(case) == ["held"]


def test_prompts_go_before_pictures(people: Moderators) -> None:
    open_medium(people.alice)
    open_prompt(people.alice)
    batch = claim("tests")
    assert batch is not None
    assert batch.subject == "prompt"


def test_the_age_of_the_oldest_pending_case_is_known(people: Moderators, outcome: Recorder) -> None:
    assert oldest_pending_age() is None
    case = open_prompt(people.alice)
    assert timedelta(0) <= (oldest_pending_age() or timedelta(-1)) < timedelta(minutes=1)
    screened(case)
    assert oldest_pending_age() is None


def test_what_is_written_in_a_picture_holds_it_and_only_the_moderator_is_told_the_words(
    people: Moderators, outcome: Recorder
) -> None:
    house = policies()
    meaning = Meaning(house)
    meaning.load()
    text = TextInPictures(house, meaning)
    text.load()
    image = Image.new("RGB", (64, 64), (240, 240, 220))
    ImageDraw.Draw(image).text((6, 20), "nude", font=ImageFont.load_default(20), fill=(20, 20, 40))
    case = open_medium(people.alice, png(image))
    screen_waiting(Armoury([FakePictureClassifier(house), text], house), worker="tests")
    case.refresh_from_db()
    assert case.state == "in_review"
    assert "sexual.nudity" in case.policy_codes
    assert any("by “nude”, which is written in the picture" in finding["sentence"] for finding in case.findings)
    assert "sexual.nudity review" in last(case).reason
    assert "nude" not in last(case).reason
    assert not case.screenings.get().signals.filter(name__contains="nude").exists()


def test_a_moderator_reads_what_asked_in_asentence() -> None:
    asked = Trigger("fake.review", "fake.review", 0.81, 0.5, "review", 0, field="prompt")
    assert sentence(asked).endswith("asks by the meaning of what stands in prompt (fake.review 0.81 of 0.50)")
    assert "by “knife” in prompt" in sentence(replace(asked, words=("knife",)))
    assert "meaning" not in sentence(replace(asked, field="frame at 1.50 s"))
    seen = sentence(replace(asked, field="frame at 1.50 s", words=("knife",)))
    assert "by “knife”, which is written in the picture, in frame at 1.50 s" in seen
