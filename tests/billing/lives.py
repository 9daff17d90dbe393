"""Lives of a purchase, each lived at the offline Stripe alone; and what must come of each, whatever is heard when.

A life is lived to its end first. Then its events are heard from nothing, in one order after another, each time with
some of them twice, and worked on one by one or several at once.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from billing.models import Event
from billing.sale import customers, events, till
from billing.sale.plans import price_of
from tests.billing.shop import Shop, picture, whole

FAILS = "pm_card_chargeCustomerFail"


@dataclass(frozen=True)
class Life:
    """What happens, and what Alice has of it in the end: plan, spendable credits, debt."""

    live: Callable[[Shop], None]
    plan: str
    available: int
    owed: int = 0


def stripe() -> Any:
    return till.client().v1


def top_up(shop: Shop) -> dict[str, Any]:
    """Buy 500 credits; the charge."""
    shop.buy("pack-500", look=False)
    return shop.fake.objects("charge")[-1]


def plan(shop: Shop, offer: str = "studio", interval: str = "month", **how: Any) -> dict[str, Any]:
    """Subscribe; the subscription."""
    shop.buy(offer, interval, look=False, **how)
    return shop.fake.objects("subscription")[-1]


def change(shop: Shop, offer: str, interval: str = "month", **how: Any) -> None:
    """Change the newest subscription's price."""
    subscription = shop.fake.objects("subscription")[-1]
    price = price_of(offer, interval)
    assert price is not None
    item = subscription["items"]["data"][0]["id"]
    stripe().subscriptions.update(subscription["id"], {"items": [{"id": item, "price": price.stripe_price}], **how})


def pay_with(shop: Shop, card: str) -> None:
    """Another card for the newest subscription."""
    customer = shop.fake.objects("customer")[-1]["id"]
    method = stripe().payment_methods.attach(card, {"customer": customer})
    stripe().customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    stripe().subscriptions.update(shop.fake.objects("subscription")[-1]["id"], {"default_payment_method": method.id})


def refunded_in_part(shop: Shop) -> None:
    charge = top_up(shop)
    stripe().refunds.create({"charge": charge["id"], "amount": 450})


def won(shop: Shop) -> None:
    dispute = shop.fake.dispute(top_up(shop)["id"])
    shop.fake.move_dispute(dispute["id"], "won")


def lost(shop: Shop) -> None:
    dispute = shop.fake.dispute(top_up(shop)["id"])
    shop.fake.move_dispute(dispute["id"], "lost")


def trial_paid(shop: Shop) -> None:
    plan(shop, "creator")
    shop.fake.advance(days=8)


def trial_left(shop: Shop) -> None:
    subscription = plan(shop, "creator")
    stripe().subscriptions.cancel(subscription["id"])


def renewed_twice(shop: Shop) -> None:
    plan(shop)
    shop.fake.advance(days=62)


def failed_then_paid(shop: Shop) -> None:
    plan(shop)
    pay_with(shop, FAILS)
    shop.fake.advance(days=31, hours=3)
    pay_with(shop, "pm_card_visa")
    shop.fake.advance(days=4)


def failed_for_good(shop: Shop) -> None:
    plan(shop)
    pay_with(shop, FAILS)
    shop.fake.advance(days=60)


def upgraded(shop: Shop) -> None:
    plan(shop, "creator")
    shop.fake.advance(days=8)
    shop.fake.advance(days=14)
    change(shop, "studio", proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")


def downgraded(shop: Shop) -> None:
    plan(shop)
    change(shop, "creator", proration_behavior="none")
    shop.fake.advance(days=31, hours=3)


def ended_and_taken_back(shop: Shop) -> None:
    subscription = plan(shop)
    stripe().subscriptions.update(subscription["id"], {"cancel_at_period_end": True})
    stripe().subscriptions.update(subscription["id"], {"cancel_at_period_end": False})


def ended(shop: Shop) -> None:
    subscription = plan(shop)
    stripe().subscriptions.update(subscription["id"], {"cancel_at_period_end": True})
    shop.fake.advance(days=32)


def paused_and_resumed(shop: Shop) -> None:
    subscription = plan(shop)
    stripe().subscriptions.update(subscription["id"], {"pause_collection": {"behavior": "void"}})
    shop.fake.advance(days=32)
    stripe().subscriptions.update(subscription["id"], {"pause_collection": ""})
    shop.fake.advance(days=29)


def abandoned(shop: Shop) -> None:
    shop.begin("pack-500")
    shop.fake.advance(days=2)


def for_nothing(shop: Shop) -> None:
    coupon = stripe().coupons.create({"percent_off": 100, "duration": "once"})
    stripe().promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "VAGLIO"})
    plan(shop, promotion_code="VAGLIO")


