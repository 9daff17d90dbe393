"""The registry of protected persons and styles at the desk. Each look is written down before anything is shown."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from moderation import names, registry
from moderation.actions import registry as keeping
from moderation.models import Protected, ReferencePicture
from moderation.models.registry import KEEP
from moderation.registry_forms import EndingForm, EntryForm, PictureForm

View = TypeVar("View", bound=Callable[..., HttpResponse])

AT_ONCE = 50
LONGEST_SEARCH = 200
# A page that waits for an answer looks again by itself: that is one look in ten minutes.
LOOK_AGAIN = 4
ONE_LOOK = timedelta(minutes=10)
SHOWN = {"": "Protect now", "over": "Over", "all": "All"}


def for_keepers(view: View) -> View:
    """Whoever may keep the registry; anyone else is sent to sign in, or refused."""

    @wraps(view)
    @login_required
    @permission_required(KEEP, raise_exception=True)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    return cast(View, guarded)


def _keeper(request: HttpRequest) -> User:
    return cast(User, request.user)


def _entry(entry_id: int) -> Protected:
    return get_object_or_404(Protected.objects.select_related("added_by", "ending__ended_by"), pk=entry_id)


@require_safe
@for_keepers
def entries(request: HttpRequest) -> HttpResponse:
    """What is protected, the newest first, by name or alias."""
    asked = " ".join(request.GET.get("q", "").replace("\x00", "").split())[:LONGEST_SEARCH]
    which = request.GET.get("show", "") if request.GET.get("show", "") in SHOWN else ""
    listed = Protected.objects.search(asked).select_related("ending").order_by("-pk")
    listed = {"": listed.current(), "over": listed.over(), "all": listed}[which]
    before = request.GET.get("before", "")
    if before.isdecimal() and before.isascii() and len(before) < 19:
        listed = listed.filter(pk__lt=int(before))
    found = list(listed[: AT_ONCE + 1])
    page = found[:AT_ONCE]
    keeping.looked(_keeper(request), searched=asked, shown=[one.pk for one in page])
    context = {
        "entries": page,
        "older": page[-1].pk if len(found) > AT_ONCE else None,
        "asked": asked,
        "which": which,
        "shown": SHOWN.items(),
        "is_first_page": not before,
        "house": {kind: len(names.house(kind)) for kind in names.KINDS},
        "of_the_house": _of_the_house(asked),
    }
    return render(request, "moderation/registry.html", context)


def _of_the_house(asked: str) -> list[str]:
    """Whom of those that were searched for the house's own files protect."""
    words = asked.casefold()
    every = [entry for kind in names.KINDS for entry in names.house(kind)] if words else []
    return [one.name for one in every if any(words in said.casefold() for said in (one.name, *one.aliases))][:20]


@require_http_methods(["GET", "HEAD", "POST"])
@for_keepers
def new(request: HttpRequest) -> HttpResponse:
    """Protect a person or a style."""
    registry.refresh()
    form = EntryForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        added = keeping.add(form.facts(), keeper=_keeper(request))
        messages.success(request, f"{added.name} is protected from now on.")
        return redirect("desk_registry_entry", entry_id=added.pk)
    return render(request, "moderation/registry_new.html", {"form": form}, status=422 if form.is_bound else 200)


@require_safe
@for_keepers
def entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    """One entry, its history, and the forms that end it or bring a picture."""
    return _page(request, _entry(entry_id))


def _page(
    request: HttpRequest,
    found: Protected,
    *,
    ending: EndingForm | None = None,
    picture: PictureForm | None = None,
    status: int = 200,
) -> HttpResponse:
    keeper = _keeper(request)
    is_again = "again" in request.GET
    if not is_again or not found.looks.filter(keeper=keeper, at__gt=timezone.now() - ONE_LOOK).exists():
        keeping.looked(keeper, entry=found)
    references = found.references.select_related("brought_by", "template__descriptor").order_by("-brought_at")
    context = {
        "entry": found,
        "is_person": found.kind == Protected.Kind.PERSON,
        "ending": ending or EndingForm(),
        "picture": picture or PictureForm(),
        "references": references,
        "looks": found.looks.select_related("keeper").order_by("-pk")[:10],
        "some_wait": (some_wait := any(one.state == ReferencePicture.State.WAITING for one in references)),
        # A page that looks again by itself has no forms: it would throw away what somebody typed.
        "looks_again": is_again and some_wait,
    }
    answer = render(request, "moderation/registry_entry.html", context, status=status)
    if context["looks_again"]:
        answer["Refresh"] = f"{LOOK_AGAIN}; url={_again(found.pk)}"
    return answer


def _again(entry_id: int) -> str:
    return f"{reverse('desk_registry_entry', args=[entry_id])}?again"


@require_POST
@for_keepers
def ending(request: HttpRequest, entry_id: int) -> HttpResponse:
    """End an entry."""
    found = _entry(entry_id)
    form = EndingForm(request.POST)
    if not form.is_valid():
        return _page(request, found, ending=form, status=422)
    if keeping.end(found, keeper=_keeper(request), why=form.cleaned_data["why"], note=form.cleaned_data["note"]):
        messages.success(request, f"{found.name} is protected no more. What was known of faces is erased.")
    else:
        messages.info(request, "It was ended already.")
    return redirect("desk_registry_entry", entry_id=entry_id)


@require_POST
@for_keepers
def pictures(request: HttpRequest, entry_id: int) -> HttpResponse:
    """Bring a picture: what becomes of it stands on the entry's page."""
    found = _entry(entry_id)
    form = PictureForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            keeping.bring(found, form.cleaned_data["picture"], keeper=_keeper(request))
        except (keeping.PictureRefused, keeping.EntryOver) as refused:
            form.add_error("picture", str(refused))
        else:
            return redirect(_again(entry_id))
    return _page(request, found, picture=form, status=422)
