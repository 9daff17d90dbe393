"""Whether a file came from here: by its bytes, its credentials, its looks; and what nobody learns by asking."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image, ImageOps

from generation.models import Medium
from journal import files
from moderation import sweep, traces
from moderation.actions import inquiries
from moderation.formats import decoding, limits
from moderation.models import Case, Inquiry
from moderation.provenance.credentials import read
from moderation.screening import inquiries as answering
from moderation.screening.marks import keys
from tests import path
from tests.people import People, cast
from tests.uploads.files import bomb, drawing, film, huge_header, saved


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def released(people: People, prompt: str = "a red apple on blue", **asked: Any) -> tuple[Medium, bytes]:
    job = path.submit(people.alice, prompt, **asked)
    path.work()
    medium = Medium.objects.shown().select_related("case").get(job=job)
    assert medium.case is not None
    return medium, files.read(files.released(), medium.case.derivative_key)


def told(data: bytes, **who: Any) -> dict[str, Any]:
    asked = inquiries.ask(ContentFile(data), person=who.get("person"), address=who.get("address", "203.0.113.7"))
    while answering.answer_one(path.armoury()):
        pass
    asked.refresh_from_db()
    assert asked.state != Inquiry.State.WAITING
    assert asked.file_key == ""
    return dict(asked.answer)


def as_jpeg(data: bytes, size: tuple[int, int] | None = None) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        return saved(picture.convert("RGB").resize(size or picture.size), "JPEG", quality=60)


def test_what_was_released_carries_signed_credentials_and_leaves_its_hash(people: People) -> None:
    medium, data = released(people)
    found = read(data, "image/png", keys().anchors)
    assert (found.state, found.source) == ("ours", "trainedAlgorithmicMedia")
    assert medium.case is not None
    ((where, digits, _),) = medium.case.derivative_traces
    assert (where, len(digits)) == ("", 64)
    # Nothing of whoever asked, and none of the words.
    for secret in (b"alice", b"apple", str(medium.pk).encode(), str(medium.job_id).encode()):
        assert secret not in data


def test_a_film_and_its_poster_are_signed_and_hashed_frame_by_frame(people: People) -> None:
    medium, data = released(people, "a boat", mode="text_to_film")
    assert medium.case is not None
    assert read(data, "video/mp4", keys().anchors).state == "ours"
    poster = files.read(files.released(), medium.case.poster_key)
    assert read(poster, "image/png", keys().anchors).state == "ours"
    assert len(medium.case.derivative_traces) >= 3
    assert all(where.endswith("s") for where, _, _ in medium.case.derivative_traces)


def test_what_was_made_over_something_brought_says_so(people: People) -> None:
    from moderation.actions.uploads import take

    upload = take(people.alice, ContentFile(saved(drawing(96, 96), "PNG")), "picture")
    _, data = released(people, "a pear", mode="image_to_image", picture=str(upload.pk))
    assert read(data, "image/png", keys().anchors).source == "compositeWithTrainedAlgorithmicMedia"


def test_an_upload_is_not_signed_as_ours(people: People) -> None:
    from moderation.actions.uploads import take

    upload = take(people.alice, ContentFile(saved(drawing(96, 96), "PNG")), "picture")
    path.work()
    case = Case.objects.get(pk=upload.case_id)
    assert case.state == "cleared"
    assert read(files.read(files.released(), case.derivative_key), "image/png", keys().anchors).state == "none"


def test_the_very_file_is_known_by_its_bytes(people: People) -> None:
    medium, data = released(people)
    answer = told(data)
    assert (answer["came_from_here"], answer["altered"]) == (True, False)
    assert answer["traces"] == {"file": True, "credentials": "ours", "perceptual_hash": 0, "watermark": False}
    assert answer["released"] == f"{timezone.now():%Y-%m-%d}"
    assert answer["model"] == "fake"
    # Nobody learns whose it is, or what was asked for.
    words = json.dumps(answer)
    for secret in ("alice", "apple", str(medium.pk), str(medium.job_id)):
        assert secret not in words


def test_a_copy_saved_anew_is_known_by_its_looks_and_called_altered(people: People) -> None:
    _, data = released(people, "edges:20 a garden of many things", seed=1)
    for copy in (as_jpeg(data), as_jpeg(data, (256, 256)), saved(ImageOps.mirror(Image.open(io.BytesIO(data))), "PNG")):
        answer = told(copy)
        assert (answer["came_from_here"], answer["altered"]) == (True, True), answer
        assert answer["traces"]["file"] is False
        assert answer["traces"]["credentials"] == "none"
        assert 0 <= answer["traces"]["perceptual_hash"] <= 31


def test_a_film_saved_anew_is_known_by_its_frames_and_so_is_a_still_of_it(people: People) -> None:
    _, data = released(people, "edges:20 a garden in the wind", seed=2, mode="text_to_film")
    answer = told(film_again(data))
    assert (answer["came_from_here"], answer["altered"], answer["kind"]) == (True, True, "film")
    import av

    with av.open(io.BytesIO(data)) as container:
        still = next(iter(container.decode(video=0))).to_image()
    assert told(saved(still, "JPEG", quality=80))["came_from_here"] is True


def film_again(data: bytes) -> bytes:
    import av
    import numpy as np

    from generation.engine.encoding import film as encode

    with av.open(io.BytesIO(data)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    return encode(frames[:, ::2, ::2], 8)


def test_a_file_with_one_byte_changed_is_ours_and_altered_even_where_no_row_knows_it(people: People) -> None:
    _, data = released(people)
    changed = bytearray(data)
    changed[data.rindex(b"IDAT") + 30] ^= 1
    answer = told(bytes(changed))
    assert answer["came_from_here"] is True
    assert answer["altered"] is True
    assert answer["traces"]["credentials"] in {"ours_altered", "none"}


def test_what_never_was_here_is_not_ours(people: People) -> None:
    released(people, "edges:20 a garden", seed=3)
    answer = told(saved(rich(99), "PNG"))
    assert (answer["came_from_here"], answer["altered"]) == (False, None)
    assert answer["traces"] == {"file": False, "credentials": "none", "perceptual_hash": None, "watermark": False}


def rich(seed: int) -> Image.Image:
    from tests.provenance.test_pdq import scene

    return scene(seed, (512, 512))


def test_where_there_is_too_little_to_see_it_cannot_be_told(people: People) -> None:
    assert told(saved(drawing(64, 64), "PNG"))["came_from_here"] is None


@pytest.mark.parametrize("state", ["refused", "in_review"])
def test_what_was_never_released_is_not_told(people: People, state: str) -> None:
    """Not even to whoever holds a copy: that it was made here would tell that it was refused."""
    word = {"refused": "verdict:block", "in_review": "verdict:review"}[state]
    job = path.submit(people.alice, f"{word} edges:20 a garden")
    path.work()
    medium = Medium.objects.select_related("case").get(job=job)
    assert medium.case is not None
    assert medium.case.state == state
    original = files.read(files.quarantine(), medium.original_key)
    assert told(original)["came_from_here"] is not True


def test_what_was_taken_back_came_from_here_all_the_same(people: People) -> None:
    from moderation.actions import withdraw

    medium, data = released(people)
    assert medium.case is not None
    withdraw(medium.case, moderator=people.sofia, policy_code="", reason="for the test")
    assert told(data)["came_from_here"] is True


ANY_FILE = {
    "empty text": b" ",
    "text": b"hello, this is no picture",
    "html": b"<html><script>alert(1)</script></html>",
    "pdf": b"%PDF-1.7\n" + b"0" * 4000,
    "zip": b"PK\x03\x04" + b"\0" * 4000,
    "elf": b"\x7fELF" + b"\1" * 4000,
    "huge header": huge_header(),
    "bomb": bomb(),
    "nul": b"\0" * 100_000,
    "half a png": saved(drawing(), "PNG")[:60],
    "tiny": saved(Image.new("RGB", (1, 1)), "PNG"),
    "gif that moves": saved(drawing(), "GIF", save_all=True, append_images=[drawing(seed=3)], duration=90),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "long film": None,
}


@pytest.mark.parametrize("kind", ANY_FILE)
def test_any_file_at_all_gets_an_answer(people: People, kind: str) -> None:
    data = ANY_FILE[kind] or film(60, 1, (32, 32))
    answer = told(data)
    assert answer.get("came_from_here") is None
    assert answer["why"].endswith(".")
    assert "Traceback" not in answer["why"]


def test_an_empty_or_too_large_file_is_not_taken(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(inquiries.InquiryRefused, match="empty"):
        inquiries.ask(ContentFile(b""), person=None, address="")
    monkeypatch.setattr(limits, "MOST_BYTES", {"picture": 10, "film": 10})
    with pytest.raises(inquiries.InquiryRefused, match="larger than"):
        inquiries.ask(ContentFile(b"x" * 11), person=None, address="")
    assert not Inquiry.objects.exists()


def test_one_asker_is_answered_so_often_an_hour_and_another_all_the_same(people: People, settings: Any) -> None:
    settings.MOST_INQUIRIES_AN_HOUR = 2
    for _ in range(2):
        inquiries.ask(ContentFile(b"x"), person=None, address="203.0.113.7")
    with pytest.raises(inquiries.TooManyInquiries, match="You asked about 2 files"):
        inquiries.ask(ContentFile(b"x"), person=None, address="203.0.113.7")
    inquiries.ask(ContentFile(b"x"), person=None, address="203.0.113.8")
    inquiries.ask(ContentFile(b"x"), person=people.alice, address="203.0.113.7")
    assert not Inquiry.objects.filter(asker__contains="203.0").exists()


def test_a_file_that_kills_its_decoder_three_times_is_given_up(
    people: People, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = inquiries.ask(ContentFile(b"x"), person=None, address="")

    def dies(data: bytes, anchors: bytes) -> dict[str, Any]:
        raise SystemExit

    monkeypatch.setattr(answering, "trace", dies)
    for _ in range(settings.MOST_ATTEMPTS):
        with pytest.raises(SystemExit):
            answering.answer_one(path.armoury())
        assert not answering.answer_one(path.armoury()), "its lease is still held"
        Inquiry.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert answering.answer_one(path.armoury())
    asked.refresh_from_db()
    assert (asked.state, asked.file_key) == ("failed", "")
    assert "could not be looked at" in asked.answer["why"]


def test_after_a_day_nothing_of_an_inquiry_is_kept(people: People) -> None:
    told(b"some file")
    left = inquiries.ask(ContentFile(b"another"), person=None, address="")
    folder = f"{Inquiry.FOLDER}/2020-01-01"
    files.write_once(files.quarantine(), f"{folder}/of-no-row", b"x")
    assert sweep.forget_inquiries() == 0
    assert files.listing(files.quarantine(), Inquiry.FOLDER, files=False) == [f"{left.asked_at:%Y-%m-%d}"]
    Inquiry.objects.update(asked_at=timezone.now() - timedelta(days=1, seconds=1))
    assert sweep.forget_inquiries() == 2
    assert not Inquiry.objects.exists()


def test_the_page_asks_and_answers_without_an_account(people: People) -> None:
    _, data = released(people)
    client = Client()
    assert "Did it come from here?" in client.get(reverse("verify")).content.decode()
    sent = client.post(reverse("verify"), {"file": ContentFile(data, "mine.png")})
    assert sent.status_code == 302
    waiting = client.get(sent["Location"]).content.decode()
    assert "It is being looked at" in waiting
    assert '<meta http-equiv="refresh"' in waiting
    answering.answer_one(path.armoury())
    page = client.get(sent["Location"]).content.decode()
    assert "It came from here, as it is" in page
    assert "alice" not in page
    assert "red apple" not in page
    assert "refresh" not in page
    assert client.get(reverse("verify_answer", args=["00000000-0000-4000-8000-000000000000"])).status_code == 404


def test_the_page_says_what_is_wrong(people: People, settings: Any) -> None:
    client = Client()
    answer = client.post(reverse("verify"))
    assert answer.status_code == 400
    assert "Choose a file first." in answer.content.decode()
    settings.MOST_INQUIRIES_AN_HOUR = 1
    client.post(reverse("verify"), {"file": ContentFile(b"x", "a")})
    assert client.post(reverse("verify"), {"file": ContentFile(b"x", "a")}).status_code == 429


def test_a_hash_is_found_by_an_index_whatever_lies_beside(people: People) -> None:
    """The words of 16 bits in SQL are those in Python, and two hashes within the limit always share one."""
    import random

    medium, _ = released(people, "edges:20 a garden", seed=3)
    assert medium.case is not None
    ((_, digits, quality),) = medium.case.derivative_traces
    assert quality >= 50
    chance = random.Random(1)
    for _ in range(20):
        near = int(digits, 16)
        for bit in chance.sample(range(256), 31):
            near ^= 1 << bit
        found = traces.alike([["", f"{near:064x}", 100]], is_film=False)
        assert found is not None
        assert (found.case.pk, found.distance) == (medium.case.pk, 31)
    far = int(digits, 16)
    for bit in range(0, 256, 4):
        far ^= 1 << bit
    assert traces.alike([["", f"{far:064x}", 100]], is_film=False) is None


def test_no_stranger_is_opened_outside_the_limited_process(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(decoding, "_run", lambda kind, folder: opened.append(kind))
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: opened.append("here"))
    answer = told(saved(drawing(), "PNG"))
    assert opened == ["any"]
    assert "could not be read" in answer["why"]
