"""The one way for a released file to leave: to its owner, by a signed address, in an answer of the API."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from generation.addresses import AddressEnded, medium_key
from generation.models import Medium, MediumQuerySet
from journal import files


@require_safe
@login_required
def medium(request: HttpRequest, medium_id: UUID) -> HttpResponse:
    """A released picture, for its owner. Anything else is not found."""
    return _serve(Medium.objects.of(request.user), medium_id)  # type: ignore[arg-type]


@require_safe
def signed_medium(request: HttpRequest, token: str) -> HttpResponse:
    """A released picture, for whoever holds an address that has not ended."""
    try:
        key = medium_key(token)
    except AddressEnded as error:
        raise Http404(str(error)) from error
    return _serve(Medium.objects.all(), key)


def released_file(media: MediumQuerySet, medium_id: UUID) -> tuple[bytes, str] | None:
    """The derivative of a medium that is shown at this moment, and its sha256; None for any other.

    A file that is missing, or is not the one that was cleared, raises StoreBroken: it must be noticed.
    """
    found = media.shown().filter(pk=medium_id).select_related("case").first()
    if found is None or found.case is None:
        return None
    data = files.read(files.released(), found.case.derivative_key)
    if files.digest(data) != found.case.derivative_sha256:
        raise files.StoreBroken(f"{found.case.derivative_key} is not the file that was cleared for medium {found.pk}")
    return data, found.case.derivative_sha256


def _serve(media: MediumQuerySet, medium_id: UUID) -> HttpResponse:
    found = released_file(media, medium_id)
    if found is None:
        raise Http404("There is no such picture, or it is not released.")
    data, sha256 = found
    answer = HttpResponse(data, content_type="image/png")
    answer["Content-Disposition"] = f'inline; filename="vaglio-{medium_id}.png"'
    # It may be withdrawn at any time: a browser asks again, nothing in between keeps it.
    answer["Cache-Control"] = "private, no-cache"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["ETag"] = f'"{sha256}"'
    return answer
