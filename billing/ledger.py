"""The one door through which credits move. Everything here runs inside the caller's transaction.

Whoever moves credits locks the wallet's row first; lots, accounts and holds of a wallet are touched only under that
lock. Balances of accounts and lots are written by the trigger of each entry (see `triggers`), not from here.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from billing import statements
from billing.models import Account, Entry, Hold, House, Lot, Payment, Transfer, Wallet
from billing.statements import Lots
from journal.transactions import require_transaction, step


class NotEnoughCredits(Exception):
    """The wallet cannot cover what was asked of it."""

    def __init__(self, wallet: Wallet, asked: int, available: int) -> None:
        super().__init__(f"This costs {asked} credits and {available} are available. Nothing was charged.")
        self.wallet = wallet
        self.asked = asked
        self.available = available


class HoldClosed(Exception):
    """The hold ended already, in the other way."""

    def __init__(self, cause: str, state: str) -> None:
        super().__init__(f"The hold for {cause} was already {state}; it ends only once.")
        self.cause = cause
        self.state = state


class NoSuchHold(LookupError):
    """Nothing was ever set aside for this cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"Nothing was set aside for {cause}.")
        self.cause = cause


class KeyReused(Exception):
    """The key names another movement already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key} was used before, for something else.")
        self.key = key


class OnBillingHold(Exception):
    """The wallet owes credits: money for some that were spent was taken back."""

    def __init__(self, wallet: Wallet, owed: int) -> None:
        super().__init__(
            f"Your account owes {owed} credits, because a payment was taken back after they were spent. "
            "Settle it in your wallet; nothing was charged."
        )
        self.wallet = wallet
        self.owed = owed


class SpendingLimitReached(Exception):
    """The person's own limit for a calendar month."""

    def __init__(self, wallet: Wallet, limit: int, left: int) -> None:
        super().__init__(
            f"You set a limit of {limit} credits a month, and {left} are left of it. Raise it in your wallet, or wait "
            "for the next month. Nothing was charged."
        )
        self.wallet = wallet
        self.limit = limit
        self.left = left


@dataclass(frozen=True)
class Balance:
    """What can be spent now, what is set aside, and what is owed."""

    available: int
    held: int
    owed: int = 0


def wallet_of(person: User) -> Wallet:
    """A person's wallet, opened at the first call."""
    if wallet := Wallet.objects.filter(person=person).first():
        return wallet
    with step("wallet.open"):
        # Two first calls at once: the second waits here and finds what the first made.
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        if wallet := Wallet.objects.filter(person=person).first():
            return wallet
        available, held = Account.objects.bulk_create(
            Account(kind=kind, balance=0, version=0) for kind in (Account.Kind.AVAILABLE, Account.Kind.HELD)
        )
        return Wallet.objects.create(person=person, available=available, held=held)


def balance(wallet: Wallet) -> Balance:
    """What the wallet can spend and what it has set aside. Lots that expired or have not begun do not count."""
    available = sum(lot.remaining for lot in open_lots(wallet))
    accounts = [pk for pk in (wallet.held_id, wallet.owed_id) if pk is not None]
    stored = dict(Account.objects.filter(pk__in=accounts).values_list("pk", "balance"))
    return Balance(available, stored[wallet.held_id] or 0, -(stored.get(wallet.owed_id or 0) or 0))


def open_lots(wallet: Wallet) -> list[Lot]:
    """The lots that can be spent from now, in the order in which they will be."""
    return statements.usable_lots(wallet, timezone.now())


def grant(
    wallet: Wallet,
    amount: int,
    *,
    source: str,
    key: str,
    expires_at: datetime | None,
    reason: str,
    priority: int = 50,
    effective_at: datetime | None = None,
    cost_basis: int | None = None,
    currency: str = "",
    payment: Payment | None = None,
    actor: User | None = None,
) -> Transfer:
    """Put credits into a wallet, as a lot of their own. The same key again returns the first transfer.

    What the wallet owes is set against it first, unless it begins later. Raises KeyReused when the key came with
    another amount, source, expiry or wallet before.
    """
    refuse_unless_positive([amount])
    if source not in Lot.Source.values:
        raise ValueError(f"Unknown source {source!r}; known are {', '.join(Lot.Source.values)}.")
    digest = digest_of("grant", wallet.pk, amount, source, expires_at, priority, cost_basis)
    lock(wallet)
    if known := transfer_of(key, digest):
        return known
    now = timezone.now()
    lot = Lot.objects.create(
        wallet=wallet,
        source=source,
        priority=priority,
        granted=amount,
        effective_at=effective_at or now,
        expires_at=expires_at,
        cost_basis=cost_basis,
        currency=currency,
        payment=payment,
        key=key,
        created_at=now,
    )
    transfer = Transfer(
        key=key,
        digest=digest,
        kind=Transfer.Kind.GRANT.value,
        wallet=wallet,
        reason=reason,
        actor=actor,
        created_at=now,
    )
    statements.post([(transfer, statements.between(House.GRANTED.value, wallet.available_id, {lot.pk: amount}))])
    repay(wallet, [lot.pk])
    return transfer


