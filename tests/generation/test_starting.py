"""Jobs that start from a released picture of the person's own."""

import io
import uuid
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, connection
from PIL import Image

from billing import ledger
from generation.models import Job, Medium
from generation.offer import BadOrder, check
from journal import files
from journal.transactions import step
from moderation.actions import withdraw
from moderation.evidence import portrait
from tests import path
from tests.invariants import assert_nothing_lost
from tests.people import People, cast


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


@pytest.fixture
def picture(people: People) -> Medium:
    """A released picture of Alice's."""
    job = path.submit(people.alice, "a red apple on blue", seed=5)
    path.work()
    return Medium.objects.shown().get(job=job)


def start(people: People, picture: Medium | uuid.UUID, mode: str = "image_to_image", **fields: Any) -> Job:
    pk = picture.pk if isinstance(picture, Medium) else picture
    return path.submit(people.alice, fields.pop("prompt", "a green pear"), mode=mode, picture=str(pk), **fields)


def pixels(medium: Medium) -> np.ndarray:
    with Image.open(io.BytesIO(files.read(files.quarantine(), medium.original_key))) as file:
        return np.asarray(file.convert("RGB")).astype(int)


@pytest.mark.parametrize("mode", ["image_to_image", "variation"])
def test_the_result_is_nearer_to_the_picture_the_less_it_may_leave_it(
    people: People, picture: Medium, mode: str
) -> None:
    near, far = start(people, picture, mode, strength=0.3, seed=1), start(people, picture, mode, strength=0.9, seed=1)
    path.work()
    found = [Medium.objects.shown().get(job=job) for job in (near, far)]
    distances = [np.abs(pixels(medium) - pixels(picture)).mean() for medium in found]
    assert 0 < distances[0] < distances[1]
    assert Job.objects.get(pk=near.pk).state == "done"
    assert_nothing_lost()


def test_a_variation_without_words_takes_those_of_its_picture(people: People, picture: Medium) -> None:
    job = start(people, picture, "variation", prompt="")
    assert job.prompt == "a red apple on blue"
    path.work()
    assert Medium.objects.shown().filter(job=job).exists()


def test_a_moderator_is_told_what_a_held_picture_starts_from(people: People, picture: Medium) -> None:
    job = start(people, picture, prompt="verdict:review a doubtful pear", strength=0.5)
    path.work()
    case = Medium.objects.select_related("case").get(job=job).case
    assert case is not None
    facts = {fact.name: fact.value for fact in portrait(case)}
    assert facts["Starts from"] == f"picture: released to them, {str(picture.pk)[:8]}"
    assert facts["Strength"] == "0.5"


def test_words_of_ones_own_are_sieved_as_ever(people: People, picture: Medium) -> None:
    job = start(people, picture, prompt="verdict:block a forbidden pear")
    path.work()
    assert not Medium.objects.shown().filter(job=job).exists()
    assert_nothing_lost()


def test_nobody_starts_from_what_is_not_theirs_or_not_released(people: People, picture: Medium) -> None:
    path.submit(people.alice, "verdict:block a forbidden apple", key="refused")
    path.submit(people.alice, "verdict:review a doubtful apple", key="held")
    path.work()
    dark = list(Medium.objects.exclude(pk=picture.pk))
    assert len(dark) == 2
    held = ledger.balance(ledger.wallet_of(people.alice)).held
    for medium in dark:
        with pytest.raises(BadOrder, match="You have no picture with this id"):
            start(people, medium)
    for stranger in (people.carol, people.bob):
        with pytest.raises(BadOrder, match="You have no picture with this id"):
            path.submit(stranger, "a pear", mode="variation", picture=str(picture.pk))
    with pytest.raises(BadOrder, match="You have no picture with this id"):
        start(people, uuid.uuid4())
    assert ledger.balance(ledger.wallet_of(people.alice)).held == held
    assert not Job.objects.exclude(mode="text_to_image").exists()


def test_a_picture_that_is_taken_back_meanwhile_is_not_drawn_over(people: People, picture: Medium) -> None:
    job = start(people, picture, n=2)
    path.work_prompts()
    assert picture.case is not None
    withdraw(picture.case, moderator=people.sofia, reason="by mistake", policy_code="weapon")
    path.work()
    job.refresh_from_db()
    assert job.state == "failed"
    assert {medium.failure for medium in job.media.all()} == {"what it starts from is not there any more"}
    assert ledger.balance(ledger.wallet_of(people.alice)).held == 0
    assert_nothing_lost()


