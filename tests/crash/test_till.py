"""The process is killed at every place where money is noted. Nothing is granted, refunded or made at Stripe twice."""

import json
import signal
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from django.test import Client

from billing import ledger
from billing.console import acts, tallies
from billing.console.journal import CLEARING, journal
from billing.models import Act, ActOutcome, Event, Operation, Payment, Transfer
from billing.sale import checkout, events, notices, reconcile, till
from billing.sale.plans import price_of
from billing.sale.prices import bring_prices
from billing.verify import differences
from journal.transactions import step
from tests import places
from tests.billing.shop import Shop, open_shop, picture
from tests.crash.scenes import person
from tests.crash.test_failpoints import ELSEWHERE, by_step, in_child

REASON = "They asked for it in a letter."
PURCHASES = {
    "a top-up for sure": ("pack-500", "once"),
    "a top-up in doubt": ("pack-2000", "once"),
    "a plan": ("studio", "month"),
}


@pytest.fixture
def shop(fresh_database: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(settings, monkeypatch, prices=False) as shop:
        yield shop


def trade(shop: Shop) -> None:
    """A day at the till, which can be lived again from wherever it was left."""
    fake, alice = shop.fake, person("alice")
    # Sockets are not shared with the parent.
    fake._person = httpx.Client(timeout=30, trust_env=False)
    till._clients.clear()
    bring_prices()
    for key, (offer, interval) in PURCHASES.items():
        price = price_of(offer, interval)
        assert price is not None
        try:
            visit = checkout.begin(alice, price, key=key)
        except checkout.AlreadySubscribed:
            continue
        session = till.fetch(lambda c, visit=visit: c.v1.checkout.sessions.retrieve(visit.stripe_id))
        if session.status == "open":
            fake.pay(visit.url)
        checkout.fulfil(visit.stripe_id or "")
    hear(shop)
    correct()
    give_back(shop)
    dispute(shop)
    stripe_is_away(shop)
    hear(shop)
    settle_debt()
    notices.tell(alice, "runs_low", "2027-01")
    reconcile.reconcile(mend=True)
    tallies.count_days()
    browser = Client()
    browser.force_login(person("bruno"))
    browser.post("/console/exports/", {"sheet": "journal", "since": "2027-01-01", "until": "2027-01-31"})


def hear(shop: Shop) -> None:
    for event in till.fetch(lambda c: list(c.v1.events.list({"limit": 100}).auto_paging_iter())):
        events.keep(json.loads(str(event)))
    # A turn that was left behind by the dead is taken up again.
    Event.objects.filter(state="waiting").update(due_at=shop_now(shop))
    while events.work():
        pass


def shop_now(shop: Shop) -> Any:
    from django.utils import timezone

    return timezone.now()


def correct() -> None:
    acts.ask_correction(person("alice"), 100, reason=REASON, asked_by=person("bruno"), key="a small one")
    large = acts.ask_correction(person("alice"), 3000, reason=REASON, asked_by=person("bruno"), key="a large one")
    if not hasattr(large, "decision"):
        acts.decide(large, by=person("sofia"), is_granted=True)


def give_back(shop: Shop) -> None:
    payment = Payment.objects.get(amount=900)
    if not Act.objects.filter(key="money back").exists():
        acts.ask_refund(
            payment, 450, reason=REASON, asked_by=person("bruno"), key="money back", beyond=True, keeps_credits=False
        )
    acts.carry_out_granted()


def dispute(shop: Shop) -> None:
    """What was bought was spent, and then the card's owner says that it was not them."""
    payment = Payment.objects.get(amount=2900)
    wallet = ledger.wallet_of(person("alice"))
    with step("tests.spend"):
        if not Transfer.objects.filter(key="medium:film:hold").exists():
            ledger.hold(wallet, {"medium:film": ledger.balance(wallet).available})
            ledger.capture("medium:film")
    if not till.fetch(lambda c: c.v1.disputes.list({"payment_intent": payment.stripe_intent}).data):
        shop.fake.dispute(payment.stripe_charge)


def stripe_is_away(shop: Shop) -> None:
    """One piece of news comes while Stripe does not answer."""
    from django.conf import settings

    there = settings.STRIPE_API_BASE
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    try:
        for event in Event.objects.filter(type="checkout.session.completed")[:1]:
            events.keep({**event.payload, "id": "evt_while_away"})
            events.work()
    finally:
        settings.STRIPE_API_BASE = there


def settle_debt() -> None:
    """Credits that came meanwhile are set against what is owed, from the wallet's page."""
    wallet = ledger.wallet_of(person("alice"))
    wallet.refresh_from_db()
    browser = Client()
    browser.force_login(person("alice"))
    assert browser.post("/wallet/repayment/").status_code == 302


def money_places() -> list[str]:
    return sorted(place for place in places.failpoints() if place.startswith(ELSEWHERE))


@pytest.mark.parametrize("places_of_step", by_step(money_places()), ids=lambda step: step[0])
def test_a_kill_here_grants_and_refunds_nothing_twice(places_of_step: list[str], shop: Shop) -> None:
    for place in places_of_step:
        assert in_child(lambda: trade(shop), kill_at=place) == signal.SIGKILL, f"{place} was never reached"
    in_child(lambda: trade(shop))
    assert_traded_once(shop)


def test_a_day_at_the_till_without_a_kill(shop: Shop) -> None:
    in_child(lambda: trade(shop))
    assert_traded_once(shop)
    in_child(lambda: trade(shop))
    assert_traded_once(shop)


def assert_traded_once(shop: Shop) -> None:
    made = {kind: len(shop.fake.objects(kind)) for kind in ("customer", "checkout.session", "refund", "subscription")}
    assert made == {"customer": 1, "checkout.session": 3, "refund": 1, "subscription": 1}
    stands = picture(shop.people.alice)
    assert stands["balance"] == (0, 0, 2000)
    assert sorted(stands["taken"].values()) == [0, 250, 2000]
    assert [lot[:2] for lot in stands["lots"]] == [
        ("correction", 100),
        ("correction", 3000),
        ("grant", 1),
        ("grant", 15),
        ("paid", 500),
        ("paid", 2000),
        ("paid", 5000),
    ]
    assert not Event.objects.filter(state__in=["waiting", "failed"]).exists()
    assert not Operation.objects.exclude(state="done").exists()
    assert ActOutcome.objects.count() == Act.objects.count()
    clearing = [each for each in journal(date(2027, 1, 1), date(2027, 1, 31)) if each.account == CLEARING]
    assert sum(each.debit - each.credit for each in clearing) == (900 + 2900 + 4900) - 450 - 2900
    assert list(differences()) == []
    assert [str(each) for each in reconcile.differences()] == []
