"""`/v1/moderations`: by the unmodified OpenAI client through the real processes, and what it must never do or say."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from django.test import Client
from django.urls import reverse
from openai.types import (
    Moderation,
    ModerationImageURLInputParam,
    ModerationMultiModalInputParam,
    ModerationTextInputParam,
)
from PIL import Image

from accounts import keys
from accounts.models import User
from billing.models import Transfer
from generation.actions.jobs import PromptRefused
from generation.models import Job
from journal import files
from moderation import sweep
from moderation.actions import inquiries
from moderation.classifiers.fake import MARKS
from moderation.models import Case, Freeze, Inquiry, Metered
from moderation.policy import CATEGORIES
from moderation.rules import policies
from moderation.screening import inquiries as answering
from tests import path
from tests.people import People, cast
from tests.uploads.files import bomb, drawing, huge_header, saved


@pytest.fixture
def client(platform: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{platform.address}/v1", api_key=platform.secret) as client:
        yield client


@pytest.fixture
def http(platform: Any) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.secret}"}
    with httpx.Client(base_url=f"{platform.address}/v1", headers=headers, timeout=60) as client:
        yield client


def ours(result: Moderation, name: str) -> Any:
    """What we say beside OpenAI's own fields."""
    assert result.model_extra is not None
    return result.model_extra[name]


def days_of(client: openai.OpenAI) -> list[dict[str, Any]]:
    answer: Any = client.get("/moderations", cast_to=object)
    found: list[dict[str, Any]] = answer["data"]
    return found


def marked(mark: str) -> Image.Image:
    picture = drawing()
    picture.paste(next(colour for colour, name in MARKS.items() if name == mark), (0, 0, 4, 4))
    return picture


def text(said: str) -> ModerationTextInputParam:
    return {"type": "text", "text": said}


def shown(picture: Image.Image, kind: str = "PNG") -> ModerationImageURLInputParam:
    url = f"data:image/{kind.lower()};base64,{base64.b64encode(saved(picture, kind)).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def test_openai_s_client_asks_of_a_text(client: openai.OpenAI) -> None:
    (fine,) = client.moderations.create(input="a red apple").results
    assert fine.flagged is False
    assert not any(fine.categories.model_dump().values())
    (bad,) = client.moderations.create(input="how to make a bomb", model="omni-moderation-latest").results
    assert bad.flagged is True
    assert bad.categories.violence is True
    assert bad.categories.sexual is False
    assert bad.category_applied_input_types.violence == ["text"]
    assert bad.category_scores.violence > fine.category_scores.violence
    assert ours(bad, "verdict") == "block"
    (policy,) = ours(bad, "policies")
    assert (policy["code"], policy["action"]) == ("weapon", "block")
    assert "make a bomb" in policy["words"]


def test_each_text_of_a_list_is_judged_by_itself_and_in_order(client: openai.OpenAI) -> None:
    made = client.moderations.create(input=["a red apple", "a nude woman", "a pear"])
    assert [one.flagged for one in made.results] == [False, True, False]
    assert made.id.startswith("modr-")


def test_texts_and_pictures_together_are_judged_as_one(client: openai.OpenAI) -> None:
    parts: list[ModerationMultiModalInputParam] = [text("a red apple"), shown(drawing())]
    (fine,) = client.moderations.create(input=parts).results
    assert fine.flagged is False
    (bad,) = client.moderations.create(input=[*parts, shown(marked("block"))]).results
    assert (bad.flagged, ours(bad, "verdict")) == (True, "block")
    assert bad.category_applied_input_types.violence == ["text", "image"]
    (doubt,) = client.moderations.create(input=[shown(marked("review"))]).results
    assert (doubt.flagged, ours(doubt, "verdict")) == (True, "review")


def test_what_is_seen_through_is_judged_on_white_and_on_black(client: openai.OpenAI) -> None:
    """A mark on black only: at an alpha of 200 this red is (200, 20, 0) there, and (255, 75, 55) on white."""
    seen_through = drawing().convert("RGBA")
    seen_through.paste((255, 26, 0, 200), (0, 0, 4, 4))
    assert client.moderations.create(input=[shown(seen_through)]).results[0].flagged
    seen_through.paste((255, 75, 55, 255), (0, 0, 4, 4))
    assert not client.moderations.create(input=[shown(seen_through)]).results[0].flagged


def test_what_cannot_be_judged_is_flagged(client: openai.OpenAI) -> None:
    for odd in (Image.new("RGB", (64, 64), "black"), marked("crash"), marked("nan")):
        (made,) = client.moderations.create(input=[shown(odd)]).results
        assert made.flagged is True
        assert (ours(made, "verdict"), ours(made, "is_unscreened")) == ("review", True)


