"""The unmodified OpenAI client against the real processes: what it gets, and what it does not retry."""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from django.db import connections
from PIL import Image

from generation.api.shapes import ImagesIn
from generation.models import Job, RefusedAttempt
from moderation.models import Upload
from tests.path import until
from tests.uploads import files
from tests.uploads.files import drawing, saved


@pytest.fixture
def client(platform: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{platform.address}/v1", api_key=platform.secret) as client:
        yield client


@pytest.fixture
def http(platform: Any) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.secret}"}
    with httpx.Client(base_url=platform.address, headers=headers, timeout=60) as client:
        yield client


def code_of(error: openai.APIStatusError) -> str:
    assert isinstance(error.body, dict)
    return str(error.body["code"])


def test_a_picture_comes_back_whole(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a red apple on blue", n=2, response_format="b64_json")
    assert answer.data is not None
    assert len(answer.data) == 2
    for medium in answer.data:
        with Image.open(io.BytesIO(base64.b64decode(medium.b64_json or ""))) as picture:
            assert picture.format == "PNG"
            assert picture.size == (512, 512)
            assert not picture.info.get("parameters")


def test_a_released_picture_is_varied_and_drawn_over(client: openai.OpenAI, http: httpx.Client) -> None:
    first = http.post("/v1/images/generations", json={"prompt": "a red apple on blue"}).json()
    (medium,) = http.get(f"/v1/jobs/{first['vaglio']['job']}").json()["media"]
    asked = {"mode": "variation", "picture": medium["id"], "strength": 0.5}
    answer = client.images.generate(prompt="", n=2, response_format="b64_json", extra_body=asked)
    assert len(answer.data or []) == 2
    answer = client.images.generate(prompt="a green pear", extra_body={**asked, "mode": "image_to_image"})
    job = http.get(f"/v1/jobs/{answer.model_extra['vaglio']['job']}").json()  # type: ignore[index]
    assert (job["mode"], job["inputs"]["picture"], job["prompt"]) == ("image_to_image", medium["id"], "a green pear")
    assert http.post("/v1/jobs/quote", json={**asked, "prompt": ""}).json()["price"] == 4
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a pear", extra_body={**asked, "picture": job["id"]})
    assert caught.value.body["param"] == "picture"  # type: ignore[index]


def half_clear() -> bytes:
    """A drawing whose left half is see-through, as OpenAI's masks are."""
    picture = drawing().convert("RGBA")
    picture.putalpha(
        Image.linear_gradient("L").rotate(90).resize(picture.size).point(lambda value: 255 * (value > 127))
    )
    return saved(picture)


def test_a_picture_is_changed_and_varied_by_the_clients_own_calls(client: openai.OpenAI, http: httpx.Client) -> None:
    answer = client.images.edit(
        image=("a.png", saved(drawing())), mask=("m.png", half_clear()), prompt="a pear", response_format="b64_json"
    )
    assert len(answer.data or []) == 1
    job = http.get(f"/v1/jobs/{answer.model_extra['vaglio']['job']}").json()  # type: ignore[index]
    assert (job["mode"], sorted(job["inputs"])) == ("inpainting", ["mask", "picture"])
    answer = client.images.edit(image=[("a.png", saved(drawing()))], prompt="a pear", extra_body={"strength": "0.4"})
    job = http.get(f"/v1/jobs/{answer.model_extra['vaglio']['job']}").json()  # type: ignore[index]
    assert (job["mode"], list(job["inputs"])) == ("image_to_image", ["picture"])
    with pytest.deprecated_call():  # of OpenAI's, and kept here
        answer = client.images.create_variation(image=("a.png", saved(drawing())), n=2, size="256x256")
    assert len(answer.data or []) == 2


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"no picture", "invalid_input", "This is no picture that can be read."),
        (files.huge_header(), "invalid_input", "50,000 x 50,000 pixels"),
        (files.bomb(), "invalid_input", "You were not charged."),
        (saved(Image.new("RGB", (64, 64), "red")), "invalid_input", "one flat colour"),
    ],
)
def test_a_file_that_is_no_picture_gets_a_sentence(client: openai.OpenAI, data: bytes, code: str, said: str) -> None:
    with pytest.deprecated_call(), pytest.raises(openai.BadRequestError) as caught:
        client.images.create_variation(image=("a.png", data))
    assert (code_of(caught.value), caught.value.body["param"]) == (code, "picture")  # type: ignore[index]
    assert said in caught.value.message
    assert "You were not charged." in caught.value.message