def test_an_original_that_was_changed_is_not_drawn_over(
    people: People, picture: Medium, caplog: pytest.LogCaptureFixture
) -> None:
    job = start(people, picture)
    path.work_prompts()
    with open(files.quarantine().path(picture.original_key), "ab") as file:
        file.write(b"more")
    beside = path.submit(people.alice, "a blue key", key="beside")
    path.work()
    job.refresh_from_db()
    beside.refresh_from_db()
    assert (job.state, beside.state) == ("failed", "done")
    assert "is not the file that was judged" in caplog.text
    assert ledger.balance(ledger.wallet_of(people.alice)).held == 0


def test_orders_from_different_pictures_are_different_orders(people: People, picture: Medium) -> None:
    other = path.submit(people.alice, "a blue key", key="other")
    path.work()
    from journal.idempotency import KeyReused

    first = start(people, picture, key="same")
    assert start(people, picture, key="same") == first
    with pytest.raises(KeyReused):
        start(people, Medium.objects.get(job=other), key="same")


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"mode": "hologram"}, "mode", "mode is one of text_to_image, inpainting, variation, image_to_image"),
        ({"mode": ["variation"]}, "mode", "mode is one of"),
        ({"mode": "image_to_image"}, "picture", "Choose the picture to start from"),
        ({"mode": "image_to_image", "picture": "../x"}, "picture", "is the id of an upload"),
        ({"picture": str(uuid.UUID(int=1))}, "picture", "text_to_image has no use for this"),
        ({"mode": "inpainting", "picture": str(uuid.UUID(int=1))}, "mask", "Mark the part"),
        ({"mode": "text_to_film", "frames": 12}, "frames", "films of 16, 8 frames, not 12"),
        ({"mode": "text_to_film", "frames": True}, "frames", "frames must be a whole number from 8 to 16"),
        ({"frames": 8}, "frames", "text_to_image draws pictures"),
        ({"strength": 0.5}, "strength", "text_to_image has no strength"),
        ({"mode": "variation", "picture": str(uuid.UUID(int=1)), "strength": 2}, "strength", "from 0.3 to 0.9"),
        ({"mode": "variation", "picture": str(uuid.UUID(int=1)), "strength": "nan"}, "strength", "from 0.3 to 0.9"),
        ({"mode": "image_to_image", "picture": str(uuid.UUID(int=1)), "prompt": ""}, "prompt", "the prompt is empty"),
    ],
)
def test_what_does_not_fit_a_mode_is_said(fields: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(BadOrder) as caught:
        check(**{"prompt": "a pear", **fields})
    assert caught.value.field == field
    assert said in str(caught.value)


def test_jobs_of_another_strength_or_mode_are_no_batch() -> None:
    some = {"prompt": "a pear", "picture": str(uuid.UUID(int=1))}
    orders = [
        check(prompt="a pear"),
        check(**some, mode="variation", strength=0.5),
        check(**some, mode="variation", strength=0.6),
        check(**some, mode="image_to_image", strength=0.5),
    ]
    assert len({order.batch_key for order in orders}) == 4


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        ("mode = 'hologram'", "job_mode_known"),
        ("strength = 1.5", "job_strength_is_a_share"),
        ("frames = 8", "job_picture_is_one_frame"),
        ("fps = 8, frames = 0", "job_picture_is_one_frame"),
    ],
)
def test_the_database_refuses_what_is_no_way_to_draw(people: People, picture: Medium, wrong: str, law: str) -> None:
    with pytest.raises(IntegrityError, match=law), step("tests.sql"), connection.cursor() as sql:
        sql.execute(f"UPDATE generation_job SET {wrong} WHERE id = %s", [picture.job_id])


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ("'picture', NULL, NULL", "input_is_one_thing"),
        ("'ghost', %(medium)s, NULL", "input_role_known"),
    ],
)
def test_the_database_refuses_an_input_that_is_none(people: People, picture: Medium, values: str, law: str) -> None:
    with pytest.raises(IntegrityError, match=law), step("tests.sql"), connection.cursor() as sql:
        sql.execute(
            f"INSERT INTO generation_input (job_id, role, medium_id, upload_id) VALUES (%(job)s, {values})",
            {"job": picture.job_id, "medium": picture.pk},
        )
