"""Films on the whole path: drawn, looked at frame by frame, released as what a browser plays, served in pieces."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from billing import ledger
from generation.actions.inputs import bring
from generation.actions.jobs import BeyondPlan
from generation.engine import encoding
from generation.models import Job, Medium
from generation.serving import released_file
from journal import files
from moderation.models import Case, Screening
from moderation.screening.films import EVEN, NOTHING_NEW, SIDE, chosen, read_film
from moderation.screening.looking import worst
from moderation.screening.originals import Unreadable
from moderation.signals import ItemFault, Signal
from tests import path
from tests.invariants import assert_nothing_lost
from tests.people import People, cast
from tests.uploads.files import drawing, film, saved


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def released(job: Job) -> tuple[Medium, Case]:
    medium = Medium.objects.shown().select_related("case").get(job=job)
    assert medium.case is not None
    return medium, medium.case


def test_a_film_is_drawn_looked_at_and_released(people: People) -> None:
    job = path.submit(people.alice, "a boat on a yellow sea", mode="text_to_film", n=2)
    # 2 seconds at 2 credits, and 8 at the least.
    assert (job.frames, job.fps, job.price) == (16, 8, 16)
    path.work()
    job.refresh_from_db()
    assert job.state == "done"
    for medium in Medium.objects.shown().filter(job=job).select_related("case"):
        case = medium.case
        assert case is not None
        assert case.derivative_key.endswith(".mp4")
        data = files.read(files.released(), case.derivative_key)
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
            assert (stream.width, stream.height, stream.frames) == (512, 512, 16)
            assert Fraction(container.duration or 0, 1_000_000) == 2
            assert not container.streams.audio
            assert {key for key in container.metadata} <= {
                "major_brand",
                "minor_version",
                "compatible_brands",
                "encoder",
            }
        with Image.open(io.BytesIO(files.read(files.released(), case.poster_key))) as poster:
            assert (poster.format, poster.size) == ("PNG", (512, 512))
        assert case.derivative_distance is not None
        assert case.derivative_distance <= 12
    assert ledger.balance(ledger.wallet_of(people.alice)).held == 0
    assert_nothing_lost()


def test_every_frame_that_was_looked_at_is_written_down(people: People) -> None:
    job = path.submit(people.alice, "a boat", mode="text_to_film")
    path.work()
    _, case = released(job)
    screening = Screening.objects.get(case=case)
    assert screening.views == [f"frame at {number / 8:.2f} s" for number in range(16)]
    assert all(" in frame at " in signal.name for signal in screening.signals.all())


@pytest.mark.parametrize(("verdict", "state"), [("review", "in_review"), ("block", "done")])
def test_one_bad_frame_decides_and_is_named(people: People, verdict: str, state: str) -> None:
    """The fake engine paints the mark on the first frame's corner, and moves it on from frame to frame."""
    job = path.submit(people.alice, f"verdict:{verdict} a doubtful boat", mode="text_to_film")
    path.work()
    job.refresh_from_db()
    assert job.state == state
    case = Case.objects.get(subject="medium")
    assert case.state != "cleared"
    assert "in frame at 0.00 s" in case.findings[0]["sentence"]
    assert not Medium.objects.shown().exists()
    assert_gate_shows_nothing(people, case)


def assert_gate_shows_nothing(people: People, case: Case) -> None:
    alice = Client()
    alice.force_login(people.alice)
    for route in ("medium", "poster"):
        assert alice.get(reverse(route, args=[case.key])).status_code == 404


def test_a_moderator_watches_what_would_be_released(people: People) -> None:
    path.submit(people.alice, "verdict:review a doubtful boat", mode="text_to_film")
    path.work()
    case = Case.objects.get(subject="medium")
    from moderation.actions import claim
    from moderation.models import Look

    assert claim(case, people.bob)
    bob = Client()
    bob.force_login(people.bob)
    assert "<video" in bob.get(reverse("desk_case", args=[case.pk])).content.decode()
    address = reverse("desk_original", args=[case.pk])
    first = bob.get(address, headers={"Range": "bytes=0-99"})
    assert (first.status_code, len(first.content), first["Content-Type"]) == (206, 100, "video/mp4")
    for piece in ("bytes=100-199", "bytes=200-"):
        assert bob.get(address, headers={"Range": piece}).status_code == 206
    # Pieces of one film are one look; the whole is another, and the middle first is one too.
    assert Look.objects.filter(case=case).count() == 1
    bob.get(address)
    assert Look.objects.filter(case=case).count() == 2
    sofia = Client()
    sofia.force_login(people.sofia)
    assert sofia.get(address, headers={"Range": "bytes=500-"}).status_code == 206
    assert Look.objects.filter(case=case, moderator=people.sofia).count() == 1


