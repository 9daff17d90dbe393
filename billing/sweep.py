"""What the sweeper sees to in this room: lots that expire, allowances that are due, holds nobody ended."""

import logging

from django.utils import timezone

from billing import allowances, ledger
from billing.models import Allowance, Hold, Lot, Wallet
from journal.transactions import step

log = logging.getLogger(__name__)

AT_ONCE = 1000


def expire_lots() -> int:
    """Let lots expire, wallet by wallet. Returns how many did."""
    now = timezone.now()
    expired = 0
    wallets = Lot.objects.overdue(now).order_by("wallet").values_list("wallet", flat=True).distinct()
    for wallet in Wallet.objects.filter(pk__in=list(wallets[:AT_ONCE])):
        with step("sweep.expire"):
            expired += ledger.expire(wallet, now)
    return expired


def grant_monthly() -> int:
    """Grant what is due this month. Returns to how many."""
    now = timezone.now()
    due = list(Allowance.objects.filter(due_at__lte=now).select_related("wallet__person").order_by("due_at")[:AT_ONCE])
    for allowance in due:
        with step("sweep.grant_monthly"):
            allowances.grant_due(allowance, now)
    return len(due)


def report_stranded_holds() -> int:
    """Say which holds outlived their term. None is closed here: only whoever asked knows how it must end."""
    stranded = list(Hold.objects.stranded(timezone.now()).order_by("expires_at")[:AT_ONCE])
    for hold in stranded:
        log.warning("The hold for %s is open since %s and should have ended.", hold.cause, hold.opened_at)
    return len(stranded)
