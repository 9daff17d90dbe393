"""The review desk: one case at a time, under a claim, with everything the machine saw beside it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.core.files.storage import Storage
from django.db.models import Count, Min, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from journal import files
from journal.ranges import in_pieces
from moderation import actions
from moderation.actions import samples
from moderation.evidence import bars, is_film, portrait
from moderation.forms import DecisionForm, ReasonForm
from moderation.models import Case, Freeze, Look

View = TypeVar("View", bound=Callable[..., HttpResponse])

CONTENT_TYPES = {"png": "image/png", "mp4": "video/mp4"}
# Skipped cases come back when there is nothing else, or with the next session.
SKIPPED = "desk.skipped"


def for_moderators(view: View) -> View:
    """Whoever may review cases; anyone else is sent to sign in, or refused."""

    @wraps(view)
    @login_required
    @permission_required("moderation.review_case", raise_exception=True)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    return cast(View, guarded)


def _moderator(request: HttpRequest) -> User:
    return cast(User, request.user)


def _case(request: HttpRequest, case_id: int) -> Case:
    """A case that this moderator may see; their own and those beyond their rights are not found."""
    cases = Case.objects.reviewable_by(_moderator(request)).select_related("person", "claimed_by")
    return get_object_or_404(cases.exclude(state=Case.State.PENDING), pk=case_id)


@require_safe
@for_moderators
def desk(request: HttpRequest) -> HttpResponse:
    """What waits, and whose work is frozen."""
    moderator = _moderator(request)
    waiting = (
        Case.objects.reviewable_by(moderator)
        .filter(state=Case.State.IN_REVIEW)
        .aggregate(
            count=Count("pk"),
            severe=Count("pk", filter=Q(severity__gte=Case.SEVERE)),
            oldest=Min("opened_at"),
            soonest=Min("deadline"),
        )
    )
    freezes = (
        Freeze.objects.filter(lifted_at__isnull=True)
        .exclude(person=moderator)
        .select_related("case", "person")
        .order_by("opened_at")
    )
    mine = Case.objects.filter(claimed_by=moderator, claimed_until__gt=timezone.now()).first()
    return render(
        request,
        "moderation/desk.html",
        {
            "waiting": waiting,
            "freezes": freezes[:50],
            "mine": mine,
            "form": ReasonForm(),
            "samples": samples.waiting(moderator).count(),
        },
    )


@require_POST
@for_moderators
def claims(request: HttpRequest) -> HttpResponse:
    """Take the next case."""
    return _next(request)


def _next(request: HttpRequest) -> HttpResponse:
    moderator = _moderator(request)
    skipped = request.session.get(SKIPPED, [])
    case = actions.claim_next(moderator, leaving_out=skipped)
    if case is None and skipped:
        request.session[SKIPPED] = []
        case = actions.claim_next(moderator)
    if case is None:
        messages.info(request, "Nothing waits for a person.")
        return redirect("desk")
    return redirect("desk_case", case_id=case.pk)


@require_safe
@for_moderators
def case(request: HttpRequest, case_id: int) -> HttpResponse:
    """One case, with the form if this moderator has it."""
    found = _case(request, case_id)
    return _page(request, found, DecisionForm())


def _page(request: HttpRequest, case: Case, form: DecisionForm, *, status: int = 200) -> HttpResponse:
    moderator = _moderator(request)
    screening = case.screenings.order_by("-pk").first()
    context = {
        "case": case,
        "form": form,
        "is_mine": case.state == Case.State.IN_REVIEW and case.is_claimed_by(moderator),
        "may_look": _may_look(case, moderator),
        "is_film": is_film(case),
        "screening": screening,
        "bars": bars(screening),
        "portrait": portrait(case),
        "decisions": case.decisions.select_related("actor"),
        "frozen": Freeze.objects.filter(person=case.person, lifted_at__isnull=True).first(),
        "waiting": Case.objects.reviewable_by(moderator).unclaimed().count(),
    }
    return render(request, "moderation/case.html", context, status=status)


def _may_look(case: Case, moderator: User) -> bool:
    """Whoever has the case before them sees its original; a senior moderator always may."""
    return case.is_claimed_by(moderator) or moderator.has_perm("moderation.review_severe")


@require_POST
@for_moderators
def claim(request: HttpRequest, case_id: int) -> HttpResponse:
    """Take this very case."""
    found = _case(request, case_id)
    if not actions.claim(found, _moderator(request)):
        messages.warning(request, "Another moderator has this case, or it was decided.")
    return redirect("desk_case", case_id=case_id)


@require_safe
@for_moderators
def original(request: HttpRequest, case_id: int) -> HttpResponse:
    """The picture in quarantine; of a film the file for release, which a browser plays. Each look is written down
    before a byte leaves; a player that asks for a film piece by piece looks once in ten minutes."""
    found = _case(request, case_id)
    moderator = _moderator(request)
    if found.subject == Case.Subject.PROMPT or not _may_look(found, moderator):
        raise Http404
    return shown(request, found, *_file_to_look_at(found))


def shown(request: HttpRequest, case: Case, store: Storage, key: str, sha256: str) -> HttpResponse:
    """A file of a case, if it is the one that was kept. The look is written down first."""
    content_type = CONTENT_TYPES.get(key.rpartition(".")[2].lower())
    try:
        data = files.read(store, key) if key else b""
    except files.StoreBroken as error:
        raise Http404(str(error)) from error
    if content_type is None or files.digest(data) != sha256:
        raise Http404("There is no file to look at, or it is not the one that was kept.")
    looks = Look.objects.filter(case=case, moderator=_moderator(request))
    if "Range" not in request.headers or not looks.filter(at__gt=timezone.now() - Case.CLAIM).exists():
        looks.create(case=case, moderator=_moderator(request))
    headers = {"Cache-Control": "private, no-store", "Content-Disposition": "inline"}
    return in_pieces(request, data, content_type=content_type, headers=headers)


def _file_to_look_at(case: Case) -> tuple[Storage, str, str]:
    """Where the original lies and what it must be. An original film is kept without loss, which no browser plays."""
    if is_film(case):
        return files.released(), case.derivative_key, case.derivative_sha256
    if case.subject == Case.Subject.UPLOAD:
        return files.quarantine(), case.upload.pixels_key, case.upload.pixels_sha256
    return files.quarantine(), str(case.evidence["original_key"]), str(case.evidence["original_sha256"])


@require_POST
@for_moderators
def decision(request: HttpRequest, case_id: int) -> HttpResponse:
    """Release or refuse, then on to the next."""
    found = _case(request, case_id)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, status=422)
    try:
        decided = actions.decide(
            found,
            moderator=_moderator(request),
            to=form.cleaned_data["decision"],
            reason=form.cleaned_data["reason"],
            policy_code=form.broken_policy,
        )
    except actions.CaseTaken:
        messages.warning(
            request,
            "Your decision was not counted: another moderator decided this case, or your ten minutes were over.",
        )
        return redirect("desk_case", case_id=case_id)
    except actions.CannotRelease as error:
        messages.error(request, f"It was not released: {error.why}. Refuse it, or skip it and tell an operator.")
        return redirect("desk_case", case_id=case_id)
    messages.success(request, f"Case {case_id} is {decided.case.get_state_display()}.")
    return _next(request)


@require_POST
@for_moderators
def skip(request: HttpRequest, case_id: int) -> HttpResponse:
    """Leave it to somebody else."""
    found = _case(request, case_id)
    actions.let_go(found, _moderator(request))
    request.session[SKIPPED] = [*request.session.get(SKIPPED, []), case_id][-200:]
    return _next(request)


@require_POST
@for_moderators
def lift(request: HttpRequest, freeze_id: int) -> HttpResponse:
    """Lift one freeze. Who may not see severe cases may not undo what they did."""
    moderator = _moderator(request)
    if not moderator.has_perm("moderation.review_severe"):
        raise PermissionDenied("A senior moderator lifts a freeze.")
    freeze = get_object_or_404(Freeze.objects.exclude(person=moderator), pk=freeze_id)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The freeze stands: give a reason to lift it.")
    elif actions.lift(freeze, moderator=moderator, reason=form.cleaned_data["reason"]):
        messages.success(request, "The freeze is lifted; their work goes on.")
    else:
        messages.info(request, "This freeze was lifted already.")
    return redirect("desk")
