"""The wallet page."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from billing import ledger
from billing.lines import lines, lot_bars
from billing.models import Customer, Payment, Wallet
from billing.sale import till
from billing.sale.plans import current_subscription, plan_of
from billing.sale.standing import standing_of
from journal.transactions import step

PER_PAGE = 25
INVOICES = 12
MOST_LIMIT = 100_000_000


@require_safe
@login_required
def wallet(request: HttpRequest) -> HttpResponse:
    """What the person has, until when, and what each credit was for. Only ever their own wallet."""
    assert isinstance(request.user, User)
    return _page(request, request.user)


def _page(request: HttpRequest, person: User, *, limit_error: str = "", status: int = 200) -> HttpResponse:
    own = ledger.wallet_of(person)
    before = request.GET.get("before", "")
    found = lines(own, before=int(before) if before.isdecimal() and len(before) < 19 else None, most=PER_PAGE + 1)
    subscription = current_subscription(person)
    return render(
        request,
        "billing/wallet.html",
        {
            "balance": ledger.balance(own),
            "lots": lot_bars(own, timezone.now()),
            "lines": found[:PER_PAGE],
            "older": found[PER_PAGE - 1].id if len(found) > PER_PAGE else None,
            "is_first_page": not before,
            "plan": plan_of(person),
            "subscription": subscription,
            "standing": standing_of(subscription) if subscription else None,
            "payments": Payment.objects.of(person).select_related("price").order_by("-id")[:INVOICES],
            "has_portal": till.is_open() and Customer.objects.filter(person=person, deleted_at__isnull=True).exists(),
            "is_open": till.is_open(),
            "limit": own.spending_limit,
            "limit_error": limit_error,
            "spent": ledger.spent_in_month(own, timezone.now()) if own.spending_limit is not None else 0,
        },
        status=status,
    )


@require_POST
@login_required
def limit(request: HttpRequest) -> HttpResponse:
    """The most credits that the person wants to spend in a calendar month; an empty field takes the limit away."""
    assert isinstance(request.user, User)
    text = request.POST.get("limit", "").strip().replace(",", "")
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= MOST_LIMIT):
        said = "A limit is a whole number of credits, or empty for none."
        return _page(request, request.user, limit_error=said, status=400)
    own = ledger.wallet_of(request.user)
    Wallet.objects.filter(pk=own.pk).update(spending_limit=int(text) if text else None)
    messages.success(request, f"Your limit is {int(text):,} credits a month." if text else "You have no limit.")
    return redirect("wallet")


@require_POST
@login_required
def repayment(request: HttpRequest) -> HttpResponse:
    """Set the credits that the person has against what they owe."""
    assert isinstance(request.user, User)
    own = ledger.wallet_of(request.user)
    with step("wallet.repay"):
        ledger.lock(own)
        paid = ledger.repay(own)
    if paid:
        messages.success(request, f"{paid:,} credits were set against what you owed.")
    else:
        messages.info(request, "There was nothing to set against it.")
    return redirect("wallet")
