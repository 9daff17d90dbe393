"""Credits that come every month."""

from calendar import monthrange
from datetime import date, datetime, timedelta

from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Allowance, Transfer, Wallet
from billing.sale.plans import FREE, plan_of
from journal.transactions import require_transaction


def allow_monthly(wallet: Wallet, credits: int, *, since: date | None = None) -> Allowance:
    """Give a wallet so many credits every month from now on, the first at once. Safe to call again."""
    require_transaction()
    since = since or timezone.now().date()
    allowance, new = Allowance.objects.get_or_create(
        wallet=wallet, defaults={"credits": credits, "since": since, "due_at": timezone.now()}
    )
    if not new and allowance.credits != credits:
        Allowance.objects.filter(pk=wallet.pk).update(credits=credits)
        allowance.credits = credits
    if new:
        grant_due(allowance, timezone.now())
    return allowance


def grant_due(allowance: Allowance, now: datetime) -> Transfer | None:
    """Grant the month that runs now, once, and say when the next is due. None while a plan is paid for instead.

    Months that passed while nobody granted them are not made up for: their credits would have expired.
    """
    month = now.date().replace(day=1)
    if allowance.refill_of(month) > now:
        month = (month - timedelta(days=1)).replace(day=1)
    person = allowance.wallet.person
    transfer = monthly_grant(person, month) if plan_of(person, now).code == FREE else None
    Allowance.objects.filter(pk=allowance.pk).update(due_at=allowance.refill_of(_next(month)))
    return transfer


def monthly_grant(person: User, month: date) -> Transfer:
    """Grant a person's credits of one month. They expire when the next month's come. Happens once per month."""
    wallet = ledger.wallet_of(person)
    key = f"monthly:{wallet.pk}:{month:%Y-%m}"
    if known := Transfer.objects.filter(key=key).first():
        return known
    allowance = Allowance.objects.get(wallet=wallet)
    return ledger.grant(
        wallet,
        allowance.credits,
        source="grant",
        key=key,
        effective_at=allowance.refill_of(month),
        expires_at=allowance.refill_of(_next(month)),
        reason=f"Credits for {month:%B %Y}",
    )


def months_after(moment: datetime, months: int) -> datetime:
    """The same time so many months later; on the last day of a shorter month."""
    number = moment.month - 1 + months
    year, month = moment.year + number // 12, number % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))


def _next(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