def hold(wallet: Wallet, amounts: dict[str, int]) -> list[Hold]:
    """Set credits aside, cause by cause: all of them or none. A cause that has its hold keeps it.

    Raises NotEnoughCredits, OnBillingHold, SpendingLimitReached, or KeyReused for a cause that was held with another
    amount or by another wallet.
    """
    refuse_unless_positive(amounts.values())
    lock(wallet)
    holds = statements.known_holds(list(amounts))
    for cause, known in holds.items():
        if (known.wallet_id, known.amount) != (wallet.pk, amounts[cause]):
            raise KeyReused(cause)
    asked = {cause: amount for cause, amount in amounts.items() if cause not in holds}
    if asked:
        now = timezone.now()
        _refuse_if_limited(wallet, sum(asked.values()), now)
        drawn = draw_down(wallet, asked, now)
        transfers = {
            cause: Transfer(
                key=f"{cause}:hold",
                digest=digest_of("hold", wallet.pk, cause, amount),
                kind=Transfer.Kind.HOLD.value,
                wallet=wallet,
                cause=cause,
                created_at=now,
            )
            for cause, amount in asked.items()
        }
        available, held = wallet.available_id, wallet.held_id
        statements.post([(transfers[cause], statements.between(available, held, drawn[cause])) for cause in asked])
        holds |= {hold.cause: hold for hold in statements.open_holds(wallet, transfers, asked, now)}
    return [holds[cause] for cause in amounts]


def capture(cause: str) -> Transfer:
    """Spend what was set aside: the medium was released. A second call returns the first's transfer.

    It does not matter whether the lots have expired since: they were held in time. Raises HoldClosed when the
    credits were given back before, NoSuchHold when there never was a hold.
    """
    return _close(cause, Hold.State.CAPTURED, Transfer.Kind.CAPTURE, reason="")


def release(cause: str, *, reason: str) -> Transfer:
    """Give back what was set aside, to the very lots it came from. A second call returns the first's transfer.

    Credits of a lot that has expired meanwhile come back and then expire, in two transfers that the person sees.
    Raises HoldClosed when the credits were spent before, NoSuchHold when there never was a hold.
    """
    return _close(cause, Hold.State.RELEASED, Transfer.Kind.RELEASE, reason=reason)


def expire(wallet: Wallet, now: datetime) -> int:
    """Let the overdue lots of a wallet expire. What is held of them stays held. Returns how many lots it were."""
    lock(wallet)
    overdue = {lot.pk: lot.remaining for lot in wallet.lots.overdue(now).order_by("pk")}
    let_expire(wallet, overdue, now)
    return len(overdue)


def repay(wallet: Wallet, lots: Sequence[int] | None = None) -> int:
    """Set credits of these lots, or of all that can be spent, against what the wallet owes. Returns how many.

    The wallet must be locked; `ledger.lock` does it.
    """
    if wallet.owed_id is None:
        return 0
    owed = owed_by(wallet)
    now = timezone.now()
    parts: dict[int, int] = {}
    for lot, remaining in statements.usable_amounts(wallet, now):
        if (lots is None or lot in lots) and owed > sum(parts.values()):
            parts[lot] = min(remaining, owed - sum(parts.values()))
    amount = sum(parts.values())
    if amount:
        number = Transfer.objects.filter(wallet=wallet, kind=Transfer.Kind.REPAY).count() + 1
        transfer = Transfer(
            key=f"wallet:{wallet.pk}:repay:{number}",
            digest=digest_of("repay", wallet.pk, sorted(parts.items())),
            kind=Transfer.Kind.REPAY.value,
            wallet=wallet,
            reason="A payment for credits that were spent had been taken back.",
            created_at=now,
        )
        legs: list[statements.Leg] = [(wallet.available_id, lot, -part) for lot, part in sorted(parts.items())]
        statements.post([(transfer, [*legs, (wallet.owed_id, None, amount)])])
    return amount


def owed_by(wallet: Wallet) -> int:
    """What the wallet owes, in credits; nothing for nearly everybody."""
    if wallet.owed_id is None:
        return 0
    return -(Account.objects.values_list("balance", flat=True).get(pk=wallet.owed_id) or 0)


def lock(wallet: Wallet) -> None:
    """Wait for whoever moves credits of this wallet, and keep others waiting until the transaction ends."""
    require_transaction()
    statements.lock_wallet(wallet)


