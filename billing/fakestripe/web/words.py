"""Amounts, dates and periods as people write them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from billing.fakestripe.nouns.amounts import every, words


def day(at: int) -> str:
    """3 March 2026."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%B %Y}"


def money(amount: int, currency: str) -> str:
    """$15.00."""
    return words(amount, currency)


FILTERS: dict[str, Callable[..., Any]] = {"day": day, "money": money, "every": every}
