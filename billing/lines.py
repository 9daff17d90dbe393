"""The wallet, told in sentences: what is left until when, and what moved."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from billing import causes, ledger
from billing.models import Entry, Transfer, Wallet

# The bar of lots is drawn in an SVG of this width, with gaps between the lots.
BAR_WIDTH = 1000.0
GAP = 6.0


@dataclass(frozen=True)
class LotBar:
    """One lot in the bar: where it lies and what it says."""

    remaining: int
    source: str
    expires_at: datetime | None
    days_left: int | None
    x: float
    width: float


@dataclass(frozen=True)
class Line:
    """One movement in words. `change` is what it did to the credits that can be spent."""

    id: int
    at: datetime
    kind: str
    word: str
    amount: int
    change: int
    balance_after: int | None
    sentence: str
    url: str
    picture_url: str | None


def lot_bars(wallet: Wallet, now: datetime) -> list[LotBar]:
    """The lots that can be spent, soonest expiry first, laid out side by side by size."""
    lots = sorted(
        ledger.open_lots(wallet), key=lambda lot: (lot.expires_at is None, lot.expires_at or now, lot.effective_at)
    )
    total = sum(lot.remaining for lot in lots)
    bars = []
    x = 0.0
    room = BAR_WIDTH - GAP * max(len(lots) - 1, 0)
    for lot in lots:
        width = max(room * lot.remaining / total, 1.0)
        days = (lot.expires_at - now).days if lot.expires_at else None
        source = str(lot.get_source_display())
        bars.append(LotBar(lot.remaining, source, lot.expires_at, days, round(x, 1), round(width, 1)))
        x += width + GAP
    return bars


def lines(wallet: Wallet, *, before: int | None, most: int) -> list[Line]:
    """The newest movements of a wallet, or those before one of them. Three queries, however long the history."""
    transfers = Transfer.objects.filter(wallet=wallet).order_by("-id")
    if before is not None:
        transfers = transfers.filter(pk__lt=before)
    page = list(transfers[:most])
    entries: dict[int, list[Entry]] = defaultdict(list)
    for entry in Entry.objects.filter(transfer__in=page).order_by("id"):
        entries[entry.transfer_id].append(entry)
    explained = causes.registered().explain(sorted({transfer.cause for transfer in page if transfer.cause}))
    told = []
    for transfer in page:
        own = [entry for entry in entries[transfer.pk] if entry.account_id == wallet.available_id]
        explanation = explained.get(transfer.cause)
        told.append(
            Line(
                id=transfer.pk,
                at=transfer.created_at,
                kind=transfer.kind,
                word=str(Transfer.Kind(transfer.kind).label)
                if transfer.kind in Transfer.Kind.values
                else transfer.kind,
                amount=sum(entry.amount for entry in entries[transfer.pk] if entry.amount > 0),
                change=sum(entry.amount for entry in own),
                balance_after=own[-1].balance_after if own else None,
                sentence=_sentence(transfer, explanation),
                url=explanation.url if explanation else "",
                picture_url=explanation.picture_url if explanation else None,
            )
        )
    return told


def _sentence(transfer: Transfer, explanation: causes.Explanation | None) -> str:
    """What it was for. What the words of the amount already say is not said again."""
    about = explanation.sentence if explanation else ""
    match transfer.kind:
        case Transfer.Kind.EXPIRE:
            return "They were not used in time." if not about else f"They came back after their time. {about}"
        case Transfer.Kind.RELEASE:
            return " · ".join(part for part in (about, transfer.reason) if part)
    return about or transfer.reason
