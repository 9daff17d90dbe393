"""Numbers as people type them."""

from decimal import Decimal, InvalidOperation

from billing.console.acts import NotAllowed
from billing.money import WHOLE


def credits(text: str) -> int:
    """A whole number, with or without separators; below zero with either minus. Raises NotAllowed."""
    try:
        number = Decimal(_plain(text))
    except InvalidOperation as error:
        raise NotAllowed("amount", "Type a whole number of credits: 500 to give, -500 to take.") from error
    if not number.is_finite() or number != number.to_integral_value() or abs(number) >= 10**15:
        raise NotAllowed("amount", "Type a whole number of credits: 500 to give, -500 to take.")
    return int(number)


def money(text: str, currency: str) -> int:
    """An amount of money, in its smallest unit. Raises NotAllowed."""
    places = 0 if currency.lower() in WHOLE else 2
    example = "7.50" if places else "750"
    try:
        number = Decimal(_plain(text).lstrip("$€£"))
    except InvalidOperation as error:
        raise NotAllowed("amount", f"Type an amount in {currency.upper()}, such as {example}.") from error
    smallest = number.scaleb(places) if number.is_finite() and abs(number) < 10**12 else Decimal("0.5")
    if smallest != smallest.to_integral_value():
        raise NotAllowed("amount", f"Type an amount in {currency.upper()}, such as {example}.")
    return int(smallest)


def plain(amount: int, currency: str) -> str:
    """An amount as it stands in a field: 7.50."""
    return str(amount) if currency.lower() in WHOLE else f"{amount // 100}.{amount % 100:02}"


def _plain(text: str) -> str:
    return text.strip().replace("−", "-").replace(",", "").replace(" ", "").replace("\u2009", "")
