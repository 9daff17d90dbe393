"""Second looks at what was released by itself, and the figures that come of them."""

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from journal import files
from moderation import actions
from moderation.actions.samples import waiting
from moderation.desk import for_moderators, shown
from moderation.evidence import bars, is_film, portrait
from moderation.forms import SecondLookForm
from moderation.models import Sample
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
    """The released file, shown as an original is: each look is written down."""
    case = _sample(request, sample_id).case
    return shown(request, case, files.released(), case.derivative_key, case.derivative_sha256)


@require_safe
@for_moderators
def figures(request: HttpRequest) -> HttpResponse:
    """Precision, recall and review load of each policy over the last weeks."""
    found = measured.figures(timezone.now())
    rows = [(policy, found.columns(policy)) for policy in found.policies]
    return render(request, "moderation/figures.html", {"figures": found, "rows": rows})
