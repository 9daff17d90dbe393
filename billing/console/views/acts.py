"""What admins ask for, and what others decide about it."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods

from accounts.models import User
from billing import ledger
from billing.console import acts as rules
from billing.console import typed
from billing.console.door import acted, admin_of, number_in, page, shown
from billing.console.told import told_acts
from billing.console.views.people import payment_page, person_page
from billing.models import Act, Payment, Subscription
from billing.sale import till

PER_PAGE = 50
# How a refund is asked for: whether beyond what is unspent, and whether the credits stay.
GOES = {"unspent": (False, False), "debt": (True, False), "keep": (True, True)}
STATES = ("waiting", "decided")


@require_http_methods(["GET", "HEAD", "POST"])
def acts(request: HttpRequest) -> HttpResponse:
    """A list of acts, or one more."""
    return _ask(request) if request.method == "POST" else _list(request)


@shown
def _list(request: HttpRequest) -> HttpResponse:
    return _acts_page(request)


def _acts_page(
    request: HttpRequest,
    *,
    typed_in: QueryDict | None = None,
    error: str = "",
    at: int | None = None,
    status: int = 200,
) -> HttpResponse:
    """What waits, then what was decided; `at` is the act that an error is about."""
    state = request.GET.get("state", "")
    before = number_in(request.GET.get("before", ""))
    waiting = told_acts(_with_all(Act.objects.filter(decision__isnull=True)).order_by("id")[: 2 * PER_PAGE])
    decided = _with_all(Act.objects.filter(decision__isnull=False)).order_by("-id")
    if before is not None:
        decided = decided.filter(pk__lt=before)
    told = told_acts(decided[: PER_PAGE + 1])
    context: dict[str, Any] = {
        "state": state if state in STATES else "",
        "waits": [(each, each.is_for(admin_of(request))) for each in waiting],
        "decided": told[:PER_PAGE],
        "older": told[PER_PAGE - 1].act.pk if len(told) > PER_PAGE else None,
        "is_first_page": before is None,
        "typed": typed_in or {},
        "error": error,
        "at": at,
    }
    return page(request, "acts", context, place="acts", status=status)


def _with_all(found: QuerySet[Act]) -> QuerySet[Act]:
    return found.select_related("person", "asked_by", "decision__decided_by", "outcome", "payment")


@acted
def _ask(request: HttpRequest) -> HttpResponse:
    """Ask for something; what is small is done at once. What stands against it is said at its field."""
    match request.POST.get("kind"):
        case Act.Kind.CORRECTION:
            return _ask_correction(request)
        case Act.Kind.REFUND:
            return _ask_refund(request)
        case Act.Kind.PLAN:
            return _ask_plan_change(request)
    raise Http404


def _ask_correction(request: HttpRequest) -> HttpResponse:
    person = get_object_or_404(User, pk=number_in(request.POST.get("person", "")))
    try:
        act = rules.ask_correction(
            person,
            typed.credits(request.POST.get("amount", "")),
            reason=request.POST.get("reason", ""),
            asked_by=admin_of(request),
            key=_key(request),
        )
    except (rules.NotAllowed, ledger.NotEnoughCredits) as error:
        errors = _at_field(error)
        return person_page(request, person, typed_in=request.POST, errors=errors, kind="correction", status=422)
    return _asked(request, act)


def _ask_refund(request: HttpRequest) -> HttpResponse:
    payment = get_object_or_404(Payment.objects.select_related("person"), pk=number_in(request.POST.get("payment", "")))
    try:
        beyond, keeps = GOES.get(request.POST.get("goes", "unspent"), (False, False))
        act = rules.ask_refund(
            payment,
            typed.money(request.POST.get("amount", ""), payment.currency),
            reason=request.POST.get("reason", ""),
            asked_by=admin_of(request),
            key=_key(request),
            beyond=beyond,
            keeps_credits=keeps,
        )
    except rules.NotAllowed as error:
        return payment_page(request, payment, typed_in=request.POST, errors=_at_field(error), status=422)
    return _asked(request, act)


def _ask_plan_change(request: HttpRequest) -> HttpResponse:
    found = Subscription.objects.select_related("person", "price")
    subscription = get_object_or_404(found, pk=number_in(request.POST.get("subscription", "")))
    try:
        act = rules.ask_plan_change(
            subscription,
            request.POST.get("plan", ""),
            reason=request.POST.get("reason", ""),
            asked_by=admin_of(request),
            key=_key(request),
        )
    except rules.NotAllowed as error:
        errors = _at_field(error)
        return person_page(request, subscription.person, typed_in=request.POST, errors=errors, kind="plan", status=422)
    return _asked(request, act)


def _asked(request: HttpRequest, act: Act) -> HttpResponse:
    _say(request, act)
    if act.payment_id:
        return redirect("console_payment", act.payment_id)
    return redirect("console_person", act.person_id)


def _say(request: HttpRequest, act: Act) -> None:
    """What became of it, on the next page."""
    (told,) = told_acts(_with_all(Act.objects.filter(pk=act.pk)))
    match told.state:
        case "waiting":
            messages.info(request, f"{told.what}: asked for. Another billing admin has to grant it.")
        case "granted":
            where = "Stripe does not answer" if till.is_open() else "There is no key for Stripe"
            messages.warning(request, f"{told.what}: granted. {where}; it is tried again until it is done.")
        case "failed":
            said = told.outcome.said if told.outcome else ""
            messages.error(request, f"{told.what}: granted, but it could not be done. {said}")
        case "declined":
            messages.info(request, f"{told.what}: declined. Nothing was done.")
        case _:
            messages.success(request, f"{told.what}: done.")


@acted
def decision(request: HttpRequest, act_id: int) -> HttpResponse:
    """Grant or decline, once. Whoever asked does not grant what needs a second person."""
    act = get_object_or_404(Act.objects.select_related("person", "asked_by", "payment"), pk=act_id)
    answer = request.POST.get("decision")
    reason = request.POST.get("reason", "").strip()
    if answer not in {"grant", "decline"}:
        return _acts_page(request, typed_in=request.POST, error="Grant it or decline it.", at=act.pk, status=422)
    if answer == "decline" and len(reason) < rules.SHORTEST_REASON:
        said = "Say why not, in a sentence: whoever asked will want to know."
        return _acts_page(request, typed_in=request.POST, error=said, at=act.pk, status=422)
    try:
        rules.decide(act, by=admin_of(request), is_granted=answer == "grant", reason=reason)
    except rules.DecidedBefore:
        messages.warning(request, "Somebody decided this first; theirs stands.")
        return redirect("console_acts")
    except (rules.NotAllowed, ledger.NotEnoughCredits) as error:
        said = next(iter(_at_field(error).values()))
        return _acts_page(request, typed_in=request.POST, error=said, at=act.pk, status=422)
    _say(request, act)
    return redirect("console_acts")


def _at_field(error: rules.NotAllowed | ledger.NotEnoughCredits) -> dict[str, str]:
    """The field that is wrong, and what would do."""
    if isinstance(error, rules.NotAllowed):
        return {error.field: str(error)}
    return {"amount": f"They have {error.available:,} credits by now; a correction makes no debt."}


def _key(request: HttpRequest) -> str:
    """The form's own key. A form without one is not ours."""
    key = request.POST.get("key", "")
    if not (8 <= len(key) <= 64 and key.isascii() and key.isprintable()):
        raise Http404
    return key
