"""Giving money back."""

import pytest
import stripe

from tests.fakestripe.till import Till


def test_a_refund_is_partial_then_whole_then_refused(till: Till) -> None:
    intent = till.bought(till.top_up(1000)).payment_intent
    first = till.v1.refunds.create(
        params={"payment_intent": intent.id, "amount": 300, "reason": "requested_by_customer", "metadata": {"why": "x"}}
    )
    assert (first.status, first.amount, first.metadata["why"]) == ("succeeded", 300, "x")
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded") as refused:
        till.v1.refunds.create(params={"payment_intent": intent.id, "amount": 701})
    assert refused.value.param == "amount"
    second = till.v1.refunds.create(params={"charge": intent.latest_charge.id})
    assert second.amount == 700
    charge = till.v1.charges.retrieve(intent.latest_charge.id, params={"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, len(charge.refunds.data)) == (1000, True, 2)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        till.v1.refunds.create(params={"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    listed = till.v1.refunds.list(params={"payment_intent": intent.id})
    assert [one.id for one in listed.data] == [second.id, first.id]
    entries = till.v1.balance_transactions.list(params={"type": "refund", "source": first.id}).data
    assert [entry.amount for entry in entries] == [-300]


def test_a_refund_may_fail_after_it_seemed_to_succeed(till: Till) -> None:
    intent = till.bought(till.top_up(1000), "4000000000005126").payment_intent
    refund = till.v1.refunds.create(params={"payment_intent": intent.id})
    assert refund.status == "succeeded"
    till.driver.advance(minutes=5)
    failed = till.v1.refunds.retrieve(refund.id, params={"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_balance_transaction.amount) == ("failed", 1000)
    assert till.v1.charges.retrieve(intent.latest_charge.id).amount_refunded == 0
    assert till.driver.offline("all events").events("refund.failed")


def test_a_refund_may_succeed_only_later(till: Till) -> None:
    intent = till.bought(till.top_up(1000), "4000000000007726").payment_intent
    refund = till.v1.refunds.create(params={"payment_intent": intent.id, "amount": 400})
    assert refund.status == "pending"
    till.driver.advance(minutes=5)
    assert till.v1.refunds.retrieve(refund.id).status == "succeeded"
    update = till.driver.offline("all events").events("refund.updated")[-1]
    assert update["data"]["previous_attributes"]["status"] == "pending"
