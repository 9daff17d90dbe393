"""Films by the unmodified OpenAI client, against the real processes."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import av
import httpx
import openai
import pytest
from openai.types import Video
from PIL import Image

from generation.models import Job
from tests.path import until
from tests.uploads.files import drawing, saved

# OpenAI retires its own service of this kind, so their client warns; the shape lives on.
pytestmark = pytest.mark.filterwarnings("ignore:.*Sora:DeprecationWarning")


@pytest.fixture
def client(platform: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{platform.address}/v1", api_key=platform.secret) as client:
        yield client


@pytest.fixture
def http(platform: Any) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.secret}"}
    with httpx.Client(base_url=platform.address, headers=headers, timeout=60) as client:
        yield client


def drawn(client: openai.OpenAI, **asked: Any) -> Video:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return client.videos.create_and_poll(poll_interval_ms=50, **asked)


def test_a_film_is_asked_for_polled_and_fetched(client: openai.OpenAI) -> None:
    film = drawn(client, prompt="a red balloon rising", seconds="1", size="256x256", model="fake")
    assert (film.status, film.progress, film.seconds, film.size) == ("completed", 100, "1", "256x256")
    assert film.error is None
    assert film.completed_at is not None
    data = client.videos.download_content(film.id).read()
    with av.open(io.BytesIO(data)) as opened:
        stream = opened.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (256, 256, "h264")
        assert sum(1 for _ in opened.decode(stream)) == 8
    poster = client.videos.download_content(film.id, variant="thumbnail").read()
    with Image.open(io.BytesIO(poster)) as picture:
        assert picture.size == (256, 256)


def test_a_film_begins_with_a_picture_that_came_along(client: openai.OpenAI, http: httpx.Client) -> None:
    film = drawn(client, prompt="it moves", input_reference=("mine.png", saved(drawing()), "image/png"))
    assert film.status == "completed"
    job = http.get(f"/v1/jobs/{film.id}").json()
    assert job["mode"] == "image_to_film"
    asked = {"prompt": "again", "input_reference": {"file_id": job["inputs"]["picture"]}}
    again = http.post("/v1/videos", json=asked)
    assert again.status_code == 200, again.text
    assert http.get(f"/v1/jobs/{again.json()['id']}").json()["inputs"] == job["inputs"]


def test_a_released_film_is_varied(client: openai.OpenAI, http: httpx.Client) -> None:
    first = drawn(client, prompt="a boat")
    other = client.videos.remix(first.id, prompt="a green boat")
    assert other.remixed_from_video_id == first.id
    until(lambda: client.videos.retrieve(other.id).status == "completed", what="the remix")
    assert http.get(f"/v1/jobs/{other.id}").json()["mode"] == "film_variation"


def test_a_refused_film_has_failed_and_says_why_and_nothing_can_be_fetched(client: openai.OpenAI) -> None:
    film = drawn(client, prompt="verdict:block a forbidden boat")
    assert film.status == "failed"
    assert film.error is not None
    assert film.error.code == "moderation_blocked"
    assert "not charged" in film.error.message
    for variant in ("video", "thumbnail"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.videos.download_content(film.id, variant=variant)  # type: ignore[arg-type]
        assert caught.value.body["code"] == "video_not_released"  # type: ignore[index]
    with pytest.raises(openai.NotFoundError):
        client.videos.remix(film.id, prompt="a boat")


def test_a_held_film_is_in_progress_and_nothing_of_it_leaves(client: openai.OpenAI, http: httpx.Client) -> None:
    film = http.post("/v1/videos", json={"prompt": "verdict:review a doubtful boat"}).json()
    until(lambda: Job.objects.get(pk=film["id"]).state == "in_review", what="the review")
    seen = http.get(f"/v1/videos/{film['id']}").json()
    assert (seen["status"], seen["vaglio"]["state"]) == ("in_progress", "in_review")
    assert seen["progress"] < 100
    assert http.get(f"/v1/videos/{film['id']}/content").status_code == 404
    assert http.get(f"/v1/videos/{film['id']}/content?variant=thumbnail").status_code == 404


def test_a_film_that_waits_is_given_up_and_one_that_is_done_is_not(client: openai.OpenAI, http: httpx.Client) -> None:
    waits = http.post("/v1/videos", json={"prompt": "slow:0.5 a long voyage"}).json()
    assert client.videos.delete(waits["id"]).deleted
    assert client.videos.retrieve(waits["id"]).status == "failed"
    assert Job.objects.get(pk=waits["id"]).state == "cancelled"
    done = drawn(client, prompt="a boat")
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.videos.delete(done.id)
    assert caught.value.body["code"] == "not_deletable"  # type: ignore[index]


def test_only_films_are_listed_a_page_at_a_time_either_way(client: openai.OpenAI, http: httpx.Client) -> None:
    http.post("/v1/images/generations", json={"prompt": "a red apple"})
    for number in range(3):
        http.post("/v1/videos", json={"prompt": f"boat {number}"})
    newest = [film.id for film in client.videos.list(limit=2)]
    oldest = [film.id for film in client.videos.list(limit=2, order="asc")]
    assert newest == list(reversed(oldest))
    assert len(newest) >= 3
    assert len(set(newest)) == len(newest)
    assert set(Job.objects.filter(pk__in=newest).values_list("mode", flat=True)) <= {
        "text_to_film", "image_to_film", "film_variation",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "param", "said"),
    [
        ({"prompt": "a boat", "seconds": "60"}, "seconds", "films of 2 or 1 seconds, not '60'"),
        ({"prompt": "a boat", "seconds": "long"}, "seconds", "films of 2 or 1 seconds"),
        ({"prompt": "a boat", "seconds": "nan"}, "seconds", "films of 2 or 1 seconds"),
        ({"prompt": "a boat", "seconds": []}, "seconds", "films of 2 or 1 seconds"),
        ({"prompt": "a boat", "size": "1x1"}, "size", "draws 512x512, 256x256"),
        ({"prompt": ""}, "prompt", "the prompt is empty"),
        ({"prompt": "a boat", "model": "sora-2"}, "model", "There is no model 'sora-2'"),
        ({"prompt": "a boat", "model": ["sora-2"], "seconds": "4"}, "model", "There is no model"),
        ({"prompt": "a boat", "fps": 8}, "fps", "There is no field 'fps'"),
        ({"prompt": "a boat", "n": 2}, "n", "There is no field 'n'"),
        (
            {"prompt": "a boat", "input_reference": {"image_url": "https://example.org/a.png"}},
            "input_reference",
            "Addresses are not followed",
        ),
        ({"prompt": "a boat", "input_reference": {"file_id": "7"}}, "input_reference", "is the id of an upload"),
        ({"prompt": "a boat", "input_reference": 7}, "input_reference", "is the id of an upload"),
    ],
)
def test_what_cannot_be_filmed_is_said_and_names_its_field(
    http: httpx.Client, asked: dict[str, Any], param: str, said: str
) -> None:
    answer = http.post("/v1/videos", json=asked)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), error
    assert said in error["message"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"1" * 5000, b"[" * 100_000])
def test_a_body_that_is_no_object_is_said(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/videos", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


def test_a_broken_picture_starts_no_film(client: openai.OpenAI) -> None:
    film = drawn(client, prompt="it moves", input_reference=("mine.png", b"GIF89a nonsense", "image/png"))
    assert film.status == "failed"
    assert film.error is not None
    assert film.error.code == "invalid_input"


def test_the_same_film_asked_for_twice_with_one_key_is_one_film(http: httpx.Client) -> None:
    asked = {"prompt": "a boat, once"}
    ids = {http.post("/v1/videos", json=asked, headers={"Idempotency-Key": "one"}).json()["id"] for _ in range(2)}
    assert len(ids) == 1


def test_a_variant_that_there_is_not_is_said(client: openai.OpenAI, http: httpx.Client) -> None:
    film = http.post("/v1/videos", json={"prompt": "a boat"}).json()
    answer = http.get(f"/v1/videos/{film['id']}/content?variant=spritesheet")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "variant")
