"""Credits that are taken back with the money for them, and restored with it. Corrections by hand.

`settle` brings a purchase's credits in line with what is left of its money, whatever happened in whatever order:
it looks at where things stand, never at what an event says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from billing import ledger, statements
from billing.models import Account, Entry, House, Lot, Payment, Transfer, Wallet
from billing.statements import Leg


@dataclass(frozen=True)
class Taken:
    """What of a purchase's credits is taken back at this moment: by lot, and as a debt."""

    total: int
    by_lot: Mapping[int, int]
    as_debt: int


def taken_of(payment: Payment) -> Taken:
    """Where a purchase stands, summed from its entries."""
    own = Transfer.objects.filter(
        cause=payment.cause, kind__in=[Transfer.Kind.TAKE_BACK, Transfer.Kind.RESTORE]
    ).values("pk")
    by_lot: dict[int, int] = {}
    total = debt = 0
    for lot, account, amount in (
        Entry.objects.filter(transfer__in=own).values_list("lot", "account").annotate(total=Sum("amount"))
    ):
        if account == House.TAKEN_BACK:
            total += amount
        elif lot is None:
            debt -= amount
        else:
            by_lot[lot] = by_lot.get(lot, 0) - amount
    return Taken(total, by_lot, debt)


def due_back(payment: Payment) -> int:
    """How many of a purchase's credits should be taken back, by what is left of its money.

    In proportion, rounded up: 500 credits for 1,000 cents, of which 300 went back, are 150 credits. A refund that
    leaves the credits with the person does not count.
    """
    if not payment.amount:
        return 0
    gone = min(payment.refunded - payment.forgiven + payment.disputed, payment.amount)
    return -(-payment.credits * max(gone, 0) // payment.amount)


def settle(payment: Payment) -> int:
    """Take back or restore credits of a purchase until they fit its money. Returns how many; below zero: restored.

    The payment's row must be locked and fresh. Safe to call again: then there is nothing to do.
    """
    wallet = ledger.wallet_of(payment.person)
    ledger.lock(wallet)
    taken = taken_of(payment)
    change = due_back(payment) - taken.total
    if change > 0:
        _take_back(wallet, payment, change)
    elif change < 0:
        _restore(wallet, payment, -change, taken)
    return change


def unspent_of(payment: Payment) -> int:
    """What of a purchase's credits is neither spent, set aside, expired nor taken back."""
    now = timezone.now()
    return sum(lot.remaining for lot in payment.lots.all() if lot.expires_at is None or lot.expires_at > now)


def correct(wallet: Wallet, amount: int, *, key: str, reason: str, actor: User) -> Transfer:
    """Take credits away by hand, in the order in which they would be spent. To give some, grant them.

    Raises NotEnoughCredits: a correction makes no debt. ValueError unless the amount is positive.
    """
    ledger.refuse_unless_positive([amount])
    ledger.lock(wallet)
    digest = ledger.digest_of("correct", wallet.pk, amount)
    if known := ledger.transfer_of(key, digest):
        return known
    now = timezone.now()
    lots = ledger.draw_down(wallet, {key: amount}, now)[key]
    transfer = _transfer(wallet, Transfer.Kind.CORRECT, key, digest, now, reason=reason, actor=actor)
    statements.post([(transfer, statements.between(wallet.available_id, House.CORRECTED.value, lots))])
    return transfer


def _take_back(wallet: Wallet, payment: Payment, amount: int) -> None:
    """This purchase's unspent lots first; what they do not cover is owed."""
    now = timezone.now()
    lots: dict[int, int] = {}
    left = amount
    for lot in _open_lots(payment, now):
        part = min(lot.remaining, left)
        if part:
            lots[lot.pk] = part
            left -= part
    legs = statements.between(wallet.available_id, House.TAKEN_BACK.value, lots)
    if left:
        legs += _pair(House.TAKEN_BACK.value, _owed_account(wallet), left)
    _post(wallet, payment, Transfer.Kind.TAKE_BACK, amount, legs, now, reason=payment.why_taken)


def _restore(wallet: Wallet, payment: Payment, amount: int, taken: Taken) -> None:
    """First what is still owed of it, then the lots; what paid off a debt meanwhile comes as credits of its own.

    Lots that have expired meanwhile get theirs back and expire again, visibly.
    """
    now = timezone.now()
    house = House.TAKEN_BACK.value
    number = _number(payment)
    debt = min(amount, max(taken.as_debt, 0), ledger.owed_by(wallet))
    left = amount - debt
    legs = _pair(_owed_account(wallet), house, debt) if debt else []
    lots: dict[int, int] = {}
    for lot, part in sorted(taken.by_lot.items()):
        if part > 0 and left:
            lots[lot] = min(part, left)
            left -= lots[lot]
    if left:
        lots[_new_lot(wallet, payment, left, number, now)] = left
    legs += statements.between(house, wallet.available_id, lots)
    _post(wallet, payment, Transfer.Kind.RESTORE, amount, legs, now, reason="The money for them came back.")
    overdue = Lot.objects.filter(pk__in=lots).overdue(now).order_by("pk")
    ledger.let_expire(wallet, {lot.pk: lots[lot.pk] for lot in overdue}, now, cause=payment.cause)
    ledger.repay(wallet, list(lots))


def _new_lot(wallet: Wallet, payment: Payment, amount: int, number: int, now: datetime) -> int:
    """For credits that paid off a debt which turns out to have been none."""
    lot = Lot.objects.create(
        wallet=wallet,
        source=Lot.Source.CORRECTION,
        granted=amount,
        effective_at=now,
        key=f"{payment.cause}:{number}",
        payment=payment,
        created_at=now,
    )
    return lot.pk


def _open_lots(payment: Payment, now: datetime) -> Sequence[Lot]:
    return [lot for lot in payment.lots.order_by("pk") if lot.expires_at is None or lot.expires_at > now]


def _owed_account(wallet: Wallet) -> int:
    """The account of what a wallet owes, opened at the first debt. The wallet must be locked."""
    if wallet.owed_id is None:
        wallet.owed = Account.objects.create(kind=Account.Kind.OWED, balance=0, version=0)
        Wallet.objects.filter(pk=wallet.pk).update(owed=wallet.owed)
    assert wallet.owed_id is not None
    return wallet.owed_id


def _pair(target: int, source: int, amount: int) -> list[Leg]:
    return [(source, None, -amount), (target, None, amount)]


def _number(payment: Payment) -> int:
    kinds = [Transfer.Kind.TAKE_BACK, Transfer.Kind.RESTORE]
    return Transfer.objects.filter(cause=payment.cause, kind__in=kinds).count() + 1


def _post(
    wallet: Wallet,
    payment: Payment,
    kind: Transfer.Kind,
    amount: int,
    legs: Sequence[Leg],
    now: datetime,
    *,
    reason: str,
) -> None:
    key = f"{payment.cause}:{_number(payment)}"
    digest = ledger.digest_of(kind.value, wallet.pk, payment.pk, amount)
    transfer = _transfer(wallet, kind, key, digest, now, reason=reason, cause=payment.cause)
    statements.post([(transfer, legs)])


def _transfer(
    wallet: Wallet,
    kind: Transfer.Kind,
    key: str,
    digest: str,
    now: datetime,
    *,
    reason: str,
    cause: str = "",
    actor: User | None = None,
) -> Transfer:
    return Transfer(
        key=key,
        digest=digest,
        kind=kind.value,
        wallet=wallet,
        cause=cause,
        reason=reason[:200],
        actor=actor,
        created_at=now,
    )
