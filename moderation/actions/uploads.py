"""Take what people bring: into quarantine, and before the sieve."""

from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.core.files.base import File
from django.utils import timezone

from accounts.models import User
from journal import files
from journal.failpoints import failpoint
from journal.transactions import step
from moderation.actions.cases import open_case
from moderation.formats import limits
from moderation.models import Case, Upload


class UploadRefused(Exception):
    """What was brought is not taken, and nothing of it was kept. The message says why, for the person."""


class TooManyUploads(Exception):
    """The person brought more within an hour than is looked at."""

    def __init__(self, most: int) -> None:
        super().__init__(f"You brought {most} files within an hour, as many as are looked at. Wait a while.")


def take(person: User, file: "File[bytes]", role: str, *, people_agreed: bool = False) -> Upload:
    """Keep a file in quarantine, open its case and wake the sieve. Nothing of it is decoded here.

    `people_agreed`: the person says that whoever can be recognised in it agreed to be in pictures like this; kept with
    the case, for good. The same file in the same role, said the same of, while it is kept and not refused, is the same
    upload. Raises UploadRefused for a
    file that is empty or too large, TooManyUploads.
    """
    kind = "film" if Upload.Role(role) == Upload.Role.FILM else "picture"
    most = limits.MOST_BYTES[kind]
    if not file.size:
        raise UploadRefused("The file is empty.")
    if file.size > most:
        raise UploadRefused(f"The file is larger than {most // 1_000_000} MB. Bring a smaller one.")
    digest = sha256()
    for piece in file.chunks():
        digest.update(piece)
    if (known := _same(person, digest.hexdigest(), role, people_agreed)) is not None:
        return known
    _allow(person)
    upload = Upload(person=person, role=role, sha256=digest.hexdigest(), bytes=file.size)
    failpoint("upload.before_write")
    upload.raw_key = files.write_once(files.quarantine(), f"{upload.folder}/brought", file)
    try:
        with step("moderation.take"):
            evidence = {
                "original_sha256": upload.sha256,
                "bytes": upload.bytes,
                "role": role,
                "attested": people_agreed,
            }
            upload.case = open_case(subject="upload", key=upload.pk, person=person, evidence=evidence)
            upload.save(force_insert=True)
    except BaseException:
        files.remove(files.quarantine(), upload.raw_key)
        raise
    return upload


def forget_raw(upload: Upload) -> None:
    """Remove the file as it was brought: only its pixels count from now on."""
    files.remove(files.quarantine(), upload.raw_key)
    Upload.objects.filter(pk=upload.pk).update(raw_key="")
    upload.raw_key = ""


def erase(upload: Upload) -> None:
    """Remove every file of an upload, and write down that its term is over. Its row and its decisions stay.

    Also what no row names: a process that lost its lease, or was killed, left it.
    """
    for store in (files.quarantine(), files.released()):
        files.remove_folder(store, upload.folder)
    with step("moderation.erase"):
        Upload.objects.filter(pk=upload.pk, erased_at__isnull=True).update(
            raw_key="", pixels_key="", alpha_key="", erased_at=timezone.now()
        )


def _same(person: User, digest: str, role: str, people_agreed: bool) -> Upload | None:
    found = Upload.objects.of(person).filter(sha256=digest, role=role, erased_at__isnull=True).select_related("case")
    usable = found.exclude(case__state__in=[Case.State.REFUSED, Case.State.WITHDRAWN])
    if people_agreed:
        usable = usable.filter(case__evidence__attested=True)
    return usable.order_by("-created_at").first()


def _allow(person: User) -> None:
    most = settings.MOST_UPLOADS_AN_HOUR
    hour = Upload.objects.of(person).filter(created_at__gt=timezone.now() - timedelta(hours=1))
    if hour[:most].count() >= most:
        raise TooManyUploads(most)
