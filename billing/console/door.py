"""Who may come in, and what the pages of the console share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from billing.console.tallies import counted_at
from billing.models import Act, Finding

View = TypeVar("View", bound=Callable[..., HttpResponse])


def for_admins(view: View) -> View:
    """Whoever may see the console; anyone else is sent to sign in, or refused."""

    @wraps(view)
    @login_required
    @permission_required("billing.view_console", raise_exception=True)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    return cast(View, guarded)


def shown(view: View) -> View:
    """A page that admins look at."""
    return require_safe(for_admins(view))


def acted(view: View) -> View:
    """A form of theirs. It needs the right to act, beside that to look."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm("billing.act_in_console"):
            raise PermissionDenied("A billing admin does this.")
        return view(request, *args, **kwargs)

    return require_POST(for_admins(cast(View, guarded)))


def admin_of(request: HttpRequest) -> User:
    """Whoever is signed in; views that call this are behind the door."""
    return cast(User, request.user)


def page(request: HttpRequest, name: str, context: dict[str, Any], *, place: str, status: int = 200) -> HttpResponse:
    """A page of the console, with what waits for somebody told in its own bar."""
    common = {
        "place": place,
        "waiting": Act.objects.filter(decision__isnull=True).count(),
        "differences": Finding.objects.filter(gone_at__isnull=True).count(),
        "counted_at": counted_at(),
        "may_act": request.user.has_perm("billing.act_in_console"),
    }
    return render(request, f"billing/console/{name}.html", common | context, status=status)


def number_in(text: str) -> int | None:
    """A row's number as an address or a form carries it. None if it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
