"""Balance transactions: each movement of the account's money."""

from billing.fakestripe.core.params import Params
from billing.fakestripe.core.routes import route
from billing.fakestripe.core.shapes import created_filter, page
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World


def move(
    world: World, source: str, *, amount: int, currency: str, type: str, category: str, text: str | None, fee: int = 0
) -> Obj:
    """Write one movement; `amount` is negative when money leaves."""
    details = [{"amount": fee, "application": None, "currency": currency, "description": "Fee", "type": "stripe_fee"}]
    entry: Obj = {
        "id": world.id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": world.now + (2 * 86_400 if amount > 0 else 0),
        "balance_type": "payments",
        "created": world.now,
        "currency": currency,
        "description": text,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": details if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "pending" if amount > 0 else "available",
        "type": type,
    }
    world.save(entry)
    return entry


def fee_on(amount: int) -> int:
    """What Stripe keeps of a card payment: 2.9 % and 30 cents."""
    return (amount * 29 + 500) // 1000 + 30


@route("GET", "/v1/balance_transactions/{}")
def retrieve(world: World, p: Params, key: str) -> Obj:
    """One movement."""
    p.end()
    return world.get("balance_transaction", key)


@route("GET", "/v1/balance_transactions")
def list_all(world: World, p: Params) -> Obj:
    """Movements, newest first, by source, type, currency or time."""
    source, type, currency, created = p.text("source"), p.text("type"), p.text("currency"), created_filter(p)
    found = world.store.where("balance_transaction", "source", source)[::-1] if source else None
    return page(
        world,
        p,
        "/v1/balance_transactions",
        found if found is not None else world.store.newest_first("balance_transaction"),
        lambda obj: (
            (not type or obj["type"] == type) and (not currency or obj["currency"] == currency) and created(obj)
        ),
    )
