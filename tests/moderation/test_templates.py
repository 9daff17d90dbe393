"""Reference pictures become sealed templates, and nothing else of them stays."""

import io
import os
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from PIL import Image, ImageOps

from journal import files
from moderation import registry, sealing, sweep
from moderation.actions import registry as keeping
from moderation.actions.registry import EntryOver, PictureRefused
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.faces import Faces
from moderation.classifiers.fake import FakeFaceFinder
from moderation.models import Descriptor, Protected, ReferencePicture, Template
from moderation.registry import RegistryUnreadable, templates
from moderation.rules import policies
from moderation.screening.references import describe_one
from tests.moderation.conftest import Moderators, at_once
from tests.moderation.registered import end, in_days, portrait, protect
from tests.moderation.sieves import armed
from tests.uploads.files import drawing, huge_header, saved


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    registry._faces = None
    yield
    registry._faces = None


def command(*words: str) -> str:
    said = io.StringIO()
    call_command(*words, stdout=said)
    return said.getvalue()


def bring(entry: Protected, keeper: Any, data: bytes) -> ReferencePicture:
    return keeping.bring(entry, ContentFile(data), keeper=keeper)


def described(entry: Protected, keeper: Any, data: bytes) -> ReferencePicture:
    """A picture that was brought, after the screening process was woken. Nothing of it may be left."""
    reference = bring(entry, keeper, data)
    key = reference.file_key
    assert files.quarantine().exists(key)
    sieve = armed()
    while describe_one(sieve):
        pass
    reference.refresh_from_db()
    assert (reference.file_key, files.quarantine().exists(key)) == ("", False)
    return reference


def test_one_face_becomes_a_sealed_template(people: Moderators) -> None:
    entry = protect(people.sofia)
    reference = described(entry, people.sofia, portrait((10, 20)))
    assert reference.state == "kept"
    assert reference.template is not None
    template = reference.template
    assert (template.finder, template.finder_version, template.added_by) == ("fake-faces", "1", people.sofia)
    (face,) = templates()
    assert (face.entry_id, face.finder, face.version) == (entry.pk, "fake-faces", "1")
    assert face.descriptor == pytest.approx([20 / 255, 10 / 255] * 64)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (saved(drawing(), "PNG"), "No face was found"),
        (portrait((10, 20), (30, 40)), "2 faces were found"),
        (portrait((10, 20), side=32), "too small"),
        (b"no picture at all", "no picture that can be read"),
        (saved(drawing(), "PNG")[:-40], "damaged"),
        (huge_header(), "pixels"),
    ],
    ids=["none", "several", "small", "text", "damaged", "huge"],
)
def test_what_describes_nobody_is_told_in_a_sentence_and_leaves_nothing(
    people: Moderators, data: bytes, why: str
) -> None:
    reference = described(protect(people.sofia), people.sofia, data)
    assert reference.state == "failed"
    assert why in reference.why
    assert not Template.objects.exists()
    assert templates() == ()


