"""What is sold: plans and top-ups, read from one file, and what a person's plan allows them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from billing.models import Price, Subscription

FREE = "free"


@dataclass(frozen=True)
class Limits:
    """What a plan lets a person ask for. `weight` is the share in line, beside other people's."""

    longest_side: int
    film_seconds: int
    parallel_jobs: int
    weight: int


@dataclass(frozen=True)
class Offer:
    """A plan or a top-up. `prices` are amounts by interval ("month", "year", "once"), in the smallest unit."""

    code: str
    title: str
    line: str
    # A month's for a plan, also where it is paid by the year; all of a top-up's.
    credits: int
    prices: Mapping[str, int]
    limits: Limits | None = None
    trial_days: int = 0
    trial_credits: int = 0
    # For how many months after their own a plan's credits can still be spent.
    rollover_months: int = 0
    lasts_months: int = 0

    @property
    def is_plan(self) -> bool:
        """Whether it is subscribed to, rather than bought once."""
        return self.limits is not None

    def credits_for(self, interval: str) -> int:
        """Credits that one payment brings: a year's come at once."""
        return self.credits * (12 if interval == Price.Interval.YEAR else 1)


@dataclass(frozen=True)
class Shop:
    """The whole of plans.toml."""

    currency: str
    grace: timedelta
    automatic_tax: bool
    promotion_codes: bool
    offers: Mapping[str, Offer]

    @property
    def plans(self) -> list[Offer]:
        return [offer for offer in self.offers.values() if offer.is_plan]

    @property
    def top_ups(self) -> list[Offer]:
        return [offer for offer in self.offers.values() if not offer.is_plan]


@lru_cache
def shop() -> Shop:
    """What is sold here, read once a process. Raises ImproperlyConfigured naming what is wrong in the file."""
    return read(settings.PLANS)


def read(path: Path) -> Shop:
    """Read a file of plans and top-ups."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        offers = [_plan(each) for each in told.pop("plan")] + [_top_up(each) for each in told.pop("top_up", [])]
        days = int(told.pop("grace_days"))
        found = Shop(
            currency=str(told.pop("currency")).lower(),
            grace=timedelta(days=days),
            automatic_tax=told.pop("automatic_tax", False),
            promotion_codes=told.pop("promotion_codes", True),
            offers={offer.code: offer for offer in offers},
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"{path} cannot be read as plans: {error!r}") from error
    if told:
        raise ImproperlyConfigured(f"{path} says {', '.join(sorted(told))}, which means nothing here.")
    if FREE not in found.offers or found.offers[FREE].prices or len(found.offers) != len(offers):
        raise ImproperlyConfigured(f"{path} needs one plan {FREE!r} without a price, and each code once.")
    if any(not 0 < offer.credits < 10**9 or min([1, *offer.prices.values()]) <= 0 for offer in offers):
        raise ImproperlyConfigured(f"{path} sells something for nothing: credits and prices are above zero.")
    return found


def _plan(told: dict[str, Any]) -> Offer:
    limits = Limits(**told.pop("limits"))
    prices = {str(interval): int(told.pop(interval)) for interval in ("month", "year") if interval in told}
    return Offer(prices=prices, limits=limits, **told)


def _top_up(told: dict[str, Any]) -> Offer:
    return Offer(prices={"once": int(told.pop("once"))}, **told)


def price_of(offer: str, interval: str) -> Price | None:
    """The price at which it is sold now. None while Stripe knows none: `manage.py till prices` makes it."""
    sold = shop().offers.get(offer)
    newest = Price.objects.filter(offer=offer, interval=interval).order_by("-id").first()
    if sold is None or newest is None:
        return None
    wanted = (sold.prices.get(interval), shop().currency, sold.credits_for(interval))
    return newest if (newest.amount, newest.currency, newest.credits) == wanted else None


def current_subscription(person: User) -> Subscription | None:
    """The subscription that a person has, whether or not it is paid. The newest, should there be several."""
    return Subscription.objects.of(person).live().select_related("price", "paid_price").order_by("-id").first()


def plan_of(person: User, now: datetime | None = None) -> Offer:
    """The plan that a person has paid for at this moment, with its days of grace. The free one otherwise."""
    now = now or timezone.now()
    grace = now - shop().grace
    paid = (
        Subscription.objects.of(person)
        .filter(Q(paid_until__gt=now) | Q(paid_until__gt=grace, failing_since__isnull=False), ended_at__isnull=True)
        .select_related("paid_price")
        .order_by("-id")
        .first()
    )
    code = paid.paid_price.offer if paid and paid.paid_price else FREE
    # A plan that is sold no more keeps its name in the database alone.
    return shop().offers.get(code, shop().offers[FREE])


def limits_of(person: User) -> Limits:
    """What a person may ask for now."""
    limits = plan_of(person).limits
    assert limits is not None
    return limits
