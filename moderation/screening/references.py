"""Describe the face in a reference picture of a protected person. Never imported by the web process."""

import io
import logging
import math

from django.conf import settings
from django.utils import timezone
from PIL import Image

from journal import files
from journal.failpoints import failpoint
from journal.transactions import step
from moderation import sealing
from moderation.actions.registry import forget_file, lock_registry
from moderation.classifiers.armoury import Armoury
from moderation.formats.decoding import BadUpload, decode
from moderation.models import Descriptor, Protected, ReferencePicture, Template
from moderation.registry import ring, seal_of
from moderation.screening.leases import take_oldest
from moderation.signals import Face, FaceFinder

log = logging.getLogger(__name__)

# Of the shorter side of a face, in pixels: what is smaller describes nobody in particular.
LEAST_FACE = 48


class NoFace(Exception):
    """There is not exactly one face that can be described. The message says what to bring instead."""


def describe_one(armoury: Armoury) -> bool:
    """Describe the face of the oldest reference picture that waits. False when there is none.

    1. It is claimed for as long as a decoder may take.
    2. The limited process opens it; of the one face in it a descriptor is made, and sealed.
    3. The answer is written, once, if the entry still protects; then the picture is removed, whatever came of it.
       The sweeper removes what a kill left.
    """
    with step("reference.claim"):
        waiting = ReferencePicture.objects.filter(state=ReferencePicture.State.WAITING)
        reference = take_oldest(waiting, by="brought_at")
        if reference is None:
            return False
    try:
        if reference.attempts >= settings.MOST_ATTEMPTS:
            raise NoFace("It could not be looked at. Bring another picture.")
        if armoury.face_finder is None:
            raise NoFace("This house has no model that describes faces yet, so a picture is of no use.")
        face = _face(_pixels(reference), armoury.face_finder)
        _keep(reference, face, armoury.face_finder)
    except (BadUpload, NoFace) as told:
        _fail(reference, str(told))
    except files.StoreAway:
        raise
    except files.StoreBroken as error:
        log.error("reference picture %s: %s", reference.pk, error)
        _fail(reference, "The file was lost on our side. Bring it again.")
    failpoint("reference.before_forget")
    forget_file(reference)
    return True


def _pixels(reference: ReferencePicture) -> Image.Image:
    made = decode([files.read(files.quarantine(), reference.file_key)], "picture")
    with Image.open(io.BytesIO(made.pixels), formats=("PNG",)) as file:
        return file.convert("RGB")


def _face(picture: Image.Image, finder: FaceFinder) -> Face:
    """The one face in a picture. Raises NoFace."""
    found = finder.faces(picture)
    if not found:
        raise NoFace("No face was found in it. Bring a picture that shows the face from the front, in good light.")
    if len(found) > 1:
        raise NoFace(f"{len(found)} faces were found in it. Cut out the one that is meant.")
    (face,) = found
    left, top, right, bottom = face.box
    if min(right - left, bottom - top) < LEAST_FACE:
        raise NoFace(f"The face is too small. Bring a picture where it is at least {LEAST_FACE} pixels wide and high.")
    if len(face.descriptor) != sealing.NUMBERS or not all(map(math.isfinite, face.descriptor)):
        raise NoFace("The face could not be described. Bring another picture.")
    return face


def _keep(reference: ReferencePicture, face: Face, finder: FaceFinder) -> None:
    with step("reference.keep"):
        lock_registry()
        if not Protected.objects.current().filter(pk=reference.entry_id).exists():
            raise NoFace("The entry was ended before the picture was looked at.")
        template = Template.objects.create(
            entry_id=reference.entry_id,
            finder=finder.name[:80],
            finder_version=finder.version[:80],
            added_by_id=reference.brought_by_id,
        )
        sealed = ring().seal(face.descriptor, seal_of(template.pk, template.entry_id))
        Descriptor.objects.create(template=template, sealed=sealed)
        kept = ReferencePicture.objects.filter(pk=reference.pk, state=ReferencePicture.State.WAITING).update(
            state=ReferencePicture.State.KEPT, template=template, answered_at=timezone.now(), lease_until=None
        )
        if not kept:
            # Another process was given it after our lease: its answer stands, and ours is undone.
            raise NoFace("Another process answered.")


def _fail(reference: ReferencePicture, why: str) -> None:
    with step("reference.fail"):
        ReferencePicture.objects.filter(pk=reference.pk, state=ReferencePicture.State.WAITING).update(
            state=ReferencePicture.State.FAILED, why=why[:300], answered_at=timezone.now(), lease_until=None
        )