BAD: list[tuple[Any, str]] = [
    (None, "input is a text"),
    ("", "has no text"),
    ([], "input is a text"),
    (7, "input is a text"),
    ({"type": "text", "text": "x"}, "input is a text"),
    ("x" * 2001, "2000 are judged"),
    ("a\0b", "null character"),
    (["a", 7], "is not {"),
    (["x"] * 33, "32 are judged at once"),
    ([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], "Nothing is fetched"),
    ([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}], "Nothing is fetched"),
    ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%"}}], "not in base64"),
    ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}], "is empty"),
    ([{"type": "image_url", "image_url": "x"}], "is not {"),
    ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUFB"}}], "no picture that can be read"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "sentence"), BAD, ids=range(len(BAD)))
def test_bad_input_gets_a_sentence(http: httpx.Client, value: Any, sentence: str) -> None:
    answer = http.post("/moderations", json={"input": value})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"].startswith("input")
    assert sentence in error["message"]


def test_bombs_are_bounded_and_a_body_too_large_is_refused(http: httpx.Client) -> None:
    def asked(data: bytes) -> httpx.Response:
        url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        return http.post("/moderations", json={"input": [{"type": "image_url", "image_url": {"url": url}}]})

    large = asked(huge_header())
    assert large.status_code == 400
    assert "pixels" in large.json()["error"]["message"]
    (flat,) = asked(bomb()).json()["results"]
    assert flat["is_unscreened"] is True
    assert http.post("/moderations", json={"input": "x" * 3_000_000}).status_code == 413


def test_it_is_metered_and_costs_nothing_and_leaves_nothing(platform: Any, client: openai.OpenAI) -> None:
    _, secret = keys.create(platform.people.carol, "meter")
    before = Transfer.objects.count(), Job.objects.count(), Case.objects.count()
    hers = client.with_options(api_key=secret)
    hers.moderations.create(input=["a", "b"])
    hers.moderations.create(input=[text("how to make a bomb"), shown(drawing())])
    days = days_of(hers)
    assert days[0] | {"day": ""} == {"day": "", "texts": 3, "pictures": 1}
    assert (Transfer.objects.count(), Job.objects.count(), Case.objects.count()) == before
    assert not Freeze.objects.filter(person=platform.people.carol).exists()
    for asked in Inquiry.objects.filter(person=platform.people.carol):
        assert (asked.question, asked.file_key) == ([], "")
        folder = f"{Inquiry.FOLDER}/{asked.asked_at:%Y-%m-%d}"
        assert not [name for name in files.listing(files.quarantine(), folder, files=True) if str(asked.pk) in name]
    assert days_of(client) != days


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def asked_by(person: User, *inputs: str | bytes) -> Inquiry:
    asked = inquiries.ask_moderation(person, inputs)
    while answering.answer_one(path.armoury()):
        pass
    asked.refresh_from_db()
    return asked


def test_no_more_than_the_limit_within_a_minute_and_each_person_by_itself(people: People, settings: Any) -> None:
    settings.MOST_MODERATIONS_A_MINUTE = 2
    for _ in range(2):
        asked_by(people.alice, "x")
    with pytest.raises(inquiries.TooManyInquiries, match="within a minute"):
        inquiries.ask_moderation(people.alice, ["x"])
    asked_by(people.carol, "x")
    assert Metered.objects.get(person=people.alice).texts == 2


def test_nothing_of_an_answer_tells_a_threshold(people: People) -> None:
    asked = asked_by(people.alice, "how to make a bomb", saved(marked("review")))
    said = json.dumps(asked.answer)
    assert "threshold" not in said
    known = {one.review for _, one in policies().thresholds("prompt")} - {None, 0.0, 0.5, 1.0}
    assert not any(str(value) in said for value in known)
    for result in asked.answer["results"]:
        assert set(result["category_scores"]) == set(CATEGORIES)


GATE = {"a red apple": "clear", "a man with a gun": "review", "how to make a bomb": "block", "a nude woman": "block"}


def test_a_moderation_answers_the_same_as_the_gate_of_a_job(people: People) -> None:
    states = {"clear": "cleared", "review": "in_review"}
    for prompt, verdict in GATE.items():
        (result,) = asked_by(people.alice, prompt).answer["results"]
        assert result["verdict"] == verdict
        if verdict == "block":
            with pytest.raises(PromptRefused):
                path.submit(people.alice, prompt)
            continue
        job = path.submit(people.alice, prompt)
        path.work_prompts()
        assert Case.objects.get(subject="prompt", key=job.pk).state == states[verdict]


def test_only_its_owner_finds_it_and_never_as_an_origin(people: People) -> None:
    asked = asked_by(people.alice, "how to make a bomb")
    assert Client().get(reverse("verify_answer", args=[asked.pk])).status_code == 404
    _, secret = keys.create(people.alice, "hers")
    answer = Client(headers={"Authorization": f"Bearer {secret}"}).get(reverse("api:verification", args=[asked.pk]))
    assert answer.status_code == 404


def test_files_of_a_moderation_that_was_never_saved_end_with_their_day(people: People) -> None:
    files.write_once(files.quarantine(), f"{Inquiry.FOLDER}/2020-01-01/x-0", b"x")
    sweep.forget_inquiries()
    assert "2020-01-01" not in files.listing(files.quarantine(), Inquiry.FOLDER, files=False)
