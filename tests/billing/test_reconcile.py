"""Fifty differences between Stripe and the ledger, put there by hand: each is found, and nothing else is."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Customer, Event, Finding, Operation, Payment, Subscription
from billing.sale import reconcile
from billing.sale.plans import price_of
from tests.billing.lives import stripe
from tests.billing.shop import Shop, whole

Found = set[tuple[str, str]]


def people(count: int) -> list[User]:
    numbers = itertools.count(User.objects.count())
    return [User.objects.create(email=f"p{next(numbers)}@example.org", password="!") for _ in range(count)]


def heard(shop: Shop, offer: str = "pack-500", interval: str = "once", person: User | None = None) -> Payment:
    shop.buy(offer, interval, person=person)
    shop.listen()
    return Payment.objects.latest("pk")


def never_heard(shop: Shop, offer: str, interval: str, person: User) -> Any:
    visit = shop.buy(offer, interval, person=person, look=False)
    shop.news()
    return visit


def top_ups_not_granted(shop: Shop, owner: Any) -> Found:
    return {("paid_not_granted", never_heard(shop, "pack-500", "once", each).stripe_id) for each in people(8)}


def plans_not_granted(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for person in people(4):
        visit = never_heard(shop, "studio", "month", person)
        session = stripe().checkout.sessions.retrieve(visit.stripe_id)
        found |= {
            ("paid_not_granted", session.invoice),
            ("subscription_unknown", session.subscription),
            ("checkout_left_open", session.id),
        }
    return found


def refunded_behind_our_back(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for part in (100, 200, 450, 899, 900, 1):
        payment = heard(shop)
        stripe().refunds.create({"payment_intent": payment.stripe_intent, "amount": part})
        shop.news()
        found.add(("money_went_back", payment.key))
    return found


def disputed_behind_our_back(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for ending in (None, "lost", "under_review", None):
        payment = heard(shop)
        dispute = shop.dispute(payment)
        if ending:
            shop.fake.move_dispute(dispute, ending)
        shop.news()
        found.add(("money_went_back", payment.key))
    return found


def amounts_changed(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for person in people(4):
        payment = heard(shop, "creator", "year", person) if person.pk % 2 else heard(shop, person=person)
        owner.execute("ALTER TABLE billing_payment DISABLE TRIGGER USER")
        owner.execute("UPDATE billing_payment SET amount = amount + 1 WHERE id = %s", [payment.pk])
        owner.execute("ALTER TABLE billing_payment ENABLE TRIGGER USER")
        found.add(("amount_differs", payment.key if not payment.stripe_subscription else payment.stripe_invoice))
    return found


def payments_that_stripe_does_not_know(shop: Shop, owner: Any) -> Found:
    made = [
        Payment.objects.create(
            person=shop.alice,
            key=f"checkout:cs_never_{n}",
            occasion="once",
            amount=900,
            currency="usd",
            stripe_intent=f"pi_never_{n}",
            paid_at=timezone.now(),
        )
        for n in range(3)
    ]
    return {("unknown_to_stripe", payment.key) for payment in made}


def noted_and_not_taken(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for part in (9, 450, 900):
        payment = heard(shop)
        stripe().refunds.create({"payment_intent": payment.stripe_intent, "amount": part})
        Payment.objects.filter(pk=payment.pk).update(refunded=part)
        shop.news()
        found.add(("not_taken_back", payment.key))
    return found


def granted_otherwise(shop: Shop, owner: Any) -> Found:
    made = [heard(shop) for _ in range(2)]
    for payment in made:
        owner.execute("ALTER TABLE billing_payment DISABLE TRIGGER USER")
        owner.execute("UPDATE billing_payment SET credits = 5000 WHERE id = %s", [payment.pk])
        owner.execute("ALTER TABLE billing_payment ENABLE TRIGGER USER")
    return {("granted_otherwise", payment.key) for payment in made}


def subscriptions_that_differ(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for person, change in zip(
        people(4),
        (
            {"status": "past_due"},
            {"status": "unpaid"},
            {"cancel_at_period_end": True},
            {"pause_collection": {"behavior": "void", "resumes_at": None}},
        ),
        strict=True,
    ):
        heard(shop, "studio", "month", person)
        subscription = Subscription.objects.latest("pk").stripe_id
        shop.fake.tamper(subscription, **change)
        found.add(("subscription_differs", subscription))
    return found


def subscriptions_that_stripe_does_not_know(shop: Shop, owner: Any) -> Found:
    Subscription.objects.create(
        person=people(1)[0], stripe_id="sub_never", stripe_item="si", status="active", started_at=timezone.now()
    )
    return {("unknown_to_stripe", "sub_never")}


def subscribed_twice(shop: Shop, owner: Any) -> Found:
    (person,) = people(1)
    first = heard(shop, "studio", "month", person)
    # The second was sold past us, as by a link that somebody made in Stripe.
    session = stripe().checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": person.customer.stripe_id,
            "line_items": [{"price": first.price.stripe_price, "quantity": 1}],
            "success_url": "http://testserver/",
        }
    )
    shop.fake.pay(session.url)
    shop.listen()
    assert Subscription.objects.of(person).count() == 2
    return {("subscribed_twice", f"person:{person.pk}")}


def gone_and_charged(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for person in people(2):
        heard(shop, "studio", "month", person)
        User.objects.filter(pk=person.pk).update(is_active=False)
        found.add(("gone_and_charged", Subscription.objects.latest("pk").stripe_id))
    return found


def customers_gone(shop: Shop, owner: Any) -> Found:
    found: Found = set()
    for person in people(2):
        shop.begin("pack-500", person=person)
        customer = Customer.objects.get(person=person).stripe_id
        shop.fake.forget(customer)
        found.add(("customer_deleted", customer))
    return found


def prices_spoilt(shop: Shop, owner: Any) -> Found:
    off, other = price_of("pack-2000", "once"), price_of("creator", "month")
    assert off
    assert other
    shop.fake.tamper(off.stripe_price, active=False)
    shop.fake.tamper(other.stripe_price, unit_amount=1)
    return {("price_removed", "pack-2000:once"), ("price_differs", "creator:month")}


def events_left(shop: Shop, owner: Any) -> Found:
    long_ago = timezone.now() - timedelta(hours=2)
    for number, state in enumerate(["failed", "failed", "waiting", "waiting"]):
        Event.objects.create(
            stripe_id=f"evt_left_{number}",
            type="invoice.paid",
            object_id="in_x",
            customer="cus_x",
            payload={},
            created_at=long_ago,
            received_at=long_ago,
            due_at=timezone.now() + timedelta(days=1),
            state=state,
        )
    return {
        ("event_given_up", "evt_left_0"),
        ("event_given_up", "evt_left_1"),
        ("event_waits", "evt_left_2"),
        ("event_waits", "evt_left_3"),
    }


def operations_left(shop: Shop, owner: Any) -> Found:
    made = [
        Operation.objects.create(
            kind="refund.create", subject=f"act:{n}", params={}, begun_at=timezone.now() - timedelta(hours=1)
        )
        for n in range(2)
    ]
    return {("operation_unfinished", str(operation.pk)) for operation in made}


def checkouts_left(shop: Shop, owner: Any) -> Found:
    visits = [shop.begin("pack-500", person=person) for person in people(2)]
    for visit in visits:
        stripe().checkout.sessions.expire(visit.stripe_id)
    shop.news()
    return {("checkout_left_open", visit.stripe_id or "") for visit in visits}


SEEDS: tuple[Callable[[Shop, Any], Found], ...] = (
    top_ups_not_granted,
    plans_not_granted,
    refunded_behind_our_back,
    disputed_behind_our_back,
    amounts_changed,
    payments_that_stripe_does_not_know,
    noted_and_not_taken,
    granted_otherwise,
    subscriptions_that_differ,
    subscriptions_that_stripe_does_not_know,
    subscribed_twice,
    gone_and_charged,
    customers_gone,
    events_left,
    operations_left,
    checkouts_left,
    prices_spoilt,
)
# What only a person can set right.
BY_HAND = {
    "amount_differs",
    "unknown_to_stripe",
    "granted_otherwise",
    "subscribed_twice",
    "gone_and_charged",
    "price_removed",
    "price_differs",
    "event_waits",
    "operation_unfinished",
}


def test_fifty_differences_are_found_and_none_that_is_not_there(shop: Shop, as_owner: Any) -> None:
    heard(shop)
    assert [str(each) for each in reconcile.differences()] == []
    seeded: Found = set()
    for seed in SEEDS:
        seeded |= seed(shop, as_owner)
    assert len(seeded) >= 50
    found = list(reconcile.differences())
    assert {(each.kind, each.about) for each in found} == seeded
    assert all(each.what and each.remedy for each in found)

    _, mended = reconcile.reconcile(mend=True)
    # What was mended may be looked at again: a retried event of nobody's is of no concern.
    shop.work()
    left = {(each.kind, each.about) for each in reconcile.differences()}
    assert left == {each for each in seeded if each[0] in BY_HAND}
    assert mended == len(seeded) - len(left)
    assert set(Finding.objects.filter(gone_at__isnull=True).values_list("kind", "about")) == left
    assert whole() == [] or all("granted 5000" in line for line in whole())


def test_the_command_lists_fails_and_mends(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("till", "reconcile")
    assert "Stripe and the ledger agree." in capsys.readouterr().out
    visit = shop.buy("pack-500", look=False)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("till", "reconcile")
    said = capsys.readouterr().out
    assert f"paid_not_granted {visit.stripe_id}: $9 were paid" in said
    assert "Grant what was paid for." in said
    call_command("till", "reconcile", "--mend")
    assert "agree, after 1 were mended" in capsys.readouterr().out
    assert ledger.balance(shop.wallet).available == 516


def test_one_finding_is_mended_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shop.buy("pack-500", look=False), shop.buy("pack-500", look=False)
    reconcile.reconcile(mend=False)
    finding = Finding.objects.get(about=first.stripe_id)
    # Nothing else is compared: that would take a request as long as there are customers.
    monkeypatch.delattr(reconcile, "differences")
    assert reconcile.mend(finding)
    finding.refresh_from_db()
    assert not reconcile.mend(finding)
    assert shop.balance[0] == 516
    assert set(Finding.objects.filter(gone_at__isnull=True).values_list("about", flat=True)) == {second.stripe_id}


def test_while_stripe_is_away_nothing_is_said_to_differ(shop: Shop) -> None:
    shop.buy("pack-500", look=False)
    shop.fake.faults(next=1000, kind="down")
    with pytest.raises(CommandError, match="cannot be reached"):
        call_command("till", "reconcile")
    assert not Finding.objects.exists()
