"""Jobs that start from what a person brought: judged first, drawn with only when all of it was cleared."""

import io
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from PIL import Image, ImageDraw

from billing import ledger
from generation.actions import jobs
from generation.actions.feed import as_map, as_sketch
from generation.actions.inputs import bring
from generation.models import Job, Medium
from generation.offer import BadOrder
from journal import files
from moderation import sweep
from moderation.actions import withdraw
from moderation.actions.uploads import TooManyUploads, UploadRefused, erase, take
from moderation.evidence import portrait
from moderation.models import Case, Upload
from moderation.statements import statement_of
from tests import path
from tests.invariants import assert_nothing_lost
from tests.people import People, cast
from tests.uploads.files import saved

ORANGE = (240, 120, 20)


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def drawing(colour: tuple[int, int, int] = ORANGE, *, mark: tuple[int, int, int] | None = None) -> Image.Image:
    """A disc on grey, 96 x 96; with a mark of the fake classifiers' in its corner."""
    picture = Image.new("RGB", (96, 96), (90, 90, 90))
    ImageDraw.Draw(picture).ellipse((20, 20, 76, 76), colour)
    if mark:
        picture.paste(mark, (0, 0, 8, 8))
    return picture


def sketch() -> Image.Image:
    picture = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(picture).line((8, 8, 56, 56), "black", 4)
    return picture


