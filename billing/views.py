"""The wallet page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import User
from billing import ledger
from billing.lines import lines, lot_bars

PER_PAGE = 25


@require_safe
@login_required
def wallet(request: HttpRequest) -> HttpResponse:
    """What the person has, until when, and what each credit was for. Only ever their own wallet."""
    assert isinstance(request.user, User)
    own = ledger.wallet_of(request.user)
    before = request.GET.get("before", "")
    found = lines(own, before=int(before) if before.isdecimal() and len(before) < 19 else None, most=PER_PAGE + 1)
    return render(
        request,
        "billing/wallet.html",
        {
            "balance": ledger.balance(own),
            "lots": lot_bars(own, timezone.now()),
            "lines": found[:PER_PAGE],
            "older": found[PER_PAGE - 1].id if len(found) > PER_PAGE else None,
            "is_first_page": not before,
        },
    )
