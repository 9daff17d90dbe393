"""From the button to the credits, with an offline Stripe behind it: what is paid is granted, once, and nothing else."""

import pytest

from billing.fakestripe import Declined
from billing.models import Checkout, Event, Lot, Payment, Subscription
from billing.sale import checkout, events
from billing.sale.plans import price_of
from billing.sale.till import StripeAway
from tests.billing.shop import Shop, whole


def test_a_top_up_is_paid_and_its_credits_are_there(shop: Shop) -> None:
    visit = shop.buy("pack-500")
    visit.refresh_from_db()
    assert visit.state == "paid"
    assert shop.balance == (516, 0, 0)
    lot = Lot.objects.get(source="paid")
    assert (lot.granted, lot.cost_basis, lot.currency, lot.expires_at.isoformat()[:10]) == (
        500,
        900,
        "usd",
        "2028-01-05",
    )
    payment = Payment.objects.get()
    assert (payment.amount, payment.card_brand, payment.card_last4) == (900, "visa", "4242")
    shop.listen()
    assert shop.balance == (516, 0, 0)
    assert whole() == []


def test_a_top_up_has_its_invoice_whenever_stripe_writes_it(shop: Shop) -> None:
    shop.buy("pack-500")
    payment = Payment.objects.get()
    assert payment.number
    assert payment.page_url.startswith(shop.fake.url)
    Payment.objects.update(number="", page_url="", stripe_invoice="")
    shop.listen()
    again = Payment.objects.get()
    assert (again.number, again.page_url, again.stripe_invoice) == (
        payment.number,
        payment.page_url,
        payment.stripe_invoice,
    )


def test_the_webhook_alone_is_enough_when_the_browser_never_comes_back(shop: Shop) -> None:
    visit = shop.buy("pack-500", look=False)
    assert shop.balance == (16, 0, 0)
    shop.listen()
    visit.refresh_from_db()
    assert (visit.state, shop.balance) == ("paid", (516, 0, 0))


def test_a_double_click_and_the_back_button_find_the_same_page(shop: Shop) -> None:
    price = shop.begin("pack-500").price
    first = checkout.begin(shop.alice, price, key="one-form-sent-twice")
    again = checkout.begin(shop.alice, price, key="one-form-sent-twice")
    assert (first.pk, first.url) == (again.pk, again.url)
    assert len(shop.fake.objects("checkout.session")) == 2
    shop.fake.pay(first.url)
    checkout.fulfil(first.stripe_id)
    paid = checkout.begin(shop.alice, price, key="one-form-sent-twice")
    assert (paid.state, paid.url) == ("paid", "")
    assert shop.balance[0] == 516


def test_a_second_page_for_a_plan_closes_the_first(shop: Shop) -> None:
    first = shop.begin("creator", "month")
    second = shop.begin("studio", "month")
    first.refresh_from_db()
    assert (first.state, first.url) == ("expired", "")
    with pytest.raises(Declined, match="Begin again in the shop"):
        shop.fake.pay(f"{shop.fake.url}/c/pay/{first.stripe_id}")
    shop.fake.pay(second.url)
    checkout.fulfil(second.stripe_id or "")
    assert shop.plan == "studio"
    assert Subscription.objects.count() == 1


def test_a_plan_that_was_paid_in_another_window_is_not_sold_again(shop: Shop) -> None:
    first = shop.begin("studio", "month")
    shop.fake.pay(first.url)
    with pytest.raises(checkout.AlreadySubscribed):
        shop.begin("creator", "month")
    assert shop.plan == "studio"
    assert len(shop.fake.objects("subscription")) == 1


def test_a_page_for_credits_is_left_open(shop: Shop) -> None:
    top_up = shop.begin("pack-500")
    shop.begin("creator", "month")
    top_up.refresh_from_db()
    assert top_up.state == "open"


def test_nobody_fills_the_tables_with_visits(shop: Shop) -> None:
    for _ in range(checkout.MOST_AN_HOUR):
        last = shop.begin("pack-500")
    with pytest.raises(checkout.TooManyVisits):
        shop.begin("pack-500")
    assert checkout.begin(shop.alice, last.price, key=last.key).pk == last.pk, "those that are open stay so"
    assert shop.begin("pack-500", person=shop.people.carol)
    shop.pass_by(hours=1, minutes=1)
    assert shop.begin("pack-500")


def test_a_plan_is_tried_then_paid_for_then_renewed(shop: Shop) -> None:
    shop.buy("creator", "month")
    assert (shop.plan, shop.subscription.status, shop.balance) == ("creator", "trialing", (76, 0, 0))
    assert Lot.objects.get(source="promotion").granted == 60
    shop.pass_by(days=7, hours=2)
    assert shop.subscription.status == "active"
    paid = Lot.objects.get(source="paid")
    assert (paid.granted, paid.cost_basis) == (1200, 1500)
    # What is left of a month lasts one month longer.
    assert (paid.expires_at - paid.effective_at).days == 58
    shop.pass_by(days=31, hours=2)
    assert Lot.objects.filter(source="paid").count() == 2
    assert [payment.occasion for payment in Payment.objects.order_by("pk")] == [
        "subscription_create",
        "subscription_cycle",
        "subscription_cycle",
    ]
    assert whole() == []


def test_events_come_twice_and_backwards_and_nothing_is_granted_twice(shop: Shop) -> None:
    shop.buy("studio", "year", look=False)
    told = shop.news()
    for event in [*reversed(told), *told]:
        events.keep(event)
    shop.work()
    assert shop.balance == (60016, 0, 0)
    assert shop.plan == "studio"
    assert not Event.objects.filter(state__in=["waiting", "failed"]).exists()
    assert Checkout.objects.get().state == "paid"


@pytest.mark.parametrize("card", ["4000000000000002", "4000000000009995"])
def test_a_declined_card_buys_nothing_and_the_page_stays_open(shop: Shop, card: str) -> None:
    from billing.fakestripe.handle import Declined

    visit = shop.begin("pack-500")
    with pytest.raises(Declined):
        shop.fake.pay(visit.url, card)
    checkout.fulfil(visit.stripe_id)
    shop.listen()
    visit.refresh_from_db()
    assert (visit.state, shop.balance) == ("open", (16, 0, 0))
    shop.fake.pay(visit.url)
    shop.listen()
    assert shop.balance == (516, 0, 0)


def test_a_call_is_repeated_in_the_very_words(shop: Shop) -> None:
    """The database gives parameters back in another order, and the same key with other words is an error."""
    shop.fake.faults(next=1, match="POST /v1/checkout/sessions", kind="timeout_after_commit")
    price = price_of("pack-500", "once")
    assert price
    with pytest.raises(StripeAway):
        checkout.begin(shop.alice, price, key="one-form-of-hers")
    assert checkout.begin(shop.alice, price, key="one-form-of-hers").url
    assert len(shop.fake.objects("checkout.session")) == 1
