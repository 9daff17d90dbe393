"""The gallery: what was released, in rows. Everything here starts at the gate's join."""

from itertools import groupby
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import User
from generation.engine import MODES
from generation.models import Job, Medium, MediumQuerySet
from generation.offer import catalogue, sold_modes

PER_PAGE = 60


def _shown(person: User) -> MediumQuerySet:
    """The person's released media, newest job first: the order of the index on their jobs."""
    return (
        Medium.objects.of(person)
        .shown()
        .select_related("job", "case")
        .defer("case__evidence", "case__findings")
        .order_by("-job__created_at", "job_id", "index")
    )


@login_required
@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    """Rows of released pictures; `?before=` goes on after a job."""
    return _page(request, opened=None)


@login_required
@require_safe
def medium(request: HttpRequest, medium_id: UUID) -> HttpResponse:
    """One released picture in the drawer: alone for htmx, else with its gallery."""
    assert isinstance(request.user, User)
    opened = _shown(request.user).filter(pk=medium_id).first()
    if opened is None:
        raise Http404("There is no such picture, or it is not released.")
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "generation/drawer.html", _drawer(request.user, opened))
    return _page(request, opened=opened)


def _page(request: HttpRequest, *, opened: Medium | None) -> HttpResponse:
    assert isinstance(request.user, User)
    found = _shown(request.user)
    before = _before(request)
    if before is not None:
        found = found.filter(
            Q(job__created_at__lt=before.created_at) | Q(job__created_at=before.created_at, job_id__gt=before.pk)
        )
    page = list(found[: PER_PAGE + 1])
    older = None
    if len(page) > PER_PAGE:
        # Whole jobs only, so that the next page can begin after one.
        jobs = [list(media) for _, media in groupby(page, key=lambda each: each.job_id)]
        page = [each for media in (jobs[:-1] or jobs) for each in media]
        older = page[-1].job_id
    context = {"media": page, "older": older, "is_first_page": before is None}
    return render(
        request, "generation/gallery.html", context | (_drawer(request.user, opened) if opened is not None else {})
    )


def _before(request: HttpRequest) -> Job | None:
    """The job after which the page begins; None for the first page."""
    assert isinstance(request.user, User)
    try:
        key = UUID(request.GET.get("before", ""))
    except ValueError:
        return None
    return Job.objects.of(request.user).filter(pk=key).first()


def _drawer(person: User, opened: Medium) -> dict[str, object]:
    """A picture with its facts and its neighbours in the gallery's order."""
    at, job, index = opened.job.created_at, opened.job_id, opened.index
    later = Q(job__created_at__lt=at) | Q(job__created_at=at, job_id__gt=job) | Q(job_id=job, index__gt=index)
    earlier = Q(job__created_at__gt=at) | Q(job__created_at=at, job_id__lt=job) | Q(job_id=job, index__lt=index)
    return {
        "opened": opened,
        "go_on": [MODES[name] for name in sold_modes() if opened.job.noun in MODES[name].needs[:1]],
        "model": catalogue().get(opened.job.model),
        "next": _shown(person).filter(later).first(),
        "previous": _shown(person).filter(earlier).reverse().first(),
    }