def test_a_form_that_is_wrong_is_said_before_a_file_is_kept(http: httpx.Client) -> None:
    before = Upload.objects.count()
    picture = {"image": ("a.png", saved(drawing()))}
    for send, field, said in (
        ({"files": picture}, "prompt", "the prompt is empty"),
        ({"files": picture, "data": {"prompt": "a pear", "size": "7x7"}}, "size", "not '7x7'"),
        ({"files": picture, "data": {"prompt": "a pear", "colour": "red"}}, "colour", "There is no field 'colour'"),
        ({"files": {"mask": picture["image"]}, "data": {"prompt": "a pear"}}, "image", "There is no picture"),
        ({"files": [("image[]", picture["image"])] * 2, "data": {"prompt": "a pear"}}, "image", "came 2 times"),
        ({"files": {"image": ("a.png", b"")}, "data": {"prompt": "a pear"}}, "image", "The file is empty"),
    ):
        answer = http.post("/v1/images/edits", **send)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text
        assert said in answer.json()["error"]["message"]
    assert http.post("/v1/images/edits", json={"prompt": "a pear"}).status_code == 415
    broken = http.post(
        "/v1/images/edits", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=x y"}
    )
    assert broken.status_code == 400
    too_large = http.post("/v1/uploads", files={"file": b"x" * 20_000_001}, data={"role": "picture"})
    assert (too_large.status_code, "larger than 20 MB" in too_large.text) == (400, True)
    assert http.post("/v1/uploads", content=b"x" * (65 << 20)).status_code == 413
    assert Upload.objects.count() == before


def test_what_is_brought_first_is_drawn_from_later_and_erased(http: httpx.Client) -> None:
    sent = {"files": {"file": files.film(6)}, "data": {"role": "film"}}
    answer = http.post("/v1/uploads", **sent)
    assert answer.status_code == 201, answer.text
    upload = answer.json()
    assert (upload["role"], upload["object"]) == ("film", "upload")
    assert http.post("/v1/uploads", **sent).json()["id"] == upload["id"]
    job = http.post("/v1/jobs", json={"mode": "film_variation", "film": upload["id"]}).json()
    done = until(lambda: (seen := http.get(f"/v1/jobs/{job['id']}").json())["state"] == "done" and seen)
    assert done["seconds"] == 2
    film = httpx.get(done["media"][0]["url"])
    assert (film.status_code, film.headers["Content-Type"]) == (200, "video/mp4")
    ready = http.get(f"/v1/uploads/{upload['id']}").json()
    assert (ready["state"], ready["width"], ready["seconds"]) == ("ready", 96, 0.75)
    assert http.delete(f"/v1/uploads/{upload['id']}").json()["state"] == "erased"
    gone = http.post("/v1/jobs", json={"mode": "film_variation", "film": upload["id"]})
    assert (gone.status_code, gone.json()["error"]["param"]) == (400, "film")
    unfit = http.post("/v1/uploads", files={"file": b"nothing"}, data={"role": "sketch"}).json()
    refused = until(lambda: (seen := http.get(f"/v1/uploads/{unfit['id']}").json())["state"] == "refused" and seen)
    assert refused["sentence"].startswith("This is no picture that can be read.")
    assert http.delete(f"/v1/uploads/{unfit['id']}").status_code == 409
    assert http.post("/v1/uploads", files={"file": b"x"}, data={"role": "ghost"}).json()["error"]["param"] == "role"


def test_who_brings_a_picture_may_answer_for_the_people_in_it(http: httpx.Client) -> None:
    """It is kept with the case for good, and the same file without that word is not the same."""
    picture = files.saved(files.drawing(), "PNG")

    def bring(**data: str) -> dict[str, Any]:
        answer = http.post("/v1/uploads", files={"file": picture}, data={"role": "picture"} | data)
        assert answer.status_code == 201, answer.text
        upload: dict[str, Any] = answer.json()
        return upload

    def attested(upload: dict[str, Any]) -> object:
        return Upload.objects.get(pk=upload["id"]).case.evidence["attested"]

    silent = bring()
    agreed = bring(people_agreed="true")
    assert (attested(silent), attested(agreed)) == (False, True)
    assert agreed["id"] != silent["id"]
    assert bring(people_agreed="yes")["id"] == agreed["id"]
    odd = http.post("/v1/uploads", files={"file": picture}, data={"role": "picture", "people_agreed": "perhaps"})
    assert (odd.status_code, odd.json()["error"]["param"]) == (400, "people_agreed")
    edit = {"prompt": "a red apple", "people_agreed": "1"}
    assert http.post("/v1/images/edits", files={"image": picture}, data=edit).status_code == 200
    assert Upload.objects.filter(case__evidence__attested=True).count() == 1
    assert (
        http.post("/v1/images/edits", files={"image": picture}, data=edit | {"people_agreed": "x"}).status_code == 400
    )


