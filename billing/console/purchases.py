"""Where a purchase stands: what of it is unspent, what went back, and what giving some back would do."""

from dataclasses import dataclass

from django.utils import timezone

from billing import reversals
from billing.console.acts import refundable, unspent_worth
from billing.models import Lot, Payment, Transfer
from billing.money import money


@dataclass(frozen=True)
class Standing:
    """A purchase in numbers. Money is in its smallest unit; credits are whole."""

    payment: Payment
    lots: list[Lot]
    unspent: int
    unspent_worth: int
    refundable: int
    taken: int
    as_debt: int
    held: int

    @property
    def used(self) -> int:
        """Credits that were spent, or that expired."""
        open_now = sum(lot.remaining + lot.held for lot in self.lots)
        return max(self.payment.credits - open_now - (self.taken - self.as_debt), 0)

    @property
    def money_unspent(self) -> str:
        return money(self.unspent_worth, self.payment.currency)

    @property
    def money_refundable(self) -> str:
        return money(self.refundable, self.payment.currency)

    @property
    def money_tax(self) -> str:
        return money(self.payment.tax, self.payment.currency)

    @property
    def money_disputed(self) -> str:
        return money(self.payment.disputed, self.payment.currency)

    @property
    def debt_of_all(self) -> int:
        """What the person would owe if everything went back now."""
        return max(self.payment.credits - self.taken - self.unspent, 0)


def standing_of(payment: Payment) -> Standing:
    """Where it stands now."""
    taken = reversals.taken_of(payment)
    lots = list(payment.lots.order_by("pk"))
    return Standing(
        payment=payment,
        lots=lots,
        unspent=reversals.unspent_of(payment),
        unspent_worth=unspent_worth(payment),
        refundable=refundable(payment),
        taken=taken.total,
        as_debt=max(taken.as_debt, 0),
        held=sum(lot.held for lot in lots),
    )


def transfers_of(payment: Payment) -> list[Transfer]:
    """What was taken back of it and restored."""
    kinds = [Transfer.Kind.TAKE_BACK, Transfer.Kind.RESTORE]
    own = Transfer.objects.filter(cause=payment.cause, kind__in=kinds).select_related("actor")
    return list(own.order_by("-id")[:50])


def is_over(lot: Lot) -> bool:
    """Whether its time has passed."""
    return lot.expires_at is not None and lot.expires_at <= timezone.now()
