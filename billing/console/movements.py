"""Movements of credits as the console tells them: with all their accounts, and without anybody's words or pictures."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse

from billing import causes
from billing.console.door import number_in
from billing.models import Entry, Hold, House, Lot, Payment, Transfer, Wallet

# Credits of a hold that came back late expire in transfers right behind it.
RIGHT_BEHIND = 20


@dataclass(frozen=True)
class Movement:
    """One transfer on one line. A change of nought is not shown."""

    id: int
    at: datetime
    kind: str
    word: str
    available: int
    held: int
    owed: int
    # What could be spent after it. None: that did not change.
    after: int | None
    sentence: str
    by: str
    # The page of what it was for, or nothing.
    url: str


@dataclass(frozen=True)
class Leg:
    """One entry of a transfer."""

    account: str
    is_house: bool
    lot: Lot | None
    amount: int
    after: int | None


@dataclass(frozen=True)
class Story:
    """One transfer with everything around it."""

    transfer: Transfer
    movement: Movement
    legs: list[Leg]
    payment: Payment | None
    hold: Hold | None
    kin: list[Movement] = field(default_factory=list)


def of_wallet(wallet: Wallet, *, before: int | None, most: int) -> list[Movement]:
    """The newest movements of a wallet, or those before one of them. As many queries for a long life as for a short."""
    transfers = Transfer.objects.filter(wallet=wallet).select_related("actor").order_by("-id")
    if before is not None:
        transfers = transfers.filter(pk__lt=before)
    return told(list(transfers[:most]), wallet)


def told(transfers: Sequence[Transfer], wallet: Wallet) -> list[Movement]:
    """These transfers of one wallet, in words."""
    entries: dict[int, list[Entry]] = defaultdict(list)
    for entry in Entry.objects.filter(transfer__in=transfers).order_by("id"):
        entries[entry.transfer_id].append(entry)
    asked = sorted({each.cause for each in transfers if each.cause})
    outlines = causes.registered().outline(asked) if asked else {}
    return [_told(each, entries[each.pk], wallet, outlines.get(each.cause)) for each in transfers]


def _told(transfer: Transfer, entries: list[Entry], wallet: Wallet, outline: causes.Outline | None) -> Movement:
    change = {
        account: sum(entry.amount for entry in entries if entry.account_id == account)
        for account in (wallet.available_id, wallet.held_id, wallet.owed_id)
    }
    own = [entry for entry in entries if entry.account_id == wallet.available_id]
    known = transfer.kind in Transfer.Kind.values
    return Movement(
        id=transfer.pk,
        at=transfer.created_at,
        kind=transfer.kind,
        word=str(Transfer.Kind(transfer.kind).label) if known else transfer.kind,
        available=change[wallet.available_id],
        held=change[wallet.held_id],
        owed=change.get(wallet.owed_id, 0) if wallet.owed_id else 0,
        after=own[-1].balance_after if own else None,
        sentence=" · ".join(part for part in (outline.sentence if outline else "", transfer.reason) if part)
        or ("Not used in time" if transfer.kind == Transfer.Kind.EXPIRE else transfer.cause or transfer.key),
        by=transfer.actor.email if transfer.actor else "",
        url=_url(transfer, outline),
    )


def _url(transfer: Transfer, outline: causes.Outline | None) -> str:
    if outline:
        return reverse("console_job", args=[outline.matter])
    kind, _, number = transfer.cause.partition(":")
    if kind == "payment" and number_in(number):
        return reverse("console_payment", args=[number])
    return ""


def story_of(transfer: Transfer) -> Story:
    """Everything about one transfer: its entries with their lots, the purchase, and what else moved for its hold."""
    wallet = transfer.wallet
    names = {wallet.available_id: "to spend", wallet.held_id: "set aside"}
    if wallet.owed_id is not None:
        names[wallet.owed_id] = "owed"
    names |= {house.value: f"the house: {house.label}" for house in House}
    entries = list(transfer.entries.select_related("lot__payment").order_by("id"))
    legs = [
        Leg(names.get(each.account_id, "?"), each.account_id < 0, each.lot, each.amount, each.balance_after)
        for each in entries
    ]
    hold = Hold.objects.filter(cause=transfer.cause).first() if transfer.cause else None
    payments = [each.lot.payment for each in entries if each.lot and each.lot.payment]
    number = transfer.cause.partition(":")[2] if transfer.cause.startswith("payment:") else ""
    own = Payment.objects.filter(pk=number).first() if number_in(number) else None
    (movement,) = told([transfer], wallet)
    kin = [each for each in of_hold(hold) if each.pk != transfer.pk] if hold else []
    return Story(transfer, movement, legs, own or next(iter(payments), None), hold, told(kin, wallet))


def of_hold(hold: Hold) -> list[Transfer]:
    """What set credits aside, what ended it, and what expired right behind that because it came back late."""
    ends = [pk for pk in (hold.opened_by_id, hold.closed_by_id) if pk is not None]
    found = list(Transfer.objects.filter(pk__in=ends).select_related("actor").order_by("id"))
    if hold.closed_by_id and hold.state == Hold.State.RELEASED:
        behind = Transfer.objects.filter(wallet=hold.wallet_id, pk__gt=hold.closed_by_id).select_related("actor")
        found += [each for each in behind.order_by("id")[:RIGHT_BEHIND] if each.cause == hold.cause]
    return found


def of_matter(matter: causes.Matter) -> tuple[list[Hold], list[Movement]]:
    """What was set aside for a job, and every movement of it."""
    holds = list(Hold.objects.filter(cause__in=matter.causes).select_related("wallet").order_by("pk"))
    if not holds:
        return [], []
    transfers = sorted((each for hold in holds for each in of_hold(hold)), key=lambda each: each.pk)
    return holds, told(transfers, holds[0].wallet)
