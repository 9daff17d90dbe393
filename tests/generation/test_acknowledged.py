"""A soft block: it may be rephrased, or answered for; and only after everything else was asked."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import keys
from generation.actions.jobs import PromptRefused
from generation.models import Job
from generation.offer import BadOrder, check
from journal.idempotency import KeyReused
from moderation import policy_files
from moderation.models import Case, Screening
from moderation.policy import LEXICON, PolicyError
from moderation.rules import policies
from moderation.screening import judge_prompt_now
from moderation.signals import Signal
from moderation.verdict import judge
from tests import path
from tests.people import People, cast

STYLE = "style.artist"


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def test_a_protected_style_is_refused_with_other_words_and_a_sentence_to_affirm(people: People) -> None:
    with pytest.raises(PromptRefused) as caught:
        path.submit(people.alice, "a cat by Picasso")
    refusal = caught.value
    assert (refusal.policy_code, refusal.field, refusal.words) == (STYLE, "prompt", ("Pablo Picasso",))
    assert "study" in refusal.acknowledge
    assert refusal.instead == ("cubist portrait, faces seen from several sides at once",)
    assert not Job.objects.exists()


def test_who_answers_for_it_has_it_and_it_is_written_down(people: People) -> None:
    job = path.submit(people.alice, "a cat by Picasso", acknowledge=[STYLE])
    path.work()
    job.refresh_from_db()
    assert job.state == "done"
    case = Case.objects.get(subject="prompt", key=job.pk)
    assert (case.state, case.evidence["acknowledged"]) == ("cleared", [STYLE])
    assert any("answers for it" in finding["sentence"] for finding in case.findings)
    assert Screening.objects.filter(case=case).exists()


def test_it_opens_nothing_else(people: People) -> None:
    """Neither another policy, nor a hard block of the same, nor what a person has to look at."""
    for prompt, code in (("a nude woman by Picasso", "sexual.nudity"), ("Donald Trump by Picasso", "person.real")):
        with pytest.raises(PromptRefused) as caught:
            path.submit(people.alice, prompt, acknowledge=[STYLE])
        assert caught.value.policy_code == code
        assert caught.value.acknowledge == ""
        # Without it, what can be affirmed is not offered before what cannot.
        with pytest.raises(PromptRefused) as caught:
            path.submit(people.alice, prompt)
        assert caught.value.policy_code == code
    held = path.submit(people.alice, "a man with a gun by Picasso", acknowledge=[STYLE])
    path.work_prompts()
    assert Case.objects.get(subject="prompt", key=held.pk).state == "in_review"


@pytest.mark.parametrize("given", [["sexual.nudity"], ["person.real"], ["nothing"], "sexual.minors", [7], {"a": 1}, 7])
def test_what_nobody_may_acknowledge_is_refused(people: People, given: Any) -> None:
    with pytest.raises(BadOrder) as caught:
        check(prompt="a cat", acknowledge=given)
    assert caught.value.field == "acknowledge"


def test_a_policy_that_is_not_of_low_severity_cannot_be_acknowledged(tmp_path: Any) -> None:
    text = """
code = "odd"
severity = "high"
title = { en = "a", it = "a" }
statement = { en = "a", it = "a" }
remedy = { en = "a", it = "a" }
acknowledge = { en = "I do.", it = "Sì." }
[words]
block = ["x"]
"""
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(PolicyError, match="low severity"):
        policy_files.load(tmp_path)


def test_only_a_soft_block_is_answered_for() -> None:
    """The verdict itself: a hard block of the very policy stays, whatever is acknowledged."""
    house = policies()

    def verdict(score: float) -> str:
        wordy = [one.code for one in house if one.words]
        signals = [Signal(code, score if code == STYLE else 0.0, LEXICON, house.version) for code in wordy]
        thresholds = [one for policy in house for one in policy.thresholds if "prompt" in one.subjects]
        signals += [Signal(one.signal, 0.0, one.model, one.version) for one in thresholds if one.model != LEXICON]
        told = {(one.name, one.model) for one in signals}
        quiet = [
            Signal(name, 0.0, model, version) for name, model, version in house.asked("prompt")
            if (name, model) not in told and model != LEXICON
        ]  # fmt: skip
        return judge(house, "prompt", [*signals, *quiet], {LEXICON}, acknowledged=[STYLE]).outcome

    assert (verdict(0.95), verdict(1.0), verdict(0.6), verdict(0.0)) == ("clear", "block", "review", "clear")


def test_a_negative_prompt_may_name_a_style(db: None) -> None:
    assert judge_prompt_now("a cat", "picasso, rembrandt") is None


def test_by_the_api(people: People) -> None:
    _, secret = keys.create(people.alice, "tests")
    client = Client(headers={"Authorization": f"Bearer {secret}"})

    def ask(**more: Any) -> Any:
        body = json.dumps({"prompt": "a cat by Picasso", **more})
        return client.post("/v1/jobs", body, content_type="application/json")

    refused = ask()
    assert refused.status_code == 400
    told = refused.json()["error"]
    assert told["code"] == "moderation_blocked"
    assert told["vaglio"]["policy"] == STYLE
    assert "study" in told["vaglio"]["acknowledge"]
    assert told["vaglio"]["instead"]
    assert ask(acknowledge=[STYLE]).status_code in {200, 201, 202}
    bad = ask(acknowledge=["sexual.nudity"])
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "acknowledge")


def test_an_answer_is_part_of_the_order(people: People) -> None:
    path.submit(people.alice, "a cat by Picasso", acknowledge=[STYLE], key="k")
    with pytest.raises(KeyReused):
        path.submit(people.alice, "a cat by Picasso", key="k")


def test_in_the_studio_one_ticks_the_box_or_says_it_otherwise(people: People) -> None:
    """What was refused can be changed and asked again on the spot: the refusal brings a new key for the form."""
    client = Client()
    client.force_login(people.alice)
    page = client.get(reverse("studio")).content.decode()
    key = re.search(r'name="key" id="key" value="([^"]+)"', page)
    assert key

    def ask(prompt: str, key: str, **more: str) -> Any:
        values = {"prompt": prompt, "key": key, "n": "1", **more}
        return client.post(reverse("studio_jobs"), values, headers={"HX-Request": "true"})

    refused = ask("a cat by Picasso", key[1])
    assert refused.status_code == 400
    text = refused.content.decode()
    assert f'name="acknowledge" value="{STYLE}"' in text
    assert "cubist" in text
    fresh = re.search(r'name="key" id="key" value="([^"]+)" hx-swap-oob="true"', text)
    assert fresh
    assert fresh[1] != key[1]
    assert ask("a cat by Picasso", fresh[1], acknowledge=STYLE).status_code == 200
    again = re.search(r'value="([^"]+)" hx-swap-oob', ask("a dog by Picasso", "another").content.decode())
    assert again
    assert ask("a cubist dog", again[1]).status_code == 200
