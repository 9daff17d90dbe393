"""The studio: ask for pictures, watch them come, read why one did not."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from billing import ledger
from generation.actions import jobs as verbs
from generation.actions.inputs import agreed, bring
from generation.easel import goes_in
from generation.engine import MODES, Mode, ModeCard
from generation.models import Job, Medium
from generation.offer import (
    INPUTS,
    LARGEST_SEED,
    LONGEST_PROMPT,
    TEXT_TO_IMAGE,
    BadOrder,
    cards,
    catalogue,
    check,
    default_card,
    price_of,
    sold_modes,
    unit_price,
)
from generation.sight import Sight, sights
from journal.idempotency import KeyReused
from moderation.actions.uploads import TooManyUploads
from moderation.models import Case
from moderation.statements import statement_of

PER_PAGE = 20
# How many may be asked for at once, as far as the model goes; the API takes any number.
COUNTS = (1, 2, 4, 8)
# Where the session keeps what could not be paid yet.
UNSENT = "unsent"
FIELDS = (
    "prompt", "negative_prompt", "model", "size", "n", "seed", "priority", "mode", "strength", "frames",
    "acknowledge", *INPUTS,
)  # fmt: skip
# What the price depends on, and what else has to fit the mode.
PRICED = ("model", "size", "n", "mode", "strength", "frames")
# What can stand against an order, and the status that says so.
REFUSALS: dict[type[Exception], int] = {
    BadOrder: 400,
    verbs.PromptRefused: 400,
    ledger.NotEnoughCredits: 402,
    ledger.OnBillingHold: 402,
    ledger.SpendingLimitReached: 402,
    verbs.BeyondPlan: 403,
    verbs.AccountOnHold: 403,
    KeyReused: 409,
    verbs.TooManyJobs: 429,
    verbs.TooManyRefusals: 429,
    TooManyUploads: 429,
    verbs.IntakeClosed: 503,
}


def person_of(request: HttpRequest) -> User:
    """The signed-in person; views that call this are behind login_required."""
    assert isinstance(request.user, User)
    return request.user


@login_required
@require_safe
def studio(request: HttpRequest) -> HttpResponse:
    """The composer and the person's jobs, newest first.

    `?mode=` chooses what to make, `?from=` brings the words of an earlier job, `?start=` a released medium to start
    from, `?unsent` what could not be paid.
    """
    values: dict[str, str] = {"mode": request.GET.get("mode", "")}
    if "unsent" in request.GET:
        values = request.session.get(UNSENT, {})
    if (start := _uuid(request.GET.get("from"))) and (
        old := Job.objects.of(person_of(request)).filter(pk=start).first()
    ):
        values = {
            "prompt": old.prompt,
            "negative_prompt": old.negative_prompt,
            "model": old.model,
            "size": f"{old.width}x{old.height}",
            "n": str(old.n),
            "mode": old.mode,
            "strength": f"{old.strength:g}" if old.strength is not None else "",
            "frames": str(old.frames) if old.is_film else "",
            **{given.role: str(given.medium_id or given.upload_id) for given in old.inputs.all()},
        }
    if found := _released(person_of(request), request.GET.get("start", "")):
        values |= {"prompt": found.job.prompt, found.job.noun: str(found.pk)}
    return _studio(request, values)


def _studio(request: HttpRequest, values: Mapping[str, str], *, error: Exception | None = None) -> HttpResponse:
    person = person_of(request)
    found = Job.objects.of(person).order_by("-created_at", "id")
    if (before := _uuid(request.GET.get("before"))) and (last := Job.objects.of(person).filter(pk=before).first()):
        found = found.filter(Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, id__gt=last.pk))
    page = sights(found[: PER_PAGE + 1])
    return render(
        request,
        "generation/studio.html",
        _composer(person, values)
        | {
            "sights": page[:PER_PAGE],
            "older": page[PER_PAGE - 1].job.pk if len(page) > PER_PAGE else None,
            "is_first_page": not before,
            "error": error,
        },
        status=_status(error),
    )


def _composer(person: User, values: Mapping[str, str]) -> dict[str, Any]:
    """What the composer needs to be drawn: values as they were typed, and the choices of the chosen model."""
    mode = asked if (asked := values.get("mode", "")) in sold_modes() else TEXT_TO_IMAGE
    card = cards().get(values.get("model", ""), default_card(mode))
    if mode not in card.modes:
        card = default_card(mode)
    way = card.modes[mode]
    sizes = [f"{width}x{height}" for width, height in way.release_sizes]
    size = asked if (asked := values.get("size", "")) in sizes else sizes[0]
    n = values.get("n", "1")
    count = int(n) if len(n) < 10 and n.isascii() and n.isdecimal() and 1 <= int(n) <= way.n_max else 1
    frames = next((each for each in way.frames if str(each) == values.get("frames")), way.frames[0])
    available = ledger.balance(ledger.wallet_of(person)).available
    each_price = unit_price(way, way.release_sizes[sizes.index(size)], way.steps.default, frames)
    return {
        "values": values,
        "card": card,
        "way": way,
        "mode": way.mode,
        "noun": "film" if way.mode.is_film else "picture",
        "goes_in": [goes_in(person, way, role, values.get(role, "")) for role in INPUTS if role in way.mode.needs],
        "strength": _strength_shown(way, values.get("strength", "")),
        "modes": _grouped(sold_modes()),
        "offered": [(each, price_of(each.modes[mode])) for each in cards().values() if mode in each.modes],
        "lengths": [(each, each / way.fps) for each in way.frames] if way.mode.is_film else [],
        "frames": frames,
        "sizes": sizes,
        "size": size,
        "counts": sorted({n for n in (*COUNTS, count) if n <= way.n_max}),
        "n": count,
        "unit_price": each_price,
        "price": each_price * count,
        "available": available,
        "longest_prompt": LONGEST_PROMPT,
        "largest_seed": LARGEST_SEED,
        "key": uuid.uuid4(),
    }


@login_required
@require_safe
def quote(request: HttpRequest) -> HttpResponse:
    """The price for the button, and the sizes and numbers that the chosen model has."""
    context = _composer(person_of(request), {name: request.GET.get(name, "") for name in PRICED})
    return render(request, "generation/quote.html", context)


@login_required
@require_POST
def jobs(request: HttpRequest) -> HttpResponse:
    """Take an order. What stands against it is said where it was asked, and nothing was made or charged."""
    person = person_of(request)
    values = {name: request.POST.get(name, "") for name in FIELDS}
    key = request.POST.get("key", "")[:255]
    try:
        if key and not key.isprintable():
            raise BadOrder("key", "The form is damaged. Load the page again.")
        _bring(request, values)
        made = verbs.submit(person, check(**values), route="studio", idempotency_key=key or None)
    except tuple(REFUSALS) as error:
        return _refused(request, values, error)
    request.session.pop(UNSENT, None)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{reverse('studio')}#job-{made.pk}")
    (sight,) = sights(Job.objects.of(person).filter(pk=made.pk))
    return render(request, "generation/made.html", _composer(person, values) | {"sight": sight})


def _bring(request: HttpRequest, values: dict[str, str]) -> None:
    """Keep the files that came along, and put their ids among the values. Raises what stands against the order.

    All that can be is checked before a file is kept.
    """
    brought = {role: file for role in INPUTS if (file := request.FILES.get(f"file_{role}"))}
    if not brought:
        return
    check(**values | {role: str(uuid.uuid4()) for role in brought})
    verbs.admit(person_of(request))
    for role, file in brought.items():
        said = agreed(request.POST.get(f"agreed_{role}"))
        upload = bring(person_of(request), file, mode=values["mode"], name=role, people_agreed=said)
        values[role] = str(upload.pk)


def _refused(request: HttpRequest, values: Mapping[str, str], error: Exception) -> HttpResponse:
    """The note beside the composer, alone or with its page."""
    if REFUSALS[type(error)] == 402 or isinstance(error, verbs.BeyondPlan):
        # Buying leads away from here and back; the words wait, in the session and in no address.
        request.session[UNSENT] = {name: text[: 4 * LONGEST_PROMPT] for name, text in values.items()}
    if request.htmx:  # type: ignore[attr-defined]
        context = _composer(person_of(request), values) | {"error": error, "renews_key": True}
        answer = render(request, "generation/refusal.html", context, status=_status(error))
        answer["HX-Retarget"] = "#refusal"
        answer["HX-Reswap"] = "outerHTML"
    else:
        answer = _studio(request, values, error=error)
    if isinstance(error, verbs.IntakeClosed):
        answer["Retry-After"] = str(error.retry_after)
    return answer


def _status(error: Exception | None) -> int:
    return 200 if error is None else REFUSALS[type(error)]


@login_required
@require_safe
def card(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """One card of the stream. 204 when it would look as the caller says they have `seen` it."""
    sight = _own(request, job_id)
    seen = request.GET.get("seen", "")
    if seen == sight.seen:
        return HttpResponse(status=204)
    return render(request, "generation/card.html", {"sight": sight, "is_news": sight.was(seen) != sight.job.state})


@login_required
@require_safe
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """One job with everything that became of it."""
    sight = _own(request, job_id)
    goes_in = Q(subject=Case.Subject.PROMPT, key=job_id) | Q(upload__inputs__job=job_id)
    refused = Case.objects.filter(goes_in, state=Case.State.REFUSED).first()
    return render(
        request,
        "generation/job.html",
        {
            "sight": sight,
            "job": sight.job,
            "model": catalogue().get(sight.job.model),
            "refused_case": refused if sight.job.state == Job.State.REFUSED else None,
            "history": sight.job.history.all(),
        },
    )


@login_required
@require_POST
def cancellation(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Stop a job wherever it is. When it was final already nothing changes, and the card says how it stands."""
    person = person_of(request)
    verbs.cancel(_own(request, job_id).job, actor=person)
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "generation/card.html", {"sight": _own(request, job_id), "is_news": True})
    return redirect("job", job_id)


