"""Disputes: won, lost, inquired, reinstated."""

import pytest
import stripe

from tests.fakestripe.till import Till


def _disputed(till: Till, card: str = "4000000000000259") -> stripe.Dispute:
    intent = till.bought(till.top_up(1000), card).payment_intent
    [dispute] = till.v1.disputes.list(params={"payment_intent": intent.id}).data
    return dispute


def _told(till: Till) -> list[str]:
    fake = till.driver.offline("all events")
    return [event["type"] for event in fake.events() if event["type"].startswith("charge.dispute.")]


def test_a_dispute_takes_the_money_and_evidence_brings_it_back(till: Till) -> None:
    dispute = _disputed(till)
    assert (dispute.status, dispute.reason, dispute.is_charge_refundable) == ("needs_response", "fraudulent", False)
    assert [(entry.amount, entry.fee, entry.reporting_category) for entry in dispute.balance_transactions] == [
        (-1000, 1500, "dispute")
    ]
    assert till.v1.charges.retrieve(dispute.charge).disputed is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        till.v1.refunds.create(params={"charge": dispute.charge})
    assert refused.value.code == "charge_disputed"
    kept = till.v1.disputes.update(dispute.id, params={"evidence": {"customer_name": "A"}, "submit": False})
    assert (kept.status, kept.evidence_details.has_evidence) == ("needs_response", True)
    handed = till.v1.disputes.update(dispute.id, params={"evidence": {"uncategorized_text": "winning_evidence"}})
    assert handed.status == "under_review"
    won = till.v1.disputes.retrieve(dispute.id)
    assert won.status == "won"
    assert [(entry.amount, entry.type) for entry in won.balance_transactions] == [
        (-1000, "adjustment"),
        (1000, "adjustment"),
    ]
    assert _told(till) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.updated",
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]


def test_losing_evidence_silence_and_closing_all_lose(till: Till) -> None:
    by_evidence, by_silence, by_closing = _disputed(till), _disputed(till), _disputed(till)
    till.v1.disputes.update(by_evidence.id, params={"evidence": {"uncategorized_text": "losing_evidence"}})
    assert till.v1.disputes.close(by_closing.id).status == "lost"
    till.driver.advance(days=8)
    assert [till.v1.disputes.retrieve(one.id).status for one in (by_evidence, by_silence)] == ["lost", "lost"]
    assert till.v1.disputes.retrieve(by_silence.id).evidence_details.past_due is True


def test_a_lost_dispute_may_be_reinstated_much_later(till: Till) -> None:
    fake = till.driver.offline("a bank that changes its mind")
    dispute = _disputed(till)
    till.v1.disputes.close(dispute.id)
    fake.advance(days=60)
    fake.move_dispute(dispute.id, reinstate=400)
    assert [entry.amount for entry in till.v1.disputes.retrieve(dispute.id).balance_transactions] == [-1000, 400]
    other = _disputed(till)
    till.v1.disputes.close(other.id)
    assert fake.move_dispute(other.id, "won")["status"] == "won"
    assert len(fake.events("charge.dispute.funds_reinstated")) == 2


def test_an_inquiry_moves_no_money_until_it_becomes_a_dispute(till: Till) -> None:
    inquiry = _disputed(till, "4000000000001976")
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert list(inquiry.balance_transactions) == []
    fake = till.driver.offline("a bank that escalates")
    fake.move_dispute(inquiry.id, "needs_response")
    grown = till.v1.disputes.retrieve(inquiry.id)
    assert (grown.status, grown.balance_transactions[0].amount) == ("needs_response", -1000)
    quiet = _disputed(till, "4000000000001976")
    assert till.v1.refunds.create(params={"charge": quiet.charge}).status == "succeeded"
    till.driver.advance(days=121)
    assert till.v1.disputes.retrieve(quiet.id).status == "warning_closed"


def test_a_dispute_is_opened_by_hand_for_a_part(till: Till) -> None:
    fake = till.driver.offline("a dispute by hand")
    charge = till.bought(till.top_up(1000)).payment_intent.latest_charge
    dispute = fake.dispute(charge.id, reason="duplicate", amount=250)
    assert till.v1.disputes.list(params={"charge": charge.id}).data[0].id == dispute["id"]
    assert till.v1.balance_transactions.list(params={"source": dispute["id"]}).data[0].amount == -250


def test_an_early_warning_takes_nothing(till: Till) -> None:
    intent = till.bought(till.top_up(), "4000000000005423").payment_intent
    [warning] = till.v1.radar.early_fraud_warnings.list(params={"charge": intent.latest_charge.id}).data
    assert warning.actionable is True
    assert till.v1.disputes.list(params={"charge": intent.latest_charge.id}).data == []