def mask(side: int = 96) -> Image.Image:
    """The left half is to be drawn anew."""
    picture = Image.new("L", (side, side), 0)
    picture.paste(255, (0, 0, side // 2, side))
    return picture


def file(picture: Image.Image | bytes, name: str = "x.png") -> "ContentFile[bytes]":
    return ContentFile(picture if isinstance(picture, bytes) else saved(picture, "PNG"), name)


def order(people: People, mode: str, strength: float | None = None, **brought: Image.Image | bytes) -> Job:
    kept = {name: str(bring(people.alice, file(one), mode=mode, name=name).pk) for name, one in brought.items()}
    return path.submit(people.alice, "a green pear", mode=mode, seed=7, strength=strength, **kept)


def pixels(job: Job) -> np.ndarray:
    medium = Medium.objects.shown().get(job=job)
    with Image.open(io.BytesIO(files.read(files.quarantine(), medium.original_key))) as found:
        return np.asarray(found.convert("RGB")).astype(int)


def stored(upload: Upload) -> list[Path]:
    """Every file of an upload that lies in a store, whether a row names it or not."""
    own = [Path(store.path(upload.folder)) for store in (files.quarantine(), files.released())]
    return [path for folder in own for path in folder.rglob("*") if path.is_file()]


def test_a_job_waits_until_what_was_brought_is_cleared(people: People) -> None:
    job = order(people, "image_to_image", strength=0.1, picture=drawing())
    assert job.state == "checking"
    assert not Upload.objects.get().is_usable
    path.work()
    job.refresh_from_db()
    assert job.state == "done"
    upload = Upload.objects.get()
    assert (upload.width, upload.height, upload.raw_key) == (96, 96, "")
    assert files.quarantine().exists(upload.pixels_key)
    assert not files.quarantine().exists(f"{upload.folder}/brought")
    # The disc comes through.
    assert np.abs(pixels(job)[32, 32] - np.array(ORANGE)).max() < 30
    assert_nothing_lost()


def test_only_the_marked_part_is_drawn_anew(people: People) -> None:
    job = order(people, "inpainting", picture=drawing(), mask=mask())
    path.work()
    left, right = pixels(job)[:, :28], pixels(job)[:, 36:]
    given = np.asarray(drawing().resize((64, 64), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(right - given[:, 36:]).max() <= 1
    assert np.abs(left - given[:, :28]).mean() > 10


def test_see_through_parts_of_a_mask_are_marked(people: People) -> None:
    """As OpenAI's clients send it."""
    clear = drawing().convert("RGBA")
    clear.putalpha(Image.eval(mask(), lambda value: 255 - value))
    job = order(people, "inpainting", picture=drawing(), mask=saved(clear, "PNG"))
    other = order(people, "inpainting", picture=drawing(), mask=mask())
    path.work()
    assert np.array_equal(pixels(job), pixels(other))


@pytest.mark.parametrize(
    ("mode", "brought", "said"),
    [
        ("scribble", {"control": Image.new("RGB", (64, 64), "white")}, "The sketch is blank. Draw some lines."),
        ("segmentation", {"control": Image.new("RGB", (64, 64), "red")}, "The map has one colour all over."),
        ("inpainting", {"picture": drawing(), "mask": Image.new("L", (96, 96), 0)}, "The mask marks nothing."),
        ("inpainting", {"picture": drawing(), "mask": Image.new("L", (96, 96), 255)}, "marks the whole picture"),
        ("inpainting", {"picture": drawing(), "mask": mask(64).resize((64, 32))}, "The mask is 64 x 32 pixels and"),
        ("image_to_image", {"picture": Image.new("RGB", (64, 64), "blue")}, "one flat colour all over"),
        ("image_to_image", {"picture": b"GIF89a no picture"}, "This is no picture that can be read."),
        ("image_to_image", {"picture": saved(drawing(), "PNG")[:300]}, "The file is damaged"),
        ("film_variation", {"film": saved(drawing(), "PNG")}, "This is no film that can be read."),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence_and_costs_nothing(
    people: People, mode: str, brought: dict[str, Any], said: str
) -> None:
    job = order(people, mode, **brought)
    assert ledger.balance(ledger.wallet_of(people.alice)).held > 0
    path.work()
    job.refresh_from_db()
    assert job.state == "refused"
    assert said in job.failure
    assert "You were not charged." in job.failure
    assert ledger.balance(ledger.wallet_of(people.alice)).held == 0
    assert_nothing_lost()
    for upload in Upload.objects.select_related("case").filter(case__state="refused"):
        assert stored(upload) == []
        letter = statement_of(upload.case)
        assert letter is not None
        assert letter.sentence in job.failure
        assert letter.title == "It cannot be used"


@pytest.mark.parametrize(("mark", "state"), [((200, 20, 0), "refused"), ((200, 10, 0), "in_review")])
def test_what_a_policy_asks_about_is_not_drawn_with(people: People, mark: tuple[int, int, int], state: str) -> None:
    """The marks are what the fake classifiers read: block and review."""
    job = order(people, "image_to_image", picture=drawing(mark=mark))
    path.work()
    job.refresh_from_db()
    assert job.state == state
    assert not job.media.exclude(state="waiting" if state == "in_review" else "cancelled").exists()
    again = None
    if state == "refused":
        assert job.failure == "The picture was refused. You were not charged."
        with pytest.raises(BadOrder, match="This picture was refused"):
            path.submit(people.alice, "a pear", mode="image_to_image", picture=str(Upload.objects.get().pk))
    else:
        # Another job from the same upload waits for the same person.
        again = path.submit(people.alice, "a pear", mode="variation", picture=str(Upload.objects.get().pk))
        path.work()
        again.refresh_from_db()
        assert again.state == "in_review"
        decided(people, "cleared")
        path.work()
        assert set(Job.objects.values_list("state", flat=True)) == {"done"}
    assert_nothing_lost()


def decided(people: People, to: str) -> Case:
    from moderation.actions import claim_next, decide

    case = claim_next(people.bob)
    assert case is not None
    decide(case, moderator=people.bob, to=to, reason="it is an apple", policy_code="" if to == "cleared" else "weapon")
    return case


def test_a_moderator_sees_what_is_known_of_a_file_and_refuses_it(people: People) -> None:
    job = order(people, "image_to_image", picture=drawing(mark=(200, 10, 0)))
    path.work()
    facts = {fact.name: fact.value for fact in portrait(Case.objects.get(subject="upload"))}
    assert facts["Brought as"] == "a picture"
    assert facts["Format"].startswith("PNG, 96 × 96, ")
    assert facts["Camera"] == "says nothing"
    decided(people, "refused")
    job.refresh_from_db()
    assert (job.state, job.failure) == ("refused", "The picture was refused. You were not charged.")
    assert_nothing_lost()


def test_what_is_harmless_on_white_and_not_on_black_is_held(people: People) -> None:
    """White shines through the mark, and drowns it; on black it is what the fake classifiers ask about."""
    picture = drawing().convert("RGBA")
    picture.paste((255, 13, 0, 200), (0, 0, 8, 8))
    job = order(people, "image_to_image", picture=saved(picture, "PNG"))
    path.work()
    job.refresh_from_db()
    assert job.state == "in_review"
    case = Case.objects.get(subject="upload")
    assert "on black" in case.findings[0]["sentence"]
    assert case.screenings.get().views == ["on black"]


def test_an_upload_refused_while_its_job_was_made_refuses_the_job(people: People) -> None:
    upload = take(people.alice, file(b"no picture"), "picture")
    path.work_prompts()
    assert Case.objects.get(subject="upload").state == "refused"
    # As if the order had looked just before.
    job = _made_too_late(people, upload)
    path.work()
    job.refresh_from_db()
    assert (job.state, job.failure) == ("refused", "What you brought was refused. You were not charged.")
    assert_nothing_lost()


def _made_too_late(people: People, upload: Upload) -> Job:
    from unittest.mock import patch

    from generation.actions.inputs import Found

    with patch.object(jobs.inputs, "resolved", return_value={"picture": Found(upload=upload)}):
        return path.submit(people.alice, "a pear", mode="image_to_image", picture=str(upload.pk))


@pytest.mark.parametrize("order_of_cases", [("prompt", "upload"), ("upload", "prompt")])
def test_whichever_is_cleared_last_starts_the_job(people: People, order_of_cases: tuple[str, str]) -> None:
    job = order(people, "image_to_image", picture=drawing())
    first, second = order_of_cases
    later = Case.objects.filter(subject=second)
    later.update(retry_at=timezone.now() + timedelta(minutes=1))
    path.work_prompts()
    job.refresh_from_db()
    assert (job.state, Case.objects.get(subject=first).state) == ("checking", "cleared")
    later.update(retry_at=None)
    path.work_prompts()
    job.refresh_from_db()
    assert job.state == "queued"


def test_nobody_starts_from_what_another_brought_or_as_what_it_was_not(people: People) -> None:
    upload = take(people.alice, file(drawing()), "picture")
    path.work_prompts()
    with pytest.raises(BadOrder, match="You have no picture with this id"):
        path.submit(people.carol, "a pear", mode="image_to_image", picture=str(upload.pk))
    with pytest.raises(BadOrder, match=r"brought as a picture\. Bring it as a sketch\."):
        path.submit(people.alice, "a pear", mode="scribble", control=str(upload.pk))
    assert not Job.objects.exists()


def test_the_same_file_is_the_same_upload_while_it_is_kept(people: People) -> None:
    first, again = (take(people.alice, file(drawing()), "picture") for _ in range(2))
    assert first == again
    assert take(people.alice, file(drawing()), "sketch") != first
    assert take(people.carol, file(drawing()), "picture") != first
    path.work_prompts()
    first.refresh_from_db()
    erase(first)
    assert take(people.alice, file(drawing()), "picture") != first


def test_the_same_order_with_the_same_files_is_the_same_job(people: People) -> None:
    def send(picture: Image.Image) -> Job:
        kept = bring(people.alice, file(picture), mode="image_to_image", name="picture")
        return path.submit(people.alice, "a pear", key="same", mode="image_to_image", picture=str(kept.pk))

    from journal.idempotency import KeyReused

    job = send(drawing())
    assert send(drawing()) == job
    path.work()
    assert send(drawing()) == job
    with pytest.raises(KeyReused):
        send(drawing((10, 20, 200)))


@pytest.mark.parametrize(("data", "said"), [(b"", "The file is empty"), (b"x" * 20_000_001, "larger than 20 MB")])
def test_a_file_that_is_no_size_to_take_leaves_nothing(people: People, data: bytes, said: str) -> None:
    def lying() -> set[str]:
        days = files.listing(files.quarantine(), "uploads", files=False)
        return {name for day in days for name in files.listing(files.quarantine(), f"uploads/{day}", files=False)}

    before = lying()
    with pytest.raises(UploadRefused, match=said):
        take(people.alice, file(data), "picture")
    assert not Upload.objects.exists()
    assert lying() == before


def test_an_hour_has_an_end(people: People, settings: Any) -> None:
    settings.MOST_UPLOADS_AN_HOUR = 2
    for side in (20, 21):
        take(people.alice, file(drawing().resize((side, side))), "picture")
    with pytest.raises(TooManyUploads, match="You brought 2 files"):
        take(people.alice, file(drawing()), "picture")
    take(people.carol, file(drawing()), "picture")


@pytest.fixture
def empty_stores(people: People) -> None:
    """Other tests leave files, and take their rows along."""
    for store in (files.quarantine(), files.released()):
        files.remove_folder(store, Upload.FOLDER)


def test_nothing_is_kept_beyond_its_term(people: People, settings: Any, empty_stores: None) -> None:
    cleared = take(people.alice, file(drawing()), "picture")
    held = take(people.alice, file(drawing(mark=(200, 10, 0))), "picture")
    blocked = take(people.alice, file(drawing(mark=(200, 20, 0))), "picture")
    path.work_prompts()
    assert sweep.erase_uploads() == 0
    assert all(stored(upload) for upload in (cleared, held, blocked))
    later(settings)
    assert sweep.erase_uploads() == 2
    assert [stored(upload) for upload in (cleared, blocked)] == [[], []]
    assert stored(held)
    assert sweep.erase_uploads() == 0
    with pytest.raises(BadOrder, match="is not kept any more"):
        path.submit(people.alice, "a pear", mode="image_to_image", picture=str(cleared.pk))
    decided(people, "refused")
    assert sweep.erase_uploads() == 1
    assert stored(held) == []
    case = Case.objects.get(key=cleared.pk)
    assert not files.released().exists(case.derivative_key)


def later(settings: Any) -> None:
    """As if all that was brought had been brought a day before its term ends."""
    settings.UPLOAD_DAYS = -1


def test_files_that_no_row_names_end_with_their_day(people: People, settings: Any, empty_stores: None) -> None:
    """Whoever took or decoded them was killed at that."""
    upload = take(people.alice, file(drawing(mark=(200, 10, 0))), "picture")
    path.work_prompts()
    day = upload.folder.rpartition("/")[0]
    for store in (files.quarantine(), files.released()):
        files.write_once(store, f"{day}/{uuid.uuid4()}/brought", b"as it was brought")
    before = stored(upload)
    assert sweep.erase_uploads() == 0
    later(settings)
    assert sweep.erase_uploads() == 2
    assert stored(upload) == before != []
    assert sweep.erase_uploads() == 0


def test_a_file_that_a_killed_sieve_left_is_removed(people: People) -> None:
    upload = take(people.alice, file(drawing()), "picture")
    path.work_prompts()
    left = files.write_once(files.quarantine(), f"{upload.folder}/left", b"as it was brought")
    Upload.objects.filter(pk=upload.pk).update(raw_key=left)
    assert sweep.forget_raw_uploads() == 1
    assert sweep.forget_raw_uploads() == 0
    assert not files.quarantine().exists(left)


def test_what_is_taken_back_or_erased_meanwhile_is_not_drawn_with(people: People) -> None:
    job = order(people, "image_to_image", picture=drawing())
    path.work_prompts()
    upload = Upload.objects.select_related("case").get()
    withdraw(upload.case, moderator=people.sofia, reason="by mistake", policy_code="weapon")
    path.work()
    job.refresh_from_db()
    assert job.state == "failed"
    assert {medium.failure for medium in job.media.all()} == {"what it starts from is not there any more"}
    assert_nothing_lost()


@pytest.mark.parametrize(
    "change", ["pixels_sha256 = 'x'", "width = 7", "record = '{}'", "sha256 = 'x'", "role = 'map'"]
)
def test_what_was_judged_never_changes(people: People, change: str) -> None:
    take(people.alice, file(drawing()), "picture")
    path.work_prompts()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE moderation_upload SET {change}")


def test_a_sketch_is_white_on_black_whichever_way_it_was_drawn() -> None:
    assert np.array_equal(
        np.asarray(as_sketch(sketch())), np.asarray(as_sketch(Image.eval(sketch(), lambda v: 255 - v)))
    )
    assert np.asarray(as_sketch(sketch())).mean() < 60


def test_a_map_has_the_colours_of_the_palette_only() -> None:
    palette = {"sky": (6, 230, 230), "grass": (4, 250, 7)}
    painted = Image.new("RGB", (32, 32), palette["sky"])
    painted.paste(palette["grass"], (0, 16, 32, 32))
    softened = painted.resize((8, 8), Image.Resampling.LANCZOS).resize((32, 32), Image.Resampling.LANCZOS)
    found = {colour for _, colour in as_map(softened, palette).getcolors() or []}
    assert found == set(palette.values())
