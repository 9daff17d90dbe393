"""A picture that a list names is not let in or out, however it was changed; what was refused here asks a person."""

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from PIL import Image, ImageEnhance, ImageOps

from journal.models import Line
from journal.transactions import step
from moderation import audit
from moderation.actions import claim_next, decide
from moderation.actions.uploads import take
from moderation.models import BlockedPicture, Case, Decision, Freeze, ListChange
from moderation.policy import KNOWN
from moderation.provenance.hashes import NEAR
from moderation.provenance.pdq import pdq, turned, turned_digits
from moderation.statements import statement_of
from tests.moderation.conftest import Moderators, Recorder, open_medium, picture, png
from tests.moderation.sieves import marked
from tests.moderation.test_screening import last, screened

# Drawings of the house, soft and noisy, in squares of 64 pixels: Fluent Emoji (MIT), Noto Emoji (Apache-2.0), our own.
SCENES = Path(__file__).with_name("known.jpg")


def scene(place: int = 0, size: tuple[int, int] = (256, 256)) -> Image.Image:
    """A picture with enough in it, another for each place from 0 to 5."""
    with Image.open(SCENES) as file:
        left, top = 160 * (place % 3), 160 * (place // 3)
        return file.convert("RGB").crop((left, top, left + 160, top + 160)).resize(size, Image.Resampling.LANCZOS)


def ordered(*words: str, **options: Any) -> str:
    told = io.StringIO()
    call_command("blocklist", *words, stdout=told, **options)
    return told.getvalue()


def listed(tmp_path: Path, *pictures: Image.Image, source: str = "exchange", policy: str = "weapon") -> str:
    file = tmp_path / f"{source}.txt"
    file.write_text("\n".join(pdq(one).digits for one in pictures) + "\n")
    return ordered("import", str(file), "--source", source, "--policy", policy)


def medium(person: Any, image: Image.Image) -> Case:
    sides = {"width": image.width, "height": image.height, "release_width": image.width, "release_height": image.height}
    return open_medium(person, png(image), **sides)


def jpeg(image: Image.Image, quality: int = 60) -> Image.Image:
    written = io.BytesIO()
    image.save(written, format="JPEG", quality=quality)
    with Image.open(written) as file:
        return file.convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "mirrored, smaller and as a JPEG": lambda image: jpeg(ImageOps.mirror(image).resize((160, 160))),
    "upside down": ImageOps.flip,
    "turned by a quarter and larger": lambda image: image.rotate(90, expand=True).resize((400, 400)),
    "turned the other way and mirrored": lambda image: ImageOps.mirror(image.rotate(270, expand=True)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "badly compressed": lambda image: jpeg(image, 15),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_blocked_picture_is_refused_however_it_was_changed(
    people: Moderators, outcome: Recorder, tmp_path: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    listed(tmp_path, scene())
    case = screened(medium(people.alice, change(scene())))
    assert case.state == "refused"
    assert last(case).policy_code == "known.picture"


def test_another_picture_is_cleared_and_both_signals_are_kept(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    listed(tmp_path, *(scene(place) for place in range(5)))
    case = screened(medium(people.alice, scene(5)))
    assert case.state == "cleared"
    signals = case.screenings.get().signals.filter(model=KNOWN)
    assert sorted(signals.values_list("name", "score", "version", "policy_code")) == [
        ("known", 0.0, "pdq-1.", "known.picture"),
        ("refused_here", 0.0, "pdq-1.", "known.picture"),
    ]


def test_a_picture_made_so_pale_that_it_cannot_be_told_is_held(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    listed(tmp_path, scene())
    pale = ImageEnhance.Contrast(scene()).enhance(0.25)
    assert pdq(pale).quality < 50
    case = screened(medium(people.alice, pale))
    assert case.state == "in_review"
    assert case.policy_codes == ["known.picture"]


def test_an_upload_is_looked_up_like_a_medium(people: Moderators, outcome: Recorder, tmp_path: Path) -> None:
    listed(tmp_path, scene())
    good = take(people.alice, ContentFile(png(scene(3))), "picture")
    bad = take(people.alice, ContentFile(png(ImageOps.mirror(scene()))), "picture")
    assert screened(bad.case).state == "refused"
    good.case.refresh_from_db()
    assert good.case.state == "cleared"


def test_the_moderator_reads_which_list_and_the_subscriber_does_not(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    listed(tmp_path, scene(), source="the exchange", policy="blood")
    case = screened(medium(people.alice, scene()))
    assert "of the list “the exchange” under blood: 0 of 256 bits differ" in case.findings[0]["sentence"]
    statement = statement_of(case)
    assert statement is not None
    told = f"{statement} {last(case).reason}"
    assert "blood" not in told
    assert "exchange" not in told
    assert statement.policy_code == "known.picture"


def test_a_picture_that_a_list_names_under_a_severe_policy_freezes(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    listed(tmp_path, scene(), policy="sexual.minors")
    case = screened(medium(people.alice, scene()))
    assert (case.state, case.severity) == ("refused", Case.SEVERE)
    assert Freeze.objects.get().case == case


def test_where_the_tables_cannot_be_asked_nothing_is_cleared(
    fresh_people: Moderators, outcome: Recorder, as_owner: Any
) -> None:
    prompt_like = medium(fresh_people.alice, scene())
    as_owner.execute("ALTER TABLE moderation_blockedword RENAME TO gone")
    assert screened(prompt_like).state == "pending"
    assert prompt_like.attempts == 0, "a fault of the machinery counts against nobody"
    assert not prompt_like.screenings.exists()
    as_owner.execute("ALTER TABLE gone RENAME TO moderation_blockedword")
    Case.objects.update(retry_at=None)
    assert screened(prompt_like).state == "cleared"


def test_without_its_signals_nothing_is_cleared(
    people: Moderators, outcome: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sieve as it would be, had somebody forgotten to ask the tables."""
    monkeypatch.setattr("moderation.known.signals_of", lambda views: [[] for _ in views])
    case = screened(medium(people.alice, scene()))
    assert (case.state, last(case).verdict) == ("in_review", "unscreened")


def test_a_retired_hash_blocks_nothing_and_stays_to_be_read(
    people: Moderators, outcome: Recorder, tmp_path: Path
) -> None:
    listed(tmp_path, scene(), scene(1))
    digits = pdq(scene()).digits
    assert "1 retired." in ordered("retire", "--hash", digits.upper(), "--reason", "a kitchen knife")
    assert screened(medium(people.alice, scene())).state == "cleared"
    assert screened(medium(people.alice, scene(1))).state == "refused"
    gone = BlockedPicture.objects.get(digits=digits)
    assert (gone.retired_reason, bool(gone.retired_by)) == ("a kitchen knife", True)
    assert "1 had been retired and stay so" in listed(tmp_path, scene(), scene(1))
    assert screened(medium(people.alice, scene())).state == "cleared"
    file = tmp_path / "exchange.txt"
    assert "1 added" in ordered("import", str(file), "--source", "exchange", "--policy", "weapon", "--again")
    assert screened(medium(people.alice, scene())).state == "refused"
    assert list(audit.lists()) == []


def test_an_import_run_again_adds_nothing(db: None, tmp_path: Path) -> None:
    assert "2 added" in listed(tmp_path, scene(), scene(1))
    assert "0 added to “exchange”, 2 were there already." in listed(tmp_path, scene(), scene(1))
    assert "1 added to “exchange”, 1 were there already." in listed(tmp_path, scene(1), scene(2))
    assert BlockedPicture.objects.count() == 3
    assert ListChange.objects.count() == Line.objects.filter(source="moderation_listchange").count() == 2
    told = ordered("list")
    assert "exchange" in told
    assert "3 stand" in told
    assert pdq(scene(2)).digits in ordered("list", "--source", "exchange")


BAD = {
    "of no hash": ("not-a-hash", "Line 3: 'not-a-hash' is no PDQ hash"),
    "of too few digits": ("ab" * 31, "is no PDQ hash: it has 64 hexadecimal digits."),
    "of low quality": ("5a" * 32 + ",49,x", "Line 3: its quality is 49; below 50 a picture cannot be told from others"),
    "of a quality beyond all": ("5a" * 32 + ",101", "a quality is from 0 to 100, not 101."),
    "of a picture with nothing in it": ("0" * 64, "Line 3: it is the hash of a picture with nothing in it"),
}


@pytest.mark.parametrize(("line", "told"), BAD.values(), ids=BAD.keys())
def test_nothing_of_a_file_with_a_bad_line_is_imported(db: None, tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"hash,quality,name\n{pdq(scene()).digits},80,first\n{line}\n")
    with pytest.raises(CommandError, match="Nothing was imported") as caught:
        ordered("import", str(file), "--source", "exchange", "--policy", "weapon")
    assert told in str(caught.value)
    assert not BlockedPicture.objects.exists()
    assert not ListChange.objects.exists()


def test_an_import_that_dies_half_way_leaves_nothing(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second batch meets a row that another wrote meanwhile."""
    monkeypatch.setattr("moderation.actions.known.AT_ONCE", 2)
    real = BlockedPicture.objects.bulk_create

    def first_batch_alone(rows: Any, **options: Any) -> Any:
        real(list(rows)[:2])
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(type(BlockedPicture.objects), "bulk_create", lambda self, *a, **k: first_batch_alone(*a, **k))
    with pytest.raises(DatabaseError):
        listed(tmp_path, *(scene(place) for place in range(4)))
    assert not BlockedPicture.objects.exists()
    assert not ListChange.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM moderation_blockedword")
        assert cursor.fetchone() == (0,)


def test_a_csv_keeps_what_the_list_says(db: None, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    one, two = pdq(scene()).digits, pdq(scene(1)).digits
    file.write_text(f"\ufeffPDQ,quality,name\n\n# last week's\n{one.upper()},90,case 7,photo\n{two},no number\n{two}\n")
    ordered("import", str(file), "--source", "exchange", "--policy", "weapon")
    assert dict(BlockedPicture.objects.values_list("digits", "reference")) == {one: "case 7, photo", two: "no number"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", "nowhere.txt", "--source", "x", "--policy", "weapon"), "cannot be read"),
        (("import", "nowhere.txt", "--source", "x", "--policy", "no.such"), "There is no policy 'no.such'; there are"),
        (("import", "nowhere.txt", "--source", "refused here", "--policy", "weapon"), "--source is the name"),
        (("retire", "--reason", "a mistake"), "Say what to retire"),
        (("retire", "--hash", "12", "--reason", "a mistake"), "64 hexadecimal digits"),
        (("retire", "--source", "x", "--reason", " "), "--reason says why"),
    ],
)
def test_an_order_that_says_too_little_changes_nothing(db: None, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        ordered(*words)


def test_a_list_does_not_name_a_picture_under_two_policies(db: None, tmp_path: Path) -> None:
    listed(tmp_path, scene())
    with pytest.raises(CommandError, match="under weapon already"):
        listed(tmp_path, scene(), policy="blood")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM moderation_blockedpicture",
        "UPDATE moderation_blockedpicture SET digits = repeat('0', 64)",
        "UPDATE moderation_blockedpicture SET policy_code = 'blood'",
        "UPDATE moderation_blockedpicture SET retired_at = now()",
        "UPDATE moderation_listchange SET hashes = 7",
    ],
)
def test_what_was_listed_is_written_once(db: None, tmp_path: Path, change: str) -> None:
    listed(tmp_path, scene())
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_what_is_retired_stays_so(db: None, tmp_path: Path) -> None:
    listed(tmp_path, scene())
    ordered("retire", "--source", "exchange", "--reason", "the programme ended")
    with pytest.raises(DatabaseError), transaction.atomic():
        BlockedPicture.objects.update(retired_at=None, retired_by="", retired_reason="")


def test_audit_finds_a_hash_that_is_gone_and_an_index_that_overlooks(
    fresh_database: str, tmp_path: Path, as_owner: Any
) -> None:
    listed(tmp_path, scene(), scene(1))
    assert list(audit.lists()) == []
    as_owner.execute("DELETE FROM moderation_blockedword WHERE ctid = (SELECT min(ctid) FROM moderation_blockedword)")
    assert [one.place for one in audit.lists()] == ["moderation_blockedword"]
    as_owner.execute("ALTER TABLE moderation_blockedpicture DISABLE TRIGGER USER")
    as_owner.execute("DELETE FROM moderation_blockedpicture WHERE id = (SELECT min(id) FROM moderation_blockedpicture)")
    assert any("edited, added or removed" in one.what for one in audit.lists())


def refused(people: Moderators, image: Image.Image, policy: str = "weapon") -> Case:
    """A medium that Bob refused."""
    case = screened(medium(people.alice, marked(image, "review")))
    assert claim_next(people.bob) == case
    decide(case, moderator=people.bob, to="refused", reason="a rifle", policy_code=policy)
    return case


def test_what_a_person_refused_is_held_when_it_comes_again_and_not_refused(
    people: Moderators, outcome: Recorder
) -> None:
    case = refused(people, scene())
    kept = BlockedPicture.objects.get()
    assert (kept.source, kept.policy_code, kept.case) == ("refused here", "weapon", case)
    again = screened(medium(people.carol, jpeg(ImageOps.mirror(scene()))))
    assert again.state == "in_review"
    assert f"near case {case.pk}, refused under weapon" in again.findings[0]["sentence"]
    brought = take(people.carol, ContentFile(png(scene())), "picture")
    assert screened(brought.case).state == "in_review"
    assert screened(medium(people.carol, scene(1))).state == "cleared"


def test_a_severe_block_is_remembered_and_a_mild_one_is_not(people: Moderators, outcome: Recorder) -> None:
    screened(medium(people.alice, marked(scene(1), "block")))
    assert not BlockedPicture.objects.exists()
    severe = screened(medium(people.alice, marked(scene(), "severe")))
    assert BlockedPicture.objects.get().case == severe
    assert screened(medium(people.carol, scene())).state == "in_review"


def test_an_overturned_refusal_asks_no_more(people: Moderators, outcome: Recorder) -> None:
    case = refused(people, scene())
    with step("tests.appeal"):
        Case.objects.filter(pk=case.pk).update(state="in_review", deadline=timezone.now() + timedelta(days=1))
        Decision.objects.create(
            case=case, from_state="refused", to_state="in_review", actor_kind="appeal", actor=people.alice,
            reason="it is a broom",
        )  # fmt: skip
    assert screened(medium(people.carol, scene())).state == "in_review", "an appeal alone overturns nothing"
    assert claim_next(people.bea, leaving_out=[Case.objects.latest("pk").pk]) == case
    decide(case, moderator=people.bea, to="cleared", reason="it is a broom", policy_code="")
    gone = BlockedPicture.objects.get()
    assert gone.retired_at is not None
    assert gone.retired_by == f"decision {last(case).pk}"
    assert screened(medium(people.carol, scene())).state == "cleared"


def test_what_fails_at_the_refusal_is_not_remembered(people: Moderators, outcome: Recorder) -> None:
    outcome.fails_at = "refused"
    with pytest.raises(RuntimeError):
        refused(people, scene())
    assert not BlockedPicture.objects.exists()


@pytest.mark.parametrize("policy", ["", "weapon"])
def test_neither_what_names_no_policy_nor_what_shows_little_is_remembered(
    people: Moderators, outcome: Recorder, policy: str
) -> None:
    little = ImageEnhance.Contrast(scene()).enhance(0.25)
    refused(people, little if policy else scene(), policy)
    assert not BlockedPicture.objects.exists()


def test_from_a_hash_alone_its_mirrored_ways_are_nearly_told() -> None:
    for place in range(6):
        real = turned(scene(place, (160, 160)))
        derived = turned_digits(real[0].digits)
        off = [(int(one, 16) ^ int(other.digits, 16)).bit_count() for one, other in zip(derived, real, strict=True)]
        assert off[:2] == [0, 0]
        assert sum(off) / 8 < NEAR


def test_pictures_are_hashed_once(people: Moderators, outcome: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file for release has the pixels that were looked up: its hash is the one that is known."""
    taken: list[Any] = []
    monkeypatch.setattr("moderation.derivative.pdq", lambda image: taken.append(image) or pdq(image))
    case = screened(medium(people.alice, picture(3, (96, 96))))
    assert case.derivative_traces[0][1] == pdq(picture(3, (96, 96))).digits
    assert taken == []