def test_an_address_shows_the_picture_and_ends(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a red apple on blue", response_format="url")
    assert answer.data is not None
    url = answer.data[0].url or ""
    shown = httpx.get(url)
    assert shown.status_code == 200
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    Image.open(io.BytesIO(shown.content)).verify()
    assert httpx.get(url.rstrip("/")[:-3] + "abc/").status_code == 404


def test_a_blocked_prompt_names_field_and_policy(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a naked child")
    assert code_of(caught.value) == "moderation_blocked"
    assert caught.value.body["param"] == "prompt"
    assert caught.value.body["vaglio"]["policy"].startswith("sexual")


def test_held_for_review_is_not_retried(client: openai.OpenAI, platform: Any) -> None:
    before = Job.objects.count()
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(prompt="verdict:review a doubtful apple")
    assert code_of(caught.value) == "held_for_review"
    assert caught.value.response.headers["x-should-retry"] == "false"
    job = Job.objects.get(pk=caught.value.body["vaglio"]["job"])
    assert job.state == "in_review"
    assert Job.objects.count() == before + 1


def test_a_refused_picture_is_an_error_and_never_an_empty_answer(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="verdict:block a forbidden apple")
    assert code_of(caught.value) == "moderation_blocked"
    assert caught.value.body["param"] == "output"


def test_too_few_credits_are_402(platform: Any) -> None:
    from accounts import keys

    _, secret = keys.create(platform.people.bob, "no credits")
    connections.close_all()
    with (
        openai.OpenAI(base_url=f"{platform.address}/v1", api_key=secret) as poor,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        poor.images.generate(prompt="a red apple")
    assert caught.value.status_code == 402
    assert code_of(caught.value) == "insufficient_credits"


@pytest.mark.parametrize("secret", ["x", "vg_wrong", "sk-something", "vg_" + "x" * 2000])
def test_a_key_that_opens_nothing_is_401(platform: Any, secret: str) -> None:
    answer = httpx.get(f"{platform.address}/v1/credits", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_revoked_key_is_401(platform: Any) -> None:
    from accounts import keys

    key, secret = keys.create(platform.people.alice, "soon revoked")
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{platform.address}/v1/credits", headers=headers).status_code == 200
    assert key.revoke()
    connections.close_all()
    assert httpx.get(f"{platform.address}/v1/credits", headers=headers).status_code == 401


def test_the_same_idempotency_key_is_the_same_job(http: httpx.Client) -> None:
    send = {"json": {"prompt": "a boat on yellow"}, "headers": {"Idempotency-Key": "boat"}}
    first, second = http.post("/v1/jobs", **send), http.post("/v1/jobs", **send)
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    other = http.post("/v1/jobs", json={"prompt": "a car"}, headers={"Idempotency-Key": "boat"})
    assert other.status_code == 409
    assert other.headers["x-should-retry"] == "false"


def test_a_refused_prompt_uses_up_its_idempotency_key(http: httpx.Client) -> None:
    send = {"json": {"prompt": "a naked child"}, "headers": {"Idempotency-Key": "refused"}}
    before = RefusedAttempt.objects.count()
    first, second = http.post("/v1/jobs", **send), http.post("/v1/jobs", **send)
    assert first.status_code == second.status_code == 400
    assert first.json() == second.json()
    assert RefusedAttempt.objects.count() == before + 1
    other = http.post("/v1/jobs", json={"prompt": "a car"}, headers={"Idempotency-Key": "refused"})
    assert other.status_code == 409


def test_a_second_call_in_flight_attaches_to_the_first(http: httpx.Client, platform: Any) -> None:
    def call(_: int) -> Any:
        return http.post(
            "/v1/images/generations", json={"prompt": "a bell on green"}, headers={"Idempotency-Key": "bell"}
        ).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(call, range(4)))
    assert len({answer["vaglio"]["job"] for answer in answers}) == 1


def test_a_client_that_lost_an_answer_does_not_pay_twice(http: httpx.Client) -> None:
    body = {"prompt": "a crown on purple", "seed": 7}
    first = http.post("/v1/images/generations", json=body)
    again = http.post("/v1/images/generations", json=body, headers={"x-stainless-retry-count": "1"})
    assert first.json()["vaglio"]["job"] == again.json()["vaglio"]["job"]


def test_a_quote_is_what_is_held(http: httpx.Client) -> None:
    order = {"prompt": "a key on red", "n": 3}
    quoted = http.post("/v1/jobs/quote", json=order).json()["price"]
    assert http.post("/v1/jobs", json=order).json()["price"] == quoted


def test_a_job_is_followed_and_ends(http: httpx.Client) -> None:
    job = http.post("/v1/jobs", json={"prompt": "a slow:0.05 star on white"}).json()
    states = []
    with http.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: {") and '"state"' in line:
                states.append(json.loads(line.removeprefix("data: "))["state"])
    assert states[-1] == "done"
    done = http.get(f"/v1/jobs/{job['id']}").json()
    assert done["media"][0]["url"].startswith("http")
    again = http.delete(f"/v1/jobs/{job['id']}")
    assert (again.status_code, again.json()["state"]) == (200, "done")


def test_cancel_twice(http: httpx.Client) -> None:
    job = http.post("/v1/jobs", json={"prompt": "verdict:review wait"}).json()
    until(lambda: http.get(f"/v1/jobs/{job['id']}").json()["state"] == "in_review")
    assert http.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert http.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"


def test_somebody_elses_job_is_not_found(http: httpx.Client, platform: Any) -> None:
    from accounts import keys

    job = http.post("/v1/jobs", json={"prompt": "a tree"}).json()["id"]
    _, secret = keys.create(platform.people.carol, "carol")
    connections.close_all()
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        answer = httpx.request(
            method, f"{platform.address}/v1/jobs/{job}{path}", headers={"Authorization": f"Bearer {secret}"}
        )
        assert answer.status_code == 404


BAD = {
    "empty prompt": ({"prompt": "  "}, "prompt"),
    "no prompt": ({}, "prompt"),
    "number as prompt": ({"prompt": 7}, "prompt"),
    "long prompt": ({"prompt": "x" * 100_000}, "prompt"),
    "NUL in prompt": ({"prompt": "a\x00b"}, "prompt"),
    "n 0": ({"prompt": "a", "n": 0}, "n"),
    "n -1": ({"prompt": "a", "n": -1}, "n"),
    "n 10^9": ({"prompt": "a", "n": 10**9}, "n"),
    "n half": ({"prompt": "a", "n": 1.5}, "n"),
    "n word": ({"prompt": "a", "n": "many"}, "n"),
    "unknown model": ({"prompt": "a", "model": "dall-e-9"}, "model"),
    "unknown size": ({"prompt": "a", "size": "7x7"}, "size"),
    "unknown field": ({"prompt": "a", "mode": "hologram"}, "mode"),
    "steps": ({"prompt": "a", "steps": 10_000}, "steps"),
    "seed": ({"prompt": "a", "seed": -1}, "seed"),
    "guidance nan": ({"prompt": "a", "guidance_scale": "nan"}, "guidance_scale"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(http: httpx.Client, name: str) -> None:
    body, field = BAD[name]
    answer = http.post("/v1/jobs", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == field
    assert len(error["message"]) > 10


@pytest.mark.parametrize("name", sorted(set(ImagesIn.model_fields) - {"user"}))
@pytest.mark.parametrize("value", [[], {}, [{}], {"a": [1]}, True], ids=repr)
def test_no_field_takes_what_is_no_value(http: httpx.Client, name: str, value: Any) -> None:
    # That nothing is acknowledged is a value.
    value = [7] if (name, value) == ("acknowledge", []) else value
    answer = http.post("/v1/images/generations", json={"prompt": "a red apple"} | {name: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name), answer.text


def test_the_document_names_every_error_that_comes(http: httpx.Client) -> None:
    paths = http.get("/v1/openapi.json").json()["paths"]
    submit = paths["/v1/jobs"]["post"]
    assert {"201", "400", "401", "402", "403", "409", "415", "429", "503"} <= set(submit["responses"])
    order = http.get("/v1/openapi.json").json()["components"]["schemas"]["OrderIn"]["properties"]
    assert order["n"]["type"] == "integer"
    assert all(field["description"] for field in order.values())


@pytest.mark.parametrize(
    "prompt",
    ["تفاحة حمراء על כחול", "🍎🍎🍎 👩‍👩‍👧‍👦", "e\u0301 ﬁ ＡＢＣ \u202eabc", "'; DROP TABLE generation_job; --"],
)
def test_any_script_is_a_prompt(http: httpx.Client, prompt: str) -> None:
    answer = http.post("/v1/jobs", json={"prompt": prompt})
    assert answer.status_code == 201, answer.text
    assert answer.json()["prompt"] == prompt


def test_broken_json_and_wrong_types_are_said(http: httpx.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    assert http.post("/v1/jobs", content=b"{", headers=json_type).json()["error"]["code"] == "invalid_json"
    assert http.post("/v1/jobs", content=b"[1]", headers=json_type).json()["error"]["code"] == "invalid_json"
    wrong = http.post("/v1/jobs", content=b"prompt=x", headers={"Content-Type": "text/plain"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (415, "unsupported_content_type")
    assert http.post("/v1/jobs", content=b"[" * 100_000, headers=json_type).status_code == 400


def test_models_and_credits(http: httpx.Client, client: openai.OpenAI) -> None:
    assert "fake" in [model.id for model in client.models.list()]
    assert client.models.retrieve("fake").id == "fake"
    credits = http.get("/v1/credits").json()
    assert credits["available"] > 0
    assert sum(lot["remaining"] for lot in credits["lots"]) >= credits["available"]


def test_the_session_cookie_opens_no_door_that_changes_anything(platform: Any) -> None:
    """A page of another site could make the browser send it."""
    answer = httpx.post(f"{platform.address}/v1/jobs", json={"prompt": "a"}, cookies={"sessionid": "x"})
    assert answer.status_code == 401


def test_a_file_is_verified_by_the_api_and_its_answer_is_its_askers_alone(http: httpx.Client, platform: Any) -> None:
    made = http.post(
        "/v1/images/generations", json={"prompt": "a pear to verify", "response_format": "b64_json"}
    ).json()
    data = base64.b64decode(made["data"][0]["b64_json"])
    answer = http.post("/v1/verify", files={"file": ("mine.png", data)})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["came_from_here"], told["altered"]) == ("answered", True, False)
    assert told["traces"] == {"file": True, "credentials": "ours", "perceptual_hash": 0, "watermark": False}
    assert http.get(f"/v1/verify/{told['id']}").json() == told
    with httpx.Client(base_url=platform.address, headers={"Authorization": "Bearer vg_no"}) as stranger:
        assert stranger.get(f"/v1/verify/{told['id']}").status_code == 401
    other = http.post("/v1/verify", files={"file": ("other.txt", b"no picture")}).json()
    assert other["came_from_here"] is None
    assert other["why"]
    for files_sent, code in (({}, 415), ({"else": ("a", b"x")}, 400), ({"file": ("a", b"")}, 400)):
        assert http.post("/v1/verify", files=files_sent or None).status_code == code


def test_many_followers_hold_no_connection(http: httpx.Client, platform: Any) -> None:
    """More streams than the pool has connections, and the page still answers."""
    job = http.post("/v1/jobs", json={"prompt": "slow:0.2 a long sunset"}).json()["id"]
    opened = threading.Semaphore(0)

    def follow(_: int) -> str:
        last = ""
        headers = {"Authorization": f"Bearer {platform.secret}"}
        with httpx.stream("GET", f"{platform.address}/v1/jobs/{job}/events", headers=headers, timeout=60) as stream:
            opened.release()
            for line in stream.iter_lines():
                last = line if line.startswith("event") else last
        return last

    with ThreadPoolExecutor(30) as pool:
        futures = [pool.submit(follow, number) for number in range(30)]
        for _ in range(30):
            assert opened.acquire(timeout=30)
        began = time.monotonic()
        assert http.get("/v1/credits").status_code == 200
        assert time.monotonic() - began < 10
        assert {future.result() for future in futures} == {"event: end"}


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("GET", "/v1/images/oddities", 404, "not_found"),
        ("GET", "/v1/jobs/no-id", 404, "not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
    ],
)
def test_what_is_no_address_or_method_of_the_api_is_said_in_its_shape(
    http: httpx.Client, method: str, address: str, status: int, code: str
) -> None:
    answer = http.request(method, address)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("length", [3_000_000, 5_000_000])
@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_long_is_refused_and_not_our_fault(http: httpx.Client, length: int, told: bool) -> None:
    body = b'{"prompt": "' + b"x" * length + b'"}'
    content: Any = body if told else (body[at : at + 100_000] for at in range(0, len(body), 100_000))
    answer = http.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert http.get("/v1/jobs").status_code == 200
