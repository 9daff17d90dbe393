"""Second looks at what was released by itself, and the figures that come of them."""

from typing import cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from journal import files
from journal.ranges import in_pieces
from moderation import actions
from moderation.actions.samples import waiting
from moderation.desk import CONTENT_TYPES, for_moderators
from moderation.evidence import bars, is_film, portrait
from moderation.forms import SecondLookForm
from moderation.models import Case, Look, Sample
from moderation.quality import figures as measured


def _sample(request: HttpRequest, sample_id: int) -> Sample:
    """A sample that waits for this moderator; any other is not found."""
    return get_object_or_404(waiting(cast(User, request.user)).select_related("case"), pk=sample_id)


@require_safe
@for_moderators
def samples(request: HttpRequest) -> HttpResponse:
    """On to the next."""
    found = waiting(cast(User, request.user)).first()
    if found is None:
        messages.info(request, "No sample waits for a second look.")
        return redirect("desk")
    return redirect("desk_sample", sample_id=found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@for_moderators
def sample(request: HttpRequest, sample_id: int) -> HttpResponse:
    """One released picture or film, and what the moderator finds in it."""
    moderator = cast(User, request.user)
    found = _sample(request, sample_id)
    form = SecondLookForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            actions.look_again(
                found, moderator=moderator, policy_code=form.broken_policy, reason=form.cleaned_data["reason"]
            )
        except actions.AlreadyLooked:
            messages.warning(request, "Your look was not counted: another moderator was there before you.")
        return redirect("desk_samples")
    screening = found.case.screenings.order_by("-pk").first()
    context = {
        "sample": found,
        "case": found.case,
        "form": form,
        "is_film": is_film(found.case),
        "bars": bars(screening),
        "portrait": portrait(found.case),
        "waiting": waiting(moderator).count(),
    }
    return render(request, "moderation/sample.html", context, status=422 if form.is_bound else 200)


@require_safe
@for_moderators
def sample_file(request: HttpRequest, sample_id: int) -> HttpResponse:
    """The released file. Each look is written down before a byte leaves, as one at an original is."""
    case = _sample(request, sample_id).case
    content_type = CONTENT_TYPES.get(case.derivative_key.rpartition(".")[2].lower())
    try:
        data = files.read(files.released(), case.derivative_key)
    except files.StoreBroken as error:
        raise Http404(str(error)) from error
    if content_type is None or files.digest(data) != case.derivative_sha256:
        raise Http404("There is no file to look at, or it is not the one that was released.")
    looks = Look.objects.filter(case=case, moderator=cast(User, request.user))
    if "Range" not in request.headers or not looks.filter(at__gt=timezone.now() - Case.CLAIM).exists():
        looks.create(case=case, moderator=cast(User, request.user))
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": "inline"}
    return in_pieces(request, data, content_type=content_type, headers=headers)


@require_safe
@for_moderators
def figures(request: HttpRequest) -> HttpResponse:
    """Precision, recall and review load of each policy over the last weeks."""
    found = measured.figures(timezone.now())
    rows = [(policy, found.columns(policy)) for policy in found.policies]
    return render(request, "moderation/figures.html", {"figures": found, "rows": rows})