def refunded_and_ended(shop: Shop) -> None:
    subscription = plan(shop)
    stripe().refunds.create({"charge": shop.fake.objects("charge")[-1]["id"]})
    stripe().subscriptions.cancel(subscription["id"])


def customer_deleted(shop: Shop) -> None:
    plan(shop)
    stripe().customers.delete(shop.fake.objects("customer")[-1]["id"])


LIVES: dict[str, Life] = {
    "a top-up": Life(lambda shop: top_up(shop) and None, "free", 516),
    "a top-up refunded in part": Life(refunded_in_part, "free", 266),
    "a top-up disputed and won": Life(won, "free", 516),
    "a top-up disputed and lost": Life(lost, "free", 16),
    "a plan": Life(lambda shop: plan(shop) and None, "studio", 5016),
    "a year": Life(lambda shop: plan(shop, "creator", "year") and shop.fake.advance(days=8) and None, "creator", 14416),
    "a trial that was paid for": Life(trial_paid, "creator", 1216),
    "a trial that was left": Life(trial_left, "free", 76),
    "renewed twice": Life(renewed_twice, "studio", 15001),
    "a renewal that failed and was paid": Life(failed_then_paid, "studio", 10001),
    "a renewal that failed for good": Life(failed_for_good, "free", 5001),
    "an upgrade in mid-month": Life(upgraded, "studio", 3177),
    "a downgrade": Life(downgraded, "creator", 6201),
    "a cancellation that was taken back": Life(ended_and_taken_back, "studio", 5016),
    "a plan that ended": Life(ended, "free", 5001),
    "a pause over a renewal": Life(paused_and_resumed, "studio", 10001),
    "a card that asks the bank": Life(lambda shop: plan(shop, card="4000002760003184") and None, "studio", 5016),
    "a checkout that was abandoned": Life(abandoned, "free", 16),
    "a promotion code for everything": Life(for_nothing, "studio", 5016),
    "a plan refunded and ended": Life(refunded_and_ended, "free", 16),
    "a customer deleted at Stripe": Life(customer_deleted, "free", 5016),
}


def orders(told: list[dict[str, Any]], most: int, dice: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Every order of up to five events, or `most` shuffles of more, each with some events twice or three times."""
    if len(told) <= 5:
        every = list(itertools.permutations(told))
        for order in every if len(every) <= most else dice.sample(every, most):
            yield list(order)
    else:
        for _ in range(most):
            again = [event for event in told if dice.random() < 0.3]
            order = [*told, *again, *again[::2]]
            dice.shuffle(order)
            yield order


def hear(shop: Shop, told: list[dict[str, Any]], dice: random.Random) -> dict[str, Any]:
    """Hear these events in this order, from nothing; where Alice stands then. Nothing of it is kept."""
    allowed = customers.require_no_transaction
    customers.require_no_transaction = lambda: None  # all of it happens in one transaction that is rolled back
    try:
        with transaction.atomic():
            for event in told:
                events.keep(event)
                if dice.random() < 0.5:
                    shop.work()
            shop.work()
            left = list(Event.objects.filter(state__in=["waiting", "failed"]).values_list("type", "error"))
            assert left == [], left
            assert whole() == []
            stands = picture(shop.alice) | {"plan": shop.plan}
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
    finally:
        customers.require_no_transaction = allowed
    return stands


def lives_the_same_in_every_order(shop: Shop, name: str, most: int, seed: int = 1) -> int:
    """Live it, hear of it in up to `most` orders, and compare. Returns how many orders it were."""
    dice = random.Random(f"{name}:{seed}")
    life = LIVES[name]
    life.live(shop)
    told = shop.news()
    first = hear(shop, told, dice)
    stands = (first["plan"], first["balance"][0], first["balance"][2])
    assert stands == (life.plan, life.available, life.owed), (stands, first)
    count = 0
    for order in orders(told, most, dice):
        stands = hear(shop, order, dice)
        assert stands == first, [event["type"] for event in order]
        count += 1
    return count