def _refuse_if_limited(wallet: Wallet, asked: int, now: datetime) -> None:
    """Raise where the wallet owes, or where its owner set a limit. The wallet must be locked."""
    if owed := owed_by(wallet):
        raise OnBillingHold(wallet, owed)
    if wallet.spending_limit is None:
        return
    left = wallet.spending_limit - spent_in_month(wallet, now)
    if asked > left:
        raise SpendingLimitReached(wallet, wallet.spending_limit, max(left, 0))


def spent_in_month(wallet: Wallet, now: datetime) -> int:
    """Credits spent or set aside since the first of the month. Grows with the wallet's media of that month."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    holds = Hold.objects.filter(wallet=wallet, opened_at__gte=first).exclude(state=Hold.State.RELEASED)
    return holds.aggregate(total=Sum("amount"))["total"] or 0


def draw_down(wallet: Wallet, asked: Mapping[str, int], now: datetime) -> dict[str, Lots]:
    """Decide which lots pay for which cause. The wallet must be locked. Raises NotEnoughCredits."""
    lots = statements.usable_amounts(wallet, now)
    total, available = sum(asked.values()), sum(remaining for _, remaining in lots)
    if total > available:
        raise NotEnoughCredits(wallet, total, available)
    drawn: dict[str, Lots] = {}
    left = iter(lots)
    lot, remaining = next(left)
    for cause, amount in asked.items():
        parts: Counter[int] = Counter()
        while amount:
            if not remaining:
                lot, remaining = next(left)
            part = min(amount, remaining)
            parts[lot] += part
            amount -= part
            remaining -= part
        drawn[cause] = parts
    return drawn


def _close(cause: str, state: Hold.State, kind: Transfer.Kind, *, reason: str) -> Transfer:
    require_transaction()
    found = statements.locked_hold(cause)
    if found is None:
        raise NoSuchHold(cause)
    hold, wallet = found
    if hold.state != Hold.State.OPEN:
        if hold.state != state:
            raise HoldClosed(cause, hold.state)
        assert hold.closed_by_id is not None
        return Transfer.objects.get(pk=hold.closed_by_id)
    lots = statements.lots_of(hold, wallet)
    now = timezone.now()
    transfer = Transfer(
        key=f"{cause}:{kind.value}",
        digest=digest_of(kind.value, wallet.pk, cause, hold.amount),
        kind=kind.value,
        wallet=wallet,
        cause=cause,
        reason=reason,
        created_at=now,
    )
    target = House.REVENUE.value if state == Hold.State.CAPTURED else wallet.available_id
    statements.post([(transfer, statements.between(wallet.held_id, target, lots))])
    statements.close_hold(hold, state.value, transfer, now)
    if state == Hold.State.RELEASED:
        expired = Lot.objects.filter(pk__in=lots).overdue(now).values_list("pk", flat=True).order_by("pk")
        let_expire(wallet, {lot: lots[lot] for lot in expired}, now, cause=cause)
        repay(wallet, list(lots))
    return transfer


def let_expire(wallet: Wallet, lots: Lots, now: datetime, *, cause: str = "") -> None:
    """Let so much of these lots expire, each in a transfer of its own. The wallet must be locked."""
    if not lots:
        return
    last = Entry.objects.filter(lot__in=lots, account=House.EXPIRED).values_list("lot_id")
    before = Counter(lot for (lot,) in last)
    statements.post(
        [
            (
                Transfer(
                    # A lot expires again for each hold that comes back to it late.
                    key=f"lot:{lot}:expired:{before[lot] + 1}",
                    digest=digest_of("expire", wallet.pk, lot, amount),
                    kind=Transfer.Kind.EXPIRE.value,
                    wallet=wallet,
                    cause=cause,
                    created_at=now,
                ),
                statements.between(wallet.available_id, House.EXPIRED.value, {lot: amount}),
            )
            for lot, amount in lots.items()
        ]
    )


def transfer_of(key: str, digest: str) -> Transfer | None:
    """The transfer that has this key already. Raises KeyReused when it moved something else."""
    known = Transfer.objects.filter(key=key).first()
    if known and known.digest != digest:
        raise KeyReused(key)
    return known


def digest_of(*content: Any) -> str:
    """What a transfer's key stands for, so that the same key with other content is told apart."""
    return hashlib.sha256(json.dumps(content, default=datetime.isoformat).encode()).hexdigest()


def refuse_unless_positive(amounts: Iterable[int]) -> None:
    """Raise ValueError for nought and below: the sign of a movement is its kind."""
    for amount in amounts:
        if amount <= 0:
            raise ValueError(f"Credits move in positive whole numbers, not {amount}.")