def test_a_template_cannot_be_read_in_the_database(people: Moderators) -> None:
    """Neither as numbers nor as bytes, in any table, the audit's lines included."""
    described(protect(people.sofia), people.sofia, portrait((10, 20)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        dumped = ""
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT coalesce(string_agg(to_jsonb(one)::text, ' '), '') FROM {table} one")
            dumped += cursor.fetchone()[0]
    sealed = bytes(Descriptor.objects.get().sealed)
    assert sealed.hex() in dumped
    for pair in (struct.pack("<2f", 20 / 255, 10 / 255), struct.pack("<2d", 20 / 255, 10 / 255)):
        assert pair.hex() not in dumped
        assert pair not in sealed
    assert "0.0784" not in dumped
    # The audit holds no copy that would outlast the erasure.
    assert dumped.count(sealed.hex()) == 1


def test_the_end_of_an_entry_erases_its_faces_at_once(people: Moderators) -> None:
    entry, other = protect(people.sofia), protect(people.sofia, "Anna Bianchi")
    for one in (entry, other):
        described(one, people.sofia, portrait((10, 20)))
    assert len(templates()) == 2
    end(entry, people.sofia)
    assert [face.entry_id for face in templates()] == [other.pk]
    gone = Descriptor.objects.get(template__entry=entry)
    assert bytes(gone.sealed) == b""
    assert gone.erased_at is not None
    with pytest.raises(DatabaseError), transaction.atomic():
        Descriptor.objects.filter(pk=gone.pk).update(sealed=b"again", erased_at=None)


def test_the_sweeper_erases_what_expired(fresh_people: Moderators, as_owner: Any) -> None:
    entry = protect(fresh_people.sofia, expires_at=in_days(1))
    described(entry, fresh_people.sofia, portrait((10, 20)))
    assert keeping.erase_expired() == 0
    as_owner.execute(
        "ALTER TABLE moderation_protected DISABLE TRIGGER USER; UPDATE moderation_protected SET expires_at = now();"
        "UPDATE moderation_registrystate SET mark = gen_random_uuid()"
    )
    assert templates() == ()
    assert keeping.erase_expired() == 1
    assert bytes(Descriptor.objects.get().sealed) == b""


def test_a_picture_for_an_entry_that_is_over_is_not_taken(people: Moderators) -> None:
    entry = protect(people.sofia)
    waiting = bring(entry, people.sofia, portrait((10, 20)))
    end(entry, people.sofia)
    with pytest.raises(EntryOver):
        bring(entry, people.sofia, portrait((10, 20)))
    assert describe_one(armed())
    waiting.refresh_from_db()
    assert (waiting.state, waiting.file_key) == ("failed", "")
    assert "ended before" in waiting.why
    assert not Template.objects.exists()


def test_what_is_no_picture_of_a_person_is_not_taken(people: Moderators) -> None:
    style = protect(people.sofia, "Ottavio Brunzelli", kind="style")
    person = protect(people.sofia)
    for entry, data, why in (
        (style, portrait((1, 2)), "no face"), (person, b"", "empty"), (person, b"x" * 20_000_001, "larger")
    ):  # fmt: skip
        with pytest.raises(PictureRefused, match=why):
            bring(entry, people.sofia, data)
    for _ in range(keeping.MOST_PICTURES):
        bring(person, people.sofia, b"x")
    with pytest.raises(PictureRefused, match="10 pictures"):
        bring(person, people.sofia, b"x")
    for who in (people.alice, people.bob):
        with pytest.raises(PermissionDenied):
            bring(person, who, portrait((1, 2)))
    assert ReferencePicture.objects.count() == keeping.MOST_PICTURES


class Killed(FakeFaceFinder):
    """As if the process was killed where it looks for faces."""

    def faces(self, picture: Any) -> Any:
        raise KeyboardInterrupt


def test_a_picture_that_kills_its_process_is_given_up_and_removed(people: Moderators) -> None:
    reference = bring(protect(people.sofia), people.sofia, portrait((10, 20)))
    sieve = armed()
    sieve.face_finder = Killed()
    for attempt in range(3):
        with pytest.raises(KeyboardInterrupt):
            describe_one(sieve)
        assert not describe_one(sieve), "it is under a lease"
        ReferencePicture.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert ReferencePicture.objects.get().attempts == attempt + 1
    assert sweep.wake_if_waiting()
    assert describe_one(sieve)
    key = reference.file_key
    reference.refresh_from_db()
    assert (reference.state, reference.file_key) == ("failed", "")
    assert not files.quarantine().exists(key)


def test_a_house_without_a_face_finder_says_so_and_keeps_nothing(people: Moderators) -> None:
    reference = bring(protect(people.sofia), people.sofia, portrait((10, 20)))
    sieve = armed()
    sieve.face_finder = None
    assert describe_one(sieve)
    key = reference.file_key
    reference.refresh_from_db()
    assert "no model that describes faces" in reference.why
    assert not files.quarantine().exists(key)


def test_the_sweeper_removes_what_a_kill_left_and_nothing_that_waits(people: Moderators) -> None:
    entry = protect(people.sofia)
    waiting = bring(entry, people.sofia, b"a")
    answered = bring(entry, people.sofia, b"b")
    ReferencePicture.objects.filter(pk=answered.pk).update(state="failed", why="x", answered_at=timezone.now())
    store = files.quarantine()
    files.write_once(store, "references/2026-01-01T10/unnamed", b"c")
    now = files.write_once(store, f"references/{timezone.now():%Y-%m-%dT%H}/on-its-way", b"d")
    assert keeping.forget_references() == 1
    assert not store.exists(answered.file_key)
    assert keeping.forget_unnamed_references() == 1
    assert not store.exists("references/2026-01-01T10")
    assert store.exists(waiting.file_key)
    assert store.exists(now)
    files.remove_folder(store, "references")


def test_keys_are_turned_over_by_several(people: Moderators, settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.REGISTRY_KEYS = [old]
    described(protect(people.sofia), people.sofia, portrait((10, 20)))
    settings.REGISTRY_KEYS = [new, old]
    assert len(templates()) == 1
    registry._faces = None
    settings.REGISTRY_KEYS = [new]
    with pytest.raises(RegistryUnreadable, match="does not open"):
        templates()


def test_every_face_is_sealed_anew_or_none(people: Moderators, settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.REGISTRY_KEYS = [old]
    entry = protect(people.sofia)
    for face in ((10, 20), (30, 40)):
        described(entry, people.sofia, portrait(face))
    before = {one.descriptor for one in templates()}
    settings.REGISTRY_KEYS = [new, old]
    assert "2 faces are sealed" in command("registry", "rekey")
    settings.REGISTRY_KEYS = [new]
    assert {one.descriptor for one in templates()} == before
    assert "2 faces open" in command("registry", "check")
    assert entry.name not in command("registry", "check")

    sealed = list(Descriptor.objects.order_by("pk").values_list("sealed", flat=True))
    Descriptor.objects.filter(pk=Descriptor.objects.order_by("-pk")[0].pk).update(sealed=b"changed")
    settings.REGISTRY_KEYS = [old, new]
    with pytest.raises(CommandError, match="Nothing was sealed anew"):
        command("registry", "rekey")
    assert Descriptor.objects.order_by("pk")[0].sealed == sealed[0]
    with pytest.raises(CommandError, match="1 of them do not open"):
        command("registry", "check")


def test_a_sealed_face_opens_in_its_own_row_only(people: Moderators) -> None:
    one, other = (protect(people.sofia, name) for name in ("Maria Rossi", "Anna Bianchi"))
    for entry, face in ((one, (10, 20)), (other, (30, 40))):
        described(entry, people.sofia, portrait(face))
    stolen = Descriptor.objects.get(template__entry=other).sealed
    Descriptor.objects.filter(template__entry=one).update(sealed=stolen)
    with pytest.raises(RegistryUnreadable, match="another row"):
        templates()


def test_faces_are_opened_once_until_something_changes(people: Moderators, django_assert_num_queries: Any) -> None:
    described(protect(people.sofia), people.sofia, portrait((10, 20)))
    known = templates()
    with django_assert_num_queries(1):
        assert templates() is known


def test_the_house_makes_one_key_that_only_it_may_read(tmp_path: Path) -> None:
    made = at_once(8, lambda _: sealing.of_the_house(tmp_path / "registry"))
    assert len(set(made)) == 1
    assert os.stat(tmp_path / "registry" / sealing.KEY).st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "registry") == [sealing.KEY]


@pytest.mark.parametrize("key", ["short", "ü" * 44, "x" * 44])
def test_what_is_no_key_is_named_before_the_first_picture(settings: Any, key: str) -> None:
    settings.REGISTRY_KEYS = [Fernet.generate_key().decode(), key]
    with pytest.raises(sealing.SealingKeysUnusable, match="REGISTRY_KEYS"):
        registry.ring()


def test_only_descriptors_of_their_length_are_sealed() -> None:
    ring = sealing.Ring([Fernet.generate_key()])
    with pytest.raises(ValueError, match="128 numbers"):
        ring.seal([0.0] * 127, sealing.Belongs(1, 2))


def test_the_real_finder_knows_a_registered_face_again(people: Moderators) -> None:
    """From the picture that was brought, through the seal, to a face in another picture; no longer once it ended."""
    faces = Faces(settings.WEIGHTS / "face-descriptor", registry.descriptors)
    faces.load()
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    other = ImageOps.mirror(Image.open(hopper).convert("RGB").resize((256, 300)))

    def likeness() -> float:
        (signals,) = faces.screen([other])
        return next(one.score for one in signals if one.name == "protected")

    assert likeness() == 0.0
    entry = protect(people.sofia)
    reference = bring(entry, people.sofia, hopper.read_bytes())
    while describe_one(Armoury([], policies(), (), faces)):
        pass
    reference.refresh_from_db()
    assert reference.state == "kept", reference.why
    assert likeness() > 0.9
    end(entry, people.sofia)
    assert likeness() == 0.0
