"""What the base page needs on every page."""

from functools import cache
from typing import Any

from django.http import HttpRequest

from accounts.models import User
from billing import ledger
from billing.sale.plans import FREE, shop

# Which entry of the bar a page belongs to, by the beginning of its address.
PLACES = {
    "/studio/": "studio",
    "/jobs/": "studio",
    "/gallery/": "gallery",
    "/wallet/": "wallet",
    "/desk/": "desk",
    "/console/": "console",
    "/account/login/": "login",
}


def site(request: HttpRequest) -> dict[str, Any]:
    """The place in the bar, and the credits that can be spent: counted once, and only if the page shows them."""
    here = next((name for start, name in PLACES.items() if request.path.startswith(start)), "")
    user = getattr(request, "user", None)
    known = {"here": here, "free_credits": shop().offers[FREE].credits}
    if not isinstance(user, User):
        return known

    @cache
    def credits() -> int:
        return ledger.balance(ledger.wallet_of(user)).available

    return known | {"credits": credits}
