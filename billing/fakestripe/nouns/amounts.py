"""What lines cost after discounts and tax, to the cent."""

from dataclasses import dataclass, field

from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World

TAX_RATE = "txr_offline"


@dataclass
class Cost:
    """One line: the amount before anything, its share of each discount, and its tax."""

    amount: int
    discounts: list[tuple[str, int]] = field(default_factory=list)
    tax: int = 0
    taxable: int = 0

    @property
    def discounted(self) -> int:
        """How much all discounts take off."""
        return sum(amount for _, amount in self.discounts)

    @property
    def total(self) -> int:
        """What is paid for the line."""
        return self.amount - self.discounted + self.tax


def shared(total: int, weights: list[int]) -> list[int]:
    """Split an amount by weight so that the parts add up to it."""
    whole = sum(weights)
    if whole == 0:
        return [0 for _ in weights]
    parts = [total * weight // whole for weight in weights]
    for at in sorted(range(len(weights)), key=lambda at: -(total * weights[at] % whole))[: total - sum(parts)]:
        parts[at] += 1
    return parts


def off(coupon: Obj, total: int) -> int:
    """What a coupon takes off this total."""
    percent: float | None = coupon["percent_off"]
    if percent is not None:
        return min(total, round(total * percent / 100))
    amount: int = coupon["amount_off"] or 0
    return min(total, amount)


def reckon(world: World, amounts: list[int], discounts: list[tuple[str, Obj]], *, taxed: bool) -> list[Cost]:
    """The costs of lines under these discounts (their id and coupon), which come off one after another."""
    costs = [Cost(amount) for amount in amounts]
    for key, coupon in discounts:
        left = [max(0, cost.amount - cost.discounted) for cost in costs]
        for cost, part in zip(costs, shared(off(coupon, sum(left)), left), strict=True):
            cost.discounts.append((key, part))
    percent = world.settings.tax_percent if taxed else 0.0
    for cost in costs:
        cost.taxable = cost.amount - cost.discounted
        cost.tax = round(cost.taxable * percent / 100)
    return costs


def taxes(cost: Cost) -> list[Obj]:
    """The tax of a line or an invoice in the shape of the Invoice object; nothing when there is none."""
    if cost.tax == 0:
        return []
    return [
        {
            "amount": cost.tax,
            "tax_behavior": "exclusive",
            "tax_rate_details": {"tax_rate": TAX_RATE},
            "taxability_reason": "standard_rated",
            "taxable_amount": cost.taxable,
            "type": "tax_rate_details",
        }
    ]


def words(amount: int, currency: str) -> str:
    """The amount as people write it: $15.00."""
    sign = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency, f"{currency.upper()} ")
    return f"{'−' if amount < 0 else ''}{sign}{abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def every(price: Obj) -> str:
    """How often a price is due, in words: "a month", "every 3 months"; empty for once."""
    recurring = price["recurring"]
    if not recurring:
        return ""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f"a {interval}" if count == 1 else f"every {count} {interval}s"
