"""The one way for a released file to leave: to its owner, by a signed address, in an answer of the API.

Of an upload the same, to who brought it, once its case is cleared.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from generation.addresses import AddressEnded, medium_key
from generation.models import Medium, MediumQuerySet
from journal import files
from journal.ranges import in_pieces
from moderation.models import Upload


@require_safe
@login_required
def medium(request: HttpRequest, medium_id: UUID) -> HttpResponse:
    """A released picture or film, for its owner. Anything else is not found."""
    return _serve(request, Medium.objects.of(request.user), medium_id)  # type: ignore[arg-type]


@require_safe
def signed_medium(request: HttpRequest, token: str) -> HttpResponse:
    """A released picture or film, for whoever holds an address that has not ended."""
    try:
        key = medium_key(token)
    except AddressEnded as error:
        raise Http404(str(error)) from error
    return _serve(request, Medium.objects.all(), key)


@require_safe
@login_required
def poster(request: HttpRequest, medium_id: UUID) -> HttpResponse:
    """The frame that stands for a released film, for its owner."""
    found = Medium.objects.of(request.user).shown().filter(pk=medium_id).select_related("case").first()  # type: ignore[arg-type]
    if found is None or found.case is None or not found.case.poster_key:
        raise Http404("There is no such film, or it is not released.")
    return _answer(request, read_checked(found.case.poster_key, found.case.poster_sha256), name=f"vaglio-{medium_id}")


@require_safe
@login_required
def upload(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """What a person brought, for them, as it will be drawn with. A film's is the frame that stands for it."""
    brought = Upload.objects.of(request.user).usable().filter(pk=upload_id).select_related("case").first()  # type: ignore[arg-type]
    if brought is None:
        raise Http404("There is no such upload, or it may not be used.")
    case = brought.case
    key, sha256 = (
        (case.poster_key, case.poster_sha256) if case.poster_key else (case.derivative_key, case.derivative_sha256)
    )
    return _answer(request, read_checked(key, sha256), name=f"vaglio-{upload_id}")


@dataclass(frozen=True)
class Released:
    """A file that was cleared, as it was then. `suffix` ends its name."""

    data: bytes
    sha256: str
    suffix: str

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.suffix]


CONTENT_TYPES = {".png": "image/png", ".mp4": "video/mp4"}


def released_file(media: MediumQuerySet, medium_id: UUID) -> Released | None:
    """The derivative of a medium that is shown at this moment; None for any other.

    A file that is missing, or is not the one that was cleared, raises StoreBroken: it must be noticed.
    """
    found = media.shown().filter(pk=medium_id).select_related("case").first()
    if found is None or found.case is None:
        return None
    return read_checked(found.case.derivative_key, found.case.derivative_sha256)


def read_checked(key: str, sha256: str) -> Released:
    """A file of the released store that is what was cleared. Raises StoreBroken."""
    data = files.read(files.released(), key)
    if files.digest(data) != sha256:
        raise files.StoreBroken(f"{key} is not the file that was cleared")
    return Released(data, sha256, PurePosixPath(key).suffix)


def _serve(request: HttpRequest, media: MediumQuerySet, medium_id: UUID) -> HttpResponse:
    found = released_file(media, medium_id)
    if found is None:
        raise Http404("There is no such medium, or it is not released.")
    return _answer(request, found, name=f"vaglio-{medium_id}")


def _answer(request: HttpRequest, found: Released, *, name: str) -> HttpResponse:
    headers = {
        "Content-Disposition": f'inline; filename="{name}{found.suffix}"',
        # It may be withdrawn at any time: a browser asks again, nothing in between keeps it.
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": f'"{found.sha256}"',
    }
    return in_pieces(request, found.data, content_type=found.content_type, headers=headers)