@pytest.mark.parametrize(
    ("asked", "status", "bounds"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=10-", 206, (10, None)),
        ("bytes=-5", 206, (-5, None)),
        ("bytes=0-999999999", 206, (0, None)),
        ("bytes=999999999-", 416, (0, 0)),
        ("bytes=-0", 416, (0, 0)),
        ("bytes=9-3", 416, (0, 0)),
        ("bytes=-", 200, (0, None)),
        ("bytes=0-1,4-5", 200, (0, None)),
        ("lines=0-9", 200, (0, None)),
        ("bytes=0-" + "9" * 400, 200, (0, None)),
    ],
)
def test_a_film_is_served_in_pieces(people: People, asked: str, status: int, bounds: tuple[int, int | None]) -> None:
    job = path.submit(people.alice, "a boat", mode="text_to_film")
    path.work()
    medium, case = released(job)
    whole = files.read(files.released(), case.derivative_key)
    alice = Client()
    alice.force_login(people.alice)
    answer = alice.get(reverse("medium", args=[medium.pk]), headers={"Range": asked})
    assert answer.status_code == status
    assert answer.content == whole[bounds[0] : bounds[1]]
    assert answer["Accept-Ranges"] == "bytes"
    if status == 206:
        start = len(whole) + bounds[0] if bounds[0] < 0 else bounds[0]
        end = start + len(answer.content) - 1
        assert answer["Content-Range"] == f"bytes {start}-{end}/{len(whole)}"
    # Pieces of another file than the caller has begun with are of no use to it.
    stale = alice.get(reverse("medium", args=[medium.pk]), headers={"Range": "bytes=5-9", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, whole)


def test_a_film_goes_on_from_a_film_and_from_pictures(people: People) -> None:
    kept = {
        "film": bring(people.alice, ContentFile(film(6)), mode="film_variation", name="film"),
        "picture": bring(people.alice, ContentFile(saved(drawing(), "PNG")), mode="image_to_film", name="picture"),
    }
    other = saved(drawing().transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG")
    last = bring(people.alice, ContentFile(other), mode="film_between", name="last")
    jobs = [
        path.submit(people.alice, "", mode="film_variation", film=str(kept["film"].pk), strength=0.2),
        path.submit(people.alice, "", mode="image_to_film", picture=str(kept["picture"].pk)),
        path.submit(people.alice, "", mode="film_between", picture=str(kept["picture"].pk), last=str(last.pk)),
    ]
    path.work()
    for job in jobs:
        job.refresh_from_db()
        assert job.state == "done", (
            job.mode,
            [c.findings or [d.reason for d in c.decisions.all()] for c in Case.objects.all()],
        )
    medium, _ = released(jobs[2])
    ends = read_film(files.read(files.quarantine(), medium.original_key), size=(64, 64)).views[-1]
    wanted = np.asarray(Image.open(io.BytesIO(other)).convert("RGB").crop((16, 0, 80, 64))).astype(int)
    assert np.abs(np.asarray(ends.picture).astype(int) - wanted).max() <= 2
    # What was made of a film starts another.
    first, _ = released(jobs[0])
    again = path.submit(people.alice, "", mode="film_variation", film=str(first.pk))
    path.work()
    again.refresh_from_db()
    assert again.state == "done"
    assert_nothing_lost()


def test_a_plan_has_a_longest_film(people: People) -> None:
    from unittest.mock import patch

    from billing.sale.plans import plan_of

    plan = plan_of(people.alice)
    from dataclasses import replace

    assert plan.limits is not None
    short = replace(plan, limits=replace(plan.limits, film_seconds=1))
    with patch("generation.actions.jobs.plan_of", return_value=short):
        with pytest.raises(BeyondPlan, match=r"makes films of up to 1 s, and this asks for 2 s. Nothing was charged."):
            path.submit(people.alice, "a boat", mode="text_to_film")
        assert path.submit(people.alice, "a boat", mode="text_to_film", frames=8).seconds == 1
    assert ledger.balance(ledger.wallet_of(people.alice)).held == 8


def test_a_film_as_an_answer_of_the_api_has_its_type(people: People) -> None:
    job = path.submit(people.alice, "a boat", mode="text_to_film")
    path.work()
    medium, case = released(job)
    found = released_file(Medium.objects.filter(job=job), medium.pk)
    assert found is not None
    assert (found.content_type, found.sha256) == ("video/mp4", case.derivative_sha256)


def frames(number: int, *, cut: int | None = None, is_still: bool = False) -> list[np.ndarray]:
    """Small frames in which a bar travels, unless it is still, and in which all changes at once at the cut."""
    found = []
    for place in range(number):
        frame = np.full((SIDE, SIDE, 3), 60 + (120 if cut is not None and place >= cut else 0), np.int16)
        bar = 0 if is_still else place % SIDE
        frame[:, bar : bar + 2] += 40
        found.append(frame)
    return found


def test_frames_that_show_nothing_new_are_looked_at_once() -> None:
    """What is still costs two frames; whatever appears, however small and in whichever colour, is looked at."""
    assert chosen(frames(100, is_still=True)) == {0, 99}
    assert chosen(frames(16, is_still=True)) == {0, 15}
    for colour in range(3):
        film = frames(16, is_still=True)
        film[7][20, 20, colour] += NOTHING_NEW
        assert chosen(film) == {0, 7, 8, 15}
    slow = frames(16, is_still=True)
    for place, frame in enumerate(slow):
        frame += place * 3
    # Compared with the last that was looked at, and not with the one before: slow changes add up.
    assert chosen(slow) == {0, 6, 12, 15}


def test_the_frames_after_a_cut_are_looked_at() -> None:
    assert chosen(frames(10)) == set(range(10))
    assert len(chosen(frames(100))) == EVEN
    assert {0, 99} <= chosen(frames(100))
    assert chosen(frames(100, cut=41)) - chosen(frames(100)) == {41}
    assert chosen(frames(1)) == {0}


@pytest.mark.parametrize("data", [b"", b"no film", saved(drawing(), "PNG")])
def test_what_is_no_film_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_film(data, size=(96, 64))


def test_a_film_of_another_size_or_of_flat_frames_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="not 64x64"):
        read_film(film(3), size=(64, 64))
    flat = np.full((4, 64, 64, 3), 90, np.uint8)
    with pytest.raises(Unreadable, match="one flat colour"):
        read_film(encoding.film(flat, 8, lossless=True), size=(64, 64))
    flat[2, :, :32] = 10
    (only,) = read_film(encoding.film(flat, 8, lossless=True), size=(64, 64)).views
    assert only.where == "frame at 0.25 s"


def test_the_worst_view_counts_and_what_is_no_number_is_worst_of_all() -> None:
    def said(where: str, *scores: float) -> list[Signal]:
        return [Signal(name, score, "m", "1", field=where) for name, score in zip("ab", scores, strict=False)]

    found = worst(0, [said("first", 0.1, 0.9), said("last", 0.5, 0.2)])
    assert [(one.name, one.score, one.field) for one in found] == [("a", 0.5, "last"), ("b", 0.9, "first")]
    (broken, _) = worst(0, [said("first", 0.99, 0.1), said("last", float("nan"), 0.2)])
    assert broken.field == "last"
    with pytest.raises(ItemFault, match="not every view"):
        worst(3, [said("first", 0.1, 0.9), said("last", 0.1)])


def test_what_an_encoder_rounds_is_no_difference_and_what_is_seen_is_one() -> None:
    """A symmetric drawing's perceptual hash turns over for nothing."""
    from moderation.derivative import FARTHEST, _distance

    whole = drawing()
    rounded = Image.eval(whole, lambda value: min(255, value + 2))
    assert _distance(whole, rounded) == 0
    other = whole.copy()
    other.paste((255, 255, 255), (40, 20, 52, 36))
    assert _distance(whole, other) > 0
    assert _distance(whole, whole.transpose(Image.Transpose.ROTATE_180)) > FARTHEST
