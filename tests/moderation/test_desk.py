"""The review desk: who gets which case, who may see what, and what two at once can do to it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from journal import files
from moderation import sweep
from moderation.actions import (
    CannotRelease,
    CaseTaken,
    Ruling,
    claim,
    claim_next,
    decide,
    hold,
    let_go,
    refuse,
)
from moderation.models import Case, Decision, Freeze, Look
from tests.moderation.conftest import Moderators, Recorder, at_once, open_medium, open_prompt, picture, png

MACHINE = Ruling(kind=Decision.ActorKind.MACHINE, reason="a policy asked")


def held_prompt(person: User, *, severity: int = 1) -> Case:
    case = open_prompt(person)
    hold(case, MACHINE, fence={}, fields={"severity": severity})
    return case


def held_medium(person: User, *, severity: int = 1) -> Case:
    """In review, with a file for release, as the screening process leaves it."""
    case = open_medium(person)
    data = png(picture(7, (128, 128)))
    key = files.write_once(files.released(), f"{case.key}/{files.digest(data)}.png", data)
    made = {"derivative_key": key, "derivative_sha256": files.digest(data), "derivative_distance": 0}
    hold(case, MACHINE, fence={}, fields={"severity": severity, **made})
    return case


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_the_severest_comes_first_then_the_oldest(people: Moderators, outcome: Recorder) -> None:
    mild, older, newer = (held_prompt(people.alice, severity=level) for level in (1, 2, 2))
    order = []
    while case := claim_next(people.bob):
        order.append(case)
        decide(case, moderator=people.bob, to="refused", reason="for the test", policy_code="weapon")
    assert order == [older, newer, mild]


def test_two_moderators_never_hold_the_same_case(fresh_people: Moderators, outcome: Recorder) -> None:
    for _ in range(2):
        held_prompt(fresh_people.alice)
    both = [fresh_people.bob, fresh_people.bea]
    cases = at_once(2, lambda number: claim_next(both[number]))
    assert {case.pk for case in cases} == set(Case.objects.values_list("pk", flat=True))


def test_one_case_goes_to_one_of_eight_who_ask(fresh_people: Moderators, outcome: Recorder) -> None:
    held_prompt(fresh_people.alice)
    both = [fresh_people.bob, fresh_people.bea]
    given = at_once(8, lambda number: claim_next(both[number % 2]))
    assert len({case.claimed_by_id for case in given if case is not None}) == 1, given


def test_two_who_decide_one_case_at_once_one_wins(fresh_people: Moderators, outcome: Recorder) -> None:
    case = held_medium(fresh_people.alice)
    assert claim_next(fresh_people.bob) == case

    def act(number: int) -> Decision:
        to, code = ("cleared", "") if number else ("refused", "weapon")
        mine = Case.objects.get(pk=case.pk)
        return decide(mine, moderator=fresh_people.bob, to=to, reason="at the same moment", policy_code=code)

    answers = at_once(2, act)
    assert sorted(type(answer).__name__ for answer in answers) == ["CaseTaken", "Decision"]
    assert case.decisions.filter(from_state="in_review").count() == 1
    assert len(outcome.of(case)) == 2


def test_nobody_decides_what_another_holds(people: Moderators, outcome: Recorder) -> None:
    case = held_prompt(people.alice)
    claim_next(people.bob)
    assert claim_next(people.bea) is None
    assert not claim(case, people.bea)
    with pytest.raises(CaseTaken):
        decide(case, moderator=people.bea, to="cleared", reason="mine?", policy_code="")


def test_a_claim_ends_by_itself_and_then_counts_for_nothing(people: Moderators, outcome: Recorder) -> None:
    case = claim_next(people.bob) or held_prompt(people.alice)
    claim_next(people.bob)
    Case.objects.filter(pk=case.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    with pytest.raises(CaseTaken):
        decide(case, moderator=people.bob, to="cleared", reason="too late", policy_code="")
    assert claim_next(people.bea) == case


def test_nobody_reviews_their_own_work(people: Moderators, outcome: Recorder) -> None:
    own = held_prompt(people.bob)
    assert claim_next(people.bob) is None
    assert not claim(own, people.bob)
    with pytest.raises(CaseTaken):
        decide(own, moderator=people.bob, to="cleared", reason="it is fine", policy_code="")
    assert signed_in(people.bob).get(f"/desk/cases/{own.pk}/").status_code == 404


def test_a_severe_case_needs_a_senior_moderator(people: Moderators, outcome: Recorder) -> None:
    severe = held_medium(people.alice, severity=Case.SEVERE)
    assert claim_next(people.bob) is None
    assert signed_in(people.bob).get(f"/desk/cases/{severe.pk}/").status_code == 404
    assert claim_next(people.sofia) == severe


def test_a_case_let_go_is_free_again(people: Moderators, outcome: Recorder) -> None:
    case = held_prompt(people.alice)
    claim_next(people.bob)
    assert let_go(case, people.bob)
    assert not let_go(case, people.bob)
    assert claim_next(people.bea) == case


def test_a_medium_whose_file_for_release_was_changed_is_not_released(people: Moderators, outcome: Recorder) -> None:
    case = held_medium(people.alice)
    claim_next(people.bob)
    with open(files.released().path(case.derivative_key), "ab") as file:
        file.write(b"x")
    with pytest.raises(CannotRelease):
        decide(case, moderator=people.bob, to="cleared", reason="it is an apple", policy_code="")
    case.refresh_from_db()
    assert case.state == "in_review"
    assert outcome.of(case) == ["held"]


def test_a_decision_names_files_policies_and_the_moderator(people: Moderators, outcome: Recorder) -> None:
    case = held_medium(people.alice)
    claim_next(people.bob)
    made = decide(case, moderator=people.bob, to="cleared", reason="it is an apple", policy_code="")
    assert made.actor == people.bob
    assert made.original_sha256 == case.evidence["original_sha256"]
    assert made.derivative_sha256 == case.derivative_sha256
    assert made.perceptual_distance == 0
    assert made.policy_version
    assert outcome.of(case) == ["held", "cleared"]


def test_what_nobody_decided_is_refused_in_time(people: Moderators, outcome: Recorder) -> None:
    late, held, early = (held_prompt(people.alice) for _ in range(3))
    claim(held, people.bob)
    Case.objects.exclude(pk=early.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    assert sweep.refuse_overdue() == 1
    late.refresh_from_db()
    assert late.state == "refused"
    assert late.decisions.last().reason == "not decided in time"
    assert [Case.objects.get(pk=case.pk).state for case in (held, early)] == ["in_review", "in_review"]


PAGES = ["/desk/", "/desk/cases/{}/", "/desk/cases/{}/original"]
ACTS = [
    "/desk/claims/",
    "/desk/cases/{}/claim/",
    "/desk/cases/{}/decision/",
    "/desk/cases/{}/skip/",
    "/desk/freezes/{}/lift/",
]


@pytest.mark.parametrize("address", PAGES + ACTS)
def test_the_desk_is_for_moderators(people: Moderators, outcome: Recorder, address: str) -> None:
    case = held_medium(people.alice)
    url = address.format(case.pk)
    ask = "get" if address in PAGES else "post"
    anonymous = getattr(Client(), ask)(url)
    assert anonymous.status_code == 302
    assert anonymous["Location"].startswith("/account/login/")
    for person in (people.alice, people.carol):
        assert getattr(signed_in(person), ask)(url).status_code == 403
    assert getattr(signed_in(people.bob), "post" if ask == "get" else "get")(url).status_code == 405


def test_a_moderator_takes_decides_and_is_given_the_next(people: Moderators, outcome: Recorder) -> None:
    first, second = held_medium(people.alice), held_prompt(people.alice)
    desk = signed_in(people.bob)
    assert b"2 cases wait" in desk.get("/desk/").content
    assert desk.post("/desk/claims/")["Location"] == f"/desk/cases/{first.pk}/"
    page = desk.get(f"/desk/cases/{first.pk}/").content.decode()
    assert "a red apple" in page
    assert f'src="/desk/cases/{first.pk}/original"' in page
    answer = desk.post(
        f"/desk/cases/{first.pk}/decision/",
        {"decision": "cleared", "policy_code": "none", "reason": "it is an apple"},
    )
    assert answer["Location"] == f"/desk/cases/{second.pk}/"
    assert outcome.of(first) == ["held", "cleared"]
    assert "it is an apple" in desk.get(f"/desk/cases/{first.pk}/").content.decode()


@pytest.mark.parametrize(
    "missing",
    [
        {"reason": ""},
        {"reason": "   "},
        {"policy_code": ""},
        {"policy_code": "unheard.of"},
        {"decision": ""},
        {"decision": "pending"},
        {"decision": "refused", "policy_code": "none"},
    ],
    ids=str,
)
def test_a_decision_that_lacks_something_changes_nothing(
    people: Moderators, outcome: Recorder, missing: dict[str, str]
) -> None:
    case = held_prompt(people.alice)
    claim(case, people.bob)
    asked = {"decision": "cleared", "policy_code": "none", "reason": "it is an apple"} | missing
    assert signed_in(people.bob).post(f"/desk/cases/{case.pk}/decision/", asked).status_code == 422
    case.refresh_from_db()
    assert case.state == "in_review"


def test_the_loser_is_told_in_a_sentence(people: Moderators, outcome: Recorder) -> None:
    case = held_prompt(people.alice)
    claim(case, people.bea)
    asked = {"decision": "cleared", "policy_code": "none", "reason": "it is an apple"}
    page = signed_in(people.bob).post(f"/desk/cases/{case.pk}/decision/", asked, follow=True)
    assert "Your decision was not counted" in page.content.decode()
    assert outcome.of(case) == ["held"]


def test_a_skipped_case_goes_to_others_and_comes_back_last(people: Moderators, outcome: Recorder) -> None:
    first, second = held_prompt(people.alice), held_prompt(people.alice)
    desk = signed_in(people.bob)
    desk.post("/desk/claims/")
    assert desk.post(f"/desk/cases/{first.pk}/skip/")["Location"] == f"/desk/cases/{second.pk}/"
    assert claim_next(people.bea) == first
    let_go(first, people.bea)
    assert desk.post(f"/desk/cases/{second.pk}/skip/")["Location"] == f"/desk/cases/{first.pk}/"


def test_an_original_is_shown_to_its_holder_and_each_look_is_kept(people: Moderators, outcome: Recorder) -> None:
    case = held_medium(people.alice)
    address = f"/desk/cases/{case.pk}/original"
    assert signed_in(people.bob).get(address).status_code == 404
    assert not Look.objects.exists()
    claim(case, people.bob)
    shown = signed_in(people.bob).get(address)
    assert files.digest(shown.content) == case.evidence["original_sha256"]
    assert shown["Content-Type"] == "image/png"
    assert "no-store" in shown["Cache-Control"]
    assert signed_in(people.bea).get(address).status_code == 404
    assert signed_in(people.sofia).get(address).status_code == 200
    assert list(Look.objects.order_by("pk").values_list("moderator", flat=True)) == [people.bob.pk, people.sofia.pk]


def test_a_pending_case_is_not_shown_at_the_desk(people: Moderators) -> None:
    case = open_medium(people.alice)
    assert signed_in(people.sofia).get(f"/desk/cases/{case.pk}/").status_code == 404
    assert signed_in(people.sofia).get(f"/desk/cases/{case.pk}/original").status_code == 404


def test_a_freeze_is_lifted_with_a_reason(people: Moderators, outcome: Recorder) -> None:
    refuse(open_prompt(people.alice), MACHINE, fence={}, severe=True)
    freeze = Freeze.objects.get()
    assert signed_in(people.bob).post(f"/desk/freezes/{freeze.pk}/lift/", {"reason": "I may not"}).status_code == 403
    desk = signed_in(people.sofia)
    assert f"/desk/freezes/{freeze.pk}/lift/" in desk.get("/desk/").content.decode()
    desk.post(f"/desk/freezes/{freeze.pk}/lift/", {"reason": ""})
    freeze.refresh_from_db()
    assert freeze.lifted_at is None
    desk.post(f"/desk/freezes/{freeze.pk}/lift/", {"reason": "a misunderstanding"})
    freeze.refresh_from_db()
    assert freeze.lifted_by == people.sofia
    assert ("thawed", people.alice.pk) in outcome.told


def test_nobody_lifts_their_own_freeze(people: Moderators, outcome: Recorder) -> None:
    refuse(open_prompt(people.sofia), MACHINE, fence={}, severe=True)
    address = f"/desk/freezes/{Freeze.objects.get().pk}/lift/"
    assert signed_in(people.sofia).post(address, {"reason": "I am fine"}).status_code == 404


def test_a_review_has_a_deadline(people: Moderators, outcome: Recorder, settings: Any) -> None:
    settings.REVIEW_DEADLINE_SECONDS = 100
    case = held_prompt(people.alice)
    assert timedelta(seconds=90) < case.deadline - timezone.now() <= timedelta(seconds=100)
