"""What the machine releases is looked at again by chance; what it misses is estimated, and a miss is withdrawn."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from journal import files
from moderation.actions import AlreadyLooked, claim_next, decide, look_again
from moderation.actions.samples import waiting
from moderation.models import Case, Decision, Look, Sample, SecondLook
from moderation.quality.figures import figures
from moderation.quality.intervals import counted, weighted, wilson
from moderation.rules import policies
from tests.moderation.conftest import Moderators, Recorder, at_once, open_medium, open_prompt, picture, png
from tests.moderation.sieves import Faults
from tests.moderation.test_desk import held_medium, signed_in
from tests.moderation.test_screening import screened


@pytest.fixture
def every(settings: Any) -> None:
    """All that the machine releases is drawn."""
    settings.AUDIT_SHARE = settings.NEAR_MISS_SHARE = 1


def sampled(person: Any, seed: int = 11) -> Sample:
    case = screened(open_medium(person, png(picture(seed))))
    return Sample.objects.get(case=case)


def test_what_the_machine_releases_is_drawn_with_its_probability(
    people: Moderators, outcome: Recorder, every: None, settings: Any
) -> None:
    sample = sampled(people.alice)
    assert (sample.stratum, sample.probability) == ("far", 1)
    settings.AUDIT_SHARE = settings.NEAR_MISS_SHARE = 0
    screened(open_medium(people.alice, png(picture(3))))
    assert Sample.objects.count() == 1


def test_what_nearly_asked_is_another_stratum(people: Moderators, outcome: Recorder, settings: Any) -> None:
    settings.AUDIT_SHARE, settings.NEAR_MISS_SHARE = 0, 1
    score = 0.8 * min(one.review for _, one in policies().thresholds("medium"))
    near = screened(open_medium(people.alice), Faults(score=score))
    assert near.state == "cleared"
    assert Sample.objects.get().stratum == "near"
    screened(open_medium(people.alice, png(picture(3))))
    assert Sample.objects.count() == 1


def test_neither_prompts_nor_what_people_released_are_drawn(people: Moderators, outcome: Recorder, every: None) -> None:
    screened(open_prompt(people.alice))
    case = held_medium(people.alice)
    assert claim_next(people.bob) == case
    decide(case, moderator=people.bob, to="cleared", reason="it is an apple", policy_code="")
    assert not Sample.objects.exists()


def test_a_miss_is_withdrawn_in_the_same_transaction(people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(people.alice)
    look_again(sample, moderator=people.bob, policy_code="weapon", reason="a rifle in the corner")
    sample.case.refresh_from_db()
    assert sample.case.state == "withdrawn"
    last = sample.case.decisions.order_by("-pk").first()
    assert last is not None
    assert (last.actor, last.policy_code) == (people.bob, "weapon")
    assert outcome.of(sample.case)[-1] == "withdrawn"


def test_what_fails_at_the_withdrawal_leaves_no_look(people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(people.alice)
    outcome.fails_at = "withdrawn"
    with pytest.raises(RuntimeError):
        look_again(sample, moderator=people.bob, policy_code="weapon", reason="a rifle")
    assert not SecondLook.objects.exists()
    assert waiting(people.bob).get() == sample


def test_one_look_counts_and_nobody_looks_at_their_own(people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(people.alice)
    own = sampled(people.bob, seed=3)
    assert list(waiting(people.bob)) == [sample]
    assert list(waiting(people.alice)) == []
    look_again(sample, moderator=people.bea, policy_code="", reason="")
    for late in (sample, own):
        with pytest.raises(AlreadyLooked):
            look_again(late, moderator=people.bob, policy_code="", reason="")
    assert SecondLook.objects.count() == 1


def test_of_eight_looks_at_once_one_counts(fresh_people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(fresh_people.alice)
    both = (fresh_people.bob, fresh_people.bea)

    def look(number: int) -> str:
        try:
            look_again(sample, moderator=both[number % 2], policy_code="weapon", reason="a rifle")
        except AlreadyLooked:
            return "late"
        return "counted"

    assert sorted(at_once(8, look)) == ["counted", *["late"] * 7]
    assert Decision.objects.filter(to_state="withdrawn").count() == 1


@pytest.mark.parametrize(
    "change", ["UPDATE moderation_sample SET probability = 1", "DELETE FROM moderation_secondlook"]
)
def test_samples_and_looks_are_written_once(people: Moderators, outcome: Recorder, every: None, change: str) -> None:
    look_again(sampled(people.alice), moderator=people.bob, policy_code="", reason="")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_the_page_asks_shows_and_withdraws(people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(people.alice)
    desk = signed_in(people.bob)
    assert "1 sample waits for a second look" in desk.get("/desk/").content.decode()
    address = desk.get("/desk/samples/")["Location"]
    html = desk.get(address).content.decode()
    assert "Was it rightly released?" in html
    assert "a red apple" in html
    shown = desk.get(f"{address}file")
    assert shown["Content-Type"] == "image/png"
    assert shown["Cache-Control"] == "private, no-store"
    assert Look.objects.get().moderator == people.bob
    for form, told in (
        ({}, "Say whether it was rightly released."),
        ({"found": "missed", "reason": "a rifle"}, "Name the policy that it breaks."),
        ({"found": "missed", "policy_code": "weapon"}, "Give a reason"),
        ({"found": "missed", "policy_code": "no.such", "reason": "a rifle"}, "no.such"),
    ):
        answer = desk.post(address, form)
        assert answer.status_code == 422
        assert told in answer.content.decode()
    assert not SecondLook.objects.exists()
    done = desk.post(address, {"found": "missed", "policy_code": "weapon", "reason": "a rifle"})
    assert done["Location"] == "/desk/samples/"
    assert desk.get(address).status_code == desk.get(f"{address}file").status_code == 404
    assert Case.objects.get(pk=sample.case_id).state == "withdrawn"


def test_rightly_released_asks_for_nothing_else(people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(people.alice)
    signed_in(people.bob).post(f"/desk/samples/{sample.pk}/", {"found": "right", "policy_code": "weapon"})
    assert SecondLook.objects.get().policy_code == ""
    assert Case.objects.get(pk=sample.case_id).state == "cleared"


def test_a_file_that_was_changed_is_not_shown(people: Moderators, outcome: Recorder, every: None) -> None:
    sample = sampled(people.alice)
    where = files.released().path(sample.case.derivative_key)
    with open(where, "r+b") as file:
        file.write(b"other")
    assert signed_in(people.bob).get(f"/desk/samples/{sample.pk}/file").status_code == 404


def test_figures_count_what_people_found(people: Moderators, outcome: Recorder, every: None) -> None:
    for seed, found in ((1, ""), (2, ""), (3, "weapon")):
        look_again(sampled(people.alice, seed), moderator=people.bob, policy_code=found, reason="looked")
    for to, code in (("refused", "weapon"), ("refused", "weapon"), ("cleared", "")):
        case = held_medium(people.alice)
        Case.objects.filter(pk=case.pk).update(policy_codes=["weapon"])
        assert claim_next(people.bob) == case
        decide(case, moderator=people.bob, to=to, reason="looked", policy_code=code)
    held_medium(people.alice)
    now = figures(timezone.now() + timedelta(minutes=1))
    assert (now.released, now.held, now.blocked) == (3, 4, 0)
    assert now.missed == weighted([(False, 1), (False, 1), (True, 1)])
    (weapon,) = [one for one in now.policies if one.code == "weapon"]
    assert (weapon.asked, weapon.decided, weapon.upheld) == (3, 3, 2)
    assert weapon.precision == counted(2, 3)
    # Two were caught, and one of three released ones was not.
    assert weapon.recall.share == pytest.approx(2 / 3)
    assert sum(weapon.by_week.values()) == 3
    html = signed_in(people.bob).get("/desk/figures/").content.decode()
    assert "weapon" in html
    assert "33.3 % (6.1 to 79.2, n 3)" in html


def test_figures_of_a_new_house_say_that_nothing_is_known(people: Moderators, outcome: Recorder) -> None:
    html = signed_in(people.bob).get("/desk/figures/").content.decode()
    assert "nobody has given a sample its second look" in html
    assert "Nothing was held yet." in html


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0, 0.27753), (10, 10, 0.72247, 1), (3, 120, 0.00854, 0.07093), (1, 2, 0.09453, 0.90547)],
)
def test_bounds_are_wilsons(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=1e-5)


def test_nothing_looked_at_may_be_anything() -> None:
    assert wilson(0, 0) == (0, 1)
    assert str(weighted([])) == "not known"


def test_an_uneven_sample_estimates_the_whole_and_its_bounds_hold_it() -> None:
    """10,000 released, 5 % near a threshold; 10 % of the near ones and 0.2 % of the far ones break a policy."""
    truth = 0.05 * 0.1 + 0.95 * 0.002
    chance = random.Random(1)
    held = means = 0.0
    for _ in range(200):
        drawn = []
        for _ in range(10_000):
            near = chance.random() < 0.05
            share = 0.1 if near else 0.02
            if chance.random() < share:
                drawn.append((chance.random() < (0.1 if near else 0.002), share))
        found = weighted(drawn)
        assert found.share is not None
        means += found.share / 200
        held += found.low <= truth <= found.high
    assert means == pytest.approx(truth, rel=0.1)
    assert held / 200 > 0.9
