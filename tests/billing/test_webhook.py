"""What comes to the address of Stripe's events, from Stripe and from others."""

import json
import time
from typing import Any

import pytest
import stripe
from django.test import Client
from django.utils import timezone

from billing.models import Event
from billing.sale import events
from tests.billing.shop import SECRET, Shop

ADDRESS = "/stripe/events/"


def event(**fields: Any) -> dict[str, Any]:
    told = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.updated",
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": "cus_1", "object": "customer"}},
    }
    return told | fields


def post(body: dict[str, Any] | bytes, *, secret: str = SECRET, at: int | None = None, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = at or int(time.time())
    signature = stripe.WebhookSignature.generate_signature_header(raw.decode("utf-8", "replace"), secret, stamp)
    headers = {"Stripe-Signature": signature} | headers
    return Client(enforce_csrf_checks=True).post(ADDRESS, raw, content_type="application/json", headers=headers)


@pytest.mark.django_db
def test_a_signed_event_is_kept_once() -> None:
    assert post(event()).json() == {"kept": True}
    assert post(event()).json() == {"kept": False}
    assert Event.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("letter", "how", "said"),
    [
        (event(), {"secret": "whsec_of_somebody_else"}, "signature does not fit"),
        (event(), {"at": int(time.time()) - 3600}, "older than five minutes"),
        (event(), {"Stripe-Signature": ""}, "signature does not fit"),
        (event(), {"Stripe-Signature": "t=x,v1=y"}, "signature does not fit"),
        (event(account="acct_other"), {}, "acct_other, which is not ours"),
        (event(livemode=True), {}, "other mode"),
        ({"id": "evt_1", "object": "charge"}, {}, "no event"),
        ({"object": "event"}, {}, "no event"),
        (b"[]", {}, "no event"),
        (b"{", {}, "signature"),
        (b"\xff\xfe", {}, "signature"),
    ],
)
def test_what_is_not_from_stripe_is_refused_and_not_kept(letter: Any, how: dict[str, Any], said: str) -> None:
    answer = post(letter, **how)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_an_installation_without_a_secret_takes_nothing(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert post(event(), secret="").status_code == 400


@pytest.mark.django_db
def test_a_type_that_nobody_knows_is_kept_and_of_no_concern() -> None:
    for number, told in enumerate(
        [event(type="vault.opened"), event(type=None), event(data=None), event(data={"object": []}), event(data=[])]
    ):
        assert post(told | {"id": f"evt_{number}"}).status_code == 200
    assert set(Event.objects.values_list("state", flat=True)) == {"ignored"}


@pytest.mark.django_db
def test_ten_megabytes_are_not_read() -> None:
    answer = post(event(padding="x" * 1_100_000))
    assert answer.status_code == 413
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_it_answers_to_nothing_but_a_letter() -> None:
    assert Client().get(ADDRESS).status_code == 405


def test_an_event_of_another_installation_changes_nothing(shop: Shop) -> None:
    """Two installations may share one account of Stripe's: each hears of the other's customers."""
    theirs = shop.fake.objects("customer")
    assert theirs == []
    for number, (kind, thing) in enumerate(
        [
            ("checkout.session.completed", {"id": "cs_theirs", "object": "checkout.session", "customer": "cus_theirs"}),
            ("invoice.paid", {"id": "in_theirs", "object": "invoice", "customer": "cus_theirs"}),
            ("customer.subscription.deleted", {"id": "sub_x", "object": "subscription", "customer": "cus_theirs"}),
            ("charge.refunded", {"id": "ch_x", "object": "charge", "payment_intent": "pi_theirs"}),
        ]
    ):
        events.keep(event(id=f"evt_{number}", type=kind, data={"object": thing}))
    shop.work()
    assert set(Event.objects.values_list("state", flat=True)) == {"ignored"}
    assert shop.balance == (16, 0, 0)


def test_while_stripe_is_away_events_wait_and_are_worked_on_when_it_is_back(shop: Shop) -> None:
    shop.buy("pack-500", look=False)
    told = shop.news()
    shop.fake.faults(next=1000, kind="down")
    for each in told:
        events.keep(each)
    events.work()
    assert shop.balance == (16, 0, 0)
    assert Event.objects.filter(state="waiting").exclude(error="").exists()
    shop.fake.faults(clear=True)
    for _ in range(3):
        shop.fake.advance(hours=1)
        shop.work()
    assert shop.balance == (516, 0, 0)
    assert not Event.objects.filter(state__in=["waiting", "failed"]).exists()


def test_a_fault_of_ours_is_tried_again_then_given_up_and_can_be_taken_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.buy("pack-500", look=False)
    broken = {**events.LOOKS, "session": lambda *_: 1 // 0}
    with monkeypatch.context() as patch:
        patch.setattr(events, "LOOKS", broken)
        for each in shop.news():
            if each["type"] == "checkout.session.completed":
                events.keep(each)
        for _ in range(events.MOST_ATTEMPTS + 2):
            shop.work()
            shop.fake.advance(hours=2)
    failed = Event.objects.get(state="failed")
    assert (failed.type, failed.error) == (
        "checkout.session.completed",
        "ZeroDivisionError: integer division or modulo by zero",
    )
    assert shop.balance == (16, 0, 0)
    assert events.retry_failed() == 1
    shop.work()
    assert shop.balance == (516, 0, 0)


def test_events_that_never_came_are_fetched(shop: Shop) -> None:
    shop.fake.add_endpoint("http://127.0.0.1:9/nobody-listens")
    shop.buy("pack-500", look=False)
    assert not Event.objects.exists()
    assert events.backfill() == len(shop.fake.events())
    shop.work()
    assert shop.balance == (516, 0, 0)
    assert events.backfill() == 0
    assert Event.objects.filter(created_at__lte=timezone.now()).exists()
