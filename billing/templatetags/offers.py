"""Plans and top-ups by their names."""

from django import template

from billing.sale.plans import shop

register = template.Library()


@register.filter
def offer_title(code: str) -> str:
    """The title of what is sold under a code; the code itself for what is sold no more."""
    offer = shop().offers.get(code)
    return offer.title if offer else code.capitalize()


@register.filter
def signed(amount: int) -> str:
    """A change with its sign, thousands apart: +1,200 or −3. Nothing for nought."""
    return f"{amount:+,}".replace("-", "−") if amount else ""


@register.filter
def words(code: str) -> str:
    """A code of Stripe's as words: needs response."""
    return code.replace("_", " ")
