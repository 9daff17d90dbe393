"""What the sweeper sees to in this room: lots that expire, allowances that are due, holds nobody ended."""

import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import connection
from django.utils import timezone

from billing import allowances, ledger
from billing.models import Allowance, Hold, Lot, Wallet
from journal.transactions import step

log = logging.getLogger(__name__)

AT_ONCE = 1000

Row = TypeVar("Row", Wallet, Allowance)


def expire_lots() -> int:
    """Let lots expire, wallet by wallet, until none is overdue. Returns how many did."""
    now = timezone.now()

    def overdue(after: int) -> list[Wallet]:
        wallets = Lot.objects.overdue(now).filter(wallet__gt=after).order_by("wallet").values_list("wallet").distinct()
        return list(Wallet.objects.filter(pk__in=[pk for (pk,) in wallets[:AT_ONCE]]).order_by("pk"))

    def expire(wallet: Wallet) -> int:
        with step("sweep.expire"):
            return ledger.expire(wallet, now)

    return _each(overdue, expire, failed="wallet %s: its lots could not expire")


def grant_monthly() -> int:
    """Grant what is due this month, until nothing is. Returns to how many."""
    now = timezone.now()

    def due(after: int) -> list[Allowance]:
        waiting = Allowance.objects.filter(due_at__lte=now, pk__gt=after).select_related("wallet__person")
        return list(waiting.order_by("pk")[:AT_ONCE])

    def grant(allowance: Allowance) -> int:
        with step("sweep.grant_monthly"):
            allowances.grant_due(allowance, now)
        return 1

    return _each(due, grant, failed="wallet %s: its month could not be granted")


def _each(waiting: Callable[[int], list[Row]], act: Callable[[Row], int], *, failed: str) -> int:
    """Do `act` to every row that waits, batch by batch in the order of their keys; returns the sum of what it did.

    A row that cannot be done is said and passed over, once, so that it starves nobody behind it. Raises what it met
    when the database itself is away.
    """
    done = faults = last = 0
    while batch := waiting(last):
        for row in batch:
            last = row.pk
            try:
                done += act(row)
            except Exception:
                if not connection.is_usable():
                    raise
                faults += 1
                log.exception(failed, row.pk)
    if faults:
        log.error("%d wallets were passed over; they are tried again in an hour", faults)
    return done


def report_stranded_holds() -> int:
    """Say which holds outlived their term. None is closed here: only whoever asked knows how it must end."""
    stranded = list(Hold.objects.stranded(timezone.now()).order_by("expires_at")[:AT_ONCE])
    for hold in stranded:
        log.warning("The hold for %s is open since %s and should have ended.", hold.cause, hold.opened_at)
    return len(stranded)
