"""Acts and what became of them, in words."""

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.models import User
from billing.console.acts import END_LATER, END_NOW
from billing.models import Act, ActDecision, ActOutcome, Price
from billing.money import money
from billing.sale.plans import shop


@dataclass(frozen=True)
class ToldAct:
    """`state` is one of: waiting, granted (not carried out yet), done, failed, declined."""

    act: Act
    what: str
    state: str
    word: str
    decision: ActDecision | None
    outcome: ActOutcome | None

    def is_for(self, admin: User) -> bool:
        """Whether this admin may grant it; to decline one's own is always allowed."""
        return not (self.act.needs_second and self.act.asked_by == admin)


WORDS = {
    "waiting": "waits",
    "granted": "granted, not done yet",
    "done": "done",
    "failed": "granted, but could not be done",
    "declined": "declined",
}


def told_acts(acts: Iterable[Act]) -> list[ToldAct]:
    """Acts with their decisions and outcomes; select those along with them."""
    found = list(acts)
    wanted = {act.plan for act in found if act.plan.isdecimal()}
    prices = {str(price.pk): price for price in Price.objects.filter(pk__in=wanted)} if wanted else {}
    return [_told(act, prices.get(act.plan)) for act in found]


def _told(act: Act, price: Price | None) -> ToldAct:
    decision: ActDecision | None = getattr(act, "decision", None)
    outcome: ActOutcome | None = getattr(act, "outcome", None)
    if decision is None:
        state = "waiting"
    elif not decision.is_granted:
        state = "declined"
    elif outcome is None:
        state = "granted"
    else:
        state = "done" if outcome.is_done else "failed"
    return ToldAct(act, _what(act, price), state, WORDS[state], decision, outcome)


def _what(act: Act, price: Price | None) -> str:
    match act.kind:
        case Act.Kind.CORRECTION:
            many = "credit" if abs(act.amount) == 1 else "credits"
            return f"{'Give' if act.amount > 0 else 'Take'} {abs(act.amount):,} {many}"
        case Act.Kind.REFUND:
            kept = ", credits kept" if act.keeps_credits else ""
            return f"Refund {money(act.amount, act.currency)}{kept}"
    if act.plan == END_NOW:
        return "End the plan at once"
    if act.plan == END_LATER:
        return "End the plan when its period is over"
    if price is None:
        return "Change the plan"
    offer = shop().offers.get(price.offer)
    return (
        f"Change the plan to {offer.title if offer else price.offer}, {money(price.amount, price.currency)} "
        f"{price.get_interval_display()}"
    )
