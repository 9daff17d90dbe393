"""Events on their way: signed, repeated, shuffled, lost and found."""

import pytest
import stripe

from billing.fakestripe import FakeStripe
from tests.fakestripe.receiver import Receiver
from tests.fakestripe.till import Till


@pytest.fixture
def hooked(till: Till, fake: FakeStripe, receiver: Receiver) -> Receiver:
    """A receiver that is entered as an endpoint."""
    fake.add_endpoint(receiver.url)
    return receiver


def test_an_endpoint_gets_what_it_asked_for_signed_with_its_secret(
    till: Till, fake: FakeStripe, receiver: Receiver
) -> None:
    endpoint = till.v1.webhook_endpoints.create(
        params={
            "url": receiver.url,
            "enabled_events": ["checkout.session.completed"],
            "api_version": "2026-08-26.dahlia",
        }
    )
    assert "secret" not in till.v1.webhook_endpoints.retrieve(endpoint.id)
    session = till.bought(till.top_up())
    fake.settle()
    [event] = receiver.events(till.client, endpoint.secret)
    assert (event.type, event.data.object.id, event.api_version) == (
        "checkout.session.completed",
        session.id,
        "2026-08-26.dahlia",
    )
    assert till.v1.events.retrieve(event.id).pending_webhooks == 0
    assert till.v1.webhook_endpoints.delete(endpoint.id).deleted is True
    assert till.v1.webhook_endpoints.list().data == []


def test_events_tell_what_was_before(till: Till, fake: FakeStripe, hooked: Receiver) -> None:
    customer = till.customer(name="A")
    till.v1.customers.update(customer.id, params={"name": "B"}, options={"idempotency_key": "rename"})
    fake.settle()
    created, updated = hooked.events(till.client, fake.webhook_secret)
    assert (created.type, updated.type) == ("customer.created", "customer.updated")
    assert updated.data.previous_attributes["name"] == "A"
    assert (updated.data.object.name, updated.request.idempotency_key) == ("B", "rename")
    assert created.data.object.name == "A"


def test_a_refused_event_comes_again_after_a_while(till: Till, fake: FakeStripe, hooked: Receiver) -> None:
    hooked.status = 500
    customer = till.customer()
    fake.settle()
    [event] = till.v1.events.list(params={"delivery_success": False}).data
    assert (event.data.object.id, event.pending_webhooks) == (customer.id, 1)
    hooked.status = 200
    fake.advance(minutes=1)
    fake.settle()
    assert len(hooked.posts) == 2
    assert till.v1.events.list(params={"delivery_success": False}).data == []
    assert len(till.v1.events.list(params={"delivery_success": True, "type": "customer.*"}).data) == 1


def test_after_three_days_nobody_tries_any_more(till: Till, fake: FakeStripe, hooked: Receiver) -> None:
    hooked.status = 500
    till.customer()
    fake.settle()
    for _ in range(12):
        fake.advance(hours=11)
        fake.settle()
    tried = len(hooked.posts)
    fake.advance(days=1)
    fake.settle()
    assert len(hooked.posts) == tried
    assert len(till.v1.events.list(params={"delivery_success": False}).data) == 1


def test_events_arrive_twice_out_of_order_or_not_at_all(till: Till, fake: FakeStripe, hooked: Receiver) -> None:
    fake.faults(webhooks={"hold": True, "duplicate": 1, "reorder": True, "seed": 7, "drop": ["price.created"]})
    till.top_up(), till.top_up(), till.top_up()
    assert hooked.posts == []
    fake.faults(webhooks={"hold": False})
    fake.settle()
    got = [event.id for event in hooked.events(till.client, fake.webhook_secret)]
    made = [event["id"] for event in fake.events("product.created")]
    assert sorted(got) == sorted(made * 2)
    assert got[::2] != made
    lost = till.v1.events.list(params={"delivery_success": False, "types": ["price.created"]}).data
    assert len(lost) == 3


def test_held_events_are_released_in_the_given_order(till: Till, fake: FakeStripe, hooked: Receiver) -> None:
    fake.faults(webhooks={"hold": True})
    for name in "abc":
        till.customer(name=name)
    order = [event["id"] for event in fake.events()][::-1]
    assert fake.release(order) == 3
    assert [event.data.object.name for event in hooked.events(till.client, fake.webhook_secret)] == ["c", "b", "a"]


@pytest.mark.parametrize("knob", ["stale", "wrong_signature"])
def test_a_bad_signature_is_seen_by_the_library(till: Till, fake: FakeStripe, hooked: Receiver, knob: str) -> None:
    fake.faults(webhooks={knob: True})
    till.customer()
    fake.settle()
    with pytest.raises(stripe.SignatureVerificationError):
        hooked.events(till.client, fake.webhook_secret)


def test_one_event_is_delivered_by_hand(till: Till, fake: FakeStripe, receiver: Receiver) -> None:
    till.customer()
    [event] = fake.events()
    assert fake.deliver(event["id"], receiver.url, "whsec_mine") == 200
    assert receiver.events(till.client, "whsec_mine")[0].id == event["id"]