@login_required
@require_safe
def statement(request: HttpRequest, case_id: int) -> HttpResponse:
    """The letter to whoever was refused: what, under which policy, by whom, and what can be done."""
    person = person_of(request)
    case = get_object_or_404(Case.objects.filter(person=person), pk=case_id)
    letter = statement_of(case)
    if letter is None:
        raise Http404("Nothing was refused here.")
    medium = Medium.objects.of(person).filter(pk=case.key).select_related("job").first()
    subject = medium.job if medium else Job.objects.of(person).filter(pk=case.key).first()
    return render(
        request,
        "generation/statement.html",
        {"letter": letter, "case": case, "medium": medium, "job": subject},
    )


def _grouped(names: Sequence[str]) -> list[tuple[str, list[Mode]]]:
    """The modes to choose from, pictures first; nothing to choose where there is one."""
    kinds = [("Pictures", False), ("Films", True)]
    groups = [(kind, [MODES[name] for name in names if MODES[name].is_film == is_film]) for kind, is_film in kinds]
    return [group for group in groups if group[1]] if len(names) > 1 else []


def _strength_shown(way: ModeCard, typed: str) -> float:
    """Where the slider stands: as typed, if it was a number in its span."""
    if way.strength is None:
        return 0.0
    try:
        number = float(typed[:32])
    except ValueError:
        return way.strength.default
    return number if way.strength.least <= number <= way.strength.most else way.strength.default


def _released(person: User, medium: str) -> Medium | None:
    """A released picture or film of theirs, by its id."""
    key = _uuid(medium)
    return Medium.objects.of(person).shown().filter(pk=key).select_related("job").first() if key else None


def _own(request: HttpRequest, job_id: UUID) -> Sight:
    """A person's own job as they see it. Somebody else's is not found, like one that never was."""
    found = sights(Job.objects.of(person_of(request)).filter(pk=job_id))
    if not found:
        raise Http404("There is no such job.")
    return found[0]


def _uuid(text: str | None) -> UUID | None:
    """The id in an address, or None when it is none."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
