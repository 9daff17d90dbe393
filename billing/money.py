"""Amounts of money, as a person reads them."""

# Currencies without a smaller unit; Stripe's list.
WHOLE = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)
SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def money(amount: int, currency: str) -> str:
    """An amount in words that a person reads: $15, $7.50, 1,200 JPY."""
    currency = currency.lower()
    sign = "-" if amount < 0 else ""
    whole, part = (abs(amount), 0) if currency in WHOLE else divmod(abs(amount), 100)
    told = f"{whole:,}" + (f".{part:02}" if part else "")
    return f"{sign}{SIGNS[currency]}{told}" if currency in SIGNS else f"{sign}{told} {currency.upper()}"
