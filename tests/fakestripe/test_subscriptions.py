"""Subscriptions: trials, renewals, changes, failures, ends."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from tests.fakestripe.till import JANUARY_31, Till


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _period(subscription: Any) -> tuple[str, str]:
    item = subscription["items"].data[0]
    return _day(item.current_period_start), _day(item.current_period_end)


def test_a_subscription_begins_with_a_paid_invoice(till: Till) -> None:
    plan = till.plan(1500)
    subscription = till.subscribed(plan, subscription_data={"metadata": {"wallet": "7"}})
    assert (subscription.status, subscription.metadata["wallet"]) == ("active", "7")
    invoice = till.v1.invoices.retrieve(subscription.latest_invoice, params={"expand": ["payments"]})
    assert (invoice.status, invoice.billing_reason, invoice.amount_paid) == ("paid", "subscription_create", 1500)
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert invoice.parent.subscription_details.metadata["wallet"] == "7"
    [line] = invoice.lines.data
    assert line.pricing.price_details.price == plan.id
    assert line.parent.subscription_item_details.subscription_item == subscription["items"].data[0].id
    assert (line.parent.subscription_item_details.proration, line.amount) == (False, 1500)
    assert till.v1.invoices.line_items.list(invoice.id).data[0].id == line.id
    listed = till.v1.subscriptions.list(params={"price": plan.id, "status": "active"})
    assert [one.id for one in listed.data] == [subscription.id]
    assert invoice.payments.data[0].status == "paid"


def test_a_trial_costs_nothing_and_then_the_plan(till: Till) -> None:
    session = till.session(till.plan(1500), "subscription", subscription_data={"trial_period_days": 14})
    till.driver.pay(session, "4000002500003155")
    done = till.v1.checkout.sessions.retrieve(session.id, params={"expand": ["subscription"]})
    assert (done.payment_status, done.amount_total, done.subscription.status) == ("no_payment_required", 0, "trialing")
    first = till.v1.invoices.retrieve(done.invoice)
    assert (first.amount_due, first.status, first.billing_reason) == (0, "paid", "subscription_create")
    till.driver.advance(days=14, hours=2)
    subscription = till.v1.subscriptions.retrieve(done.subscription.id, params={"expand": ["latest_invoice"]})
    assert (subscription.status, subscription.latest_invoice.amount_paid) == ("active", 1500)
    assert subscription.latest_invoice.billing_reason == "subscription_cycle"
    assert till.driver.offline("all events").events("customer.subscription.trial_will_end")


def test_a_subscription_of_31_january_renews_on_28_february_and_31_march(till: Till) -> None:
    fake = till.driver.offline("a clock")
    assert _day(JANUARY_31) == "2026-01-31"
    subscription = till.subscribed(till.plan())
    periods = [_period(subscription)]
    for _ in range(3):
        end = till.v1.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end
        fake.advance_to(end + 2 * 3600)
        periods.append(_period(till.v1.subscriptions.retrieve(subscription.id)))
    assert periods == [
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
        ("2026-03-31", "2026-04-30"),
        ("2026-04-30", "2026-05-31"),
    ]
    invoices = till.v1.invoices.list(params={"subscription": subscription.id, "status": "paid"})
    assert len(invoices.data) == 4


def test_a_renewal_is_a_draft_for_an_hour(till: Till) -> None:
    fake = till.driver.offline("a clock")
    subscription = till.subscribed(till.plan())
    fake.advance_to(subscription["items"].data[0].current_period_end)
    draft = till.v1.invoices.list(params={"subscription": subscription.id}).data[0]
    assert (draft.status, draft.amount_paid) == ("draft", 0)
    fake.advance(hours=1)
    assert till.v1.invoices.retrieve(draft.id).status == "paid"


def test_an_upgrade_charges_the_difference_at_once(till: Till) -> None:
    fake = till.driver.offline("a clock")
    small, large = till.plan(1000, name="Small"), till.plan(3000, name="Large")
    subscription = till.subscribed(small)
    item = subscription["items"].data[0]
    fake.advance_to((item.current_period_start + item.current_period_end) // 2)
    change = {"items": [{"id": item.id, "price": large.id}], "proration_behavior": "always_invoice"}
    preview = till.v1.invoices.create_preview(params={"subscription": subscription.id, "subscription_details": change})
    assert preview.amount_due == 1000
    assert till.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == small.id
    changed = till.v1.subscriptions.update(
        subscription.id, params={**change, "payment_behavior": "error_if_incomplete", "expand": ["latest_invoice"]}
    )
    invoice = changed.latest_invoice
    assert (invoice.billing_reason, invoice.status, invoice.amount_paid) == ("subscription_update", "paid", 1000)
    lines = [
        (line.amount, line.pricing.price_details.price, line.parent.subscription_item_details.proration)
        for line in invoice.lines.data
    ]
    assert lines == [(-500, small.id, True), (1500, large.id, True)]
    assert changed["items"].data[0].price.id == large.id


def test_every_change_of_a_subscription_is_told_with_what_was_before(till: Till) -> None:
    fake = till.driver.offline("all events")
    small, large = till.plan(1000), till.plan(3000)
    subscription = till.subscribed(small)
    change = {"items": [{"id": subscription["items"].data[0].id, "price": large.id}]}
    till.v1.invoices.create_preview(params={"subscription": subscription.id, "subscription_details": change})
    before = len(fake.events())
    till.v1.subscriptions.update(subscription.id, params={**change, "proration_behavior": "always_invoice"})
    told = [event for event in fake.events()[before:] if event["type"] == "customer.subscription.updated"]
    assert [event["data"]["object"]["items"]["data"][0]["price"]["id"] for event in told] == [large.id]
    assert told[0]["data"]["previous_attributes"]["items"]["data"][0]["price"]["id"] == small.id
    fake.advance_to(subscription["items"].data[0].current_period_end + 7200)
    assert len(fake.events("invoice.upcoming")) == 1


def test_an_upgrade_that_cannot_be_paid_changes_nothing(till: Till) -> None:
    till.driver.offline("a card that fails later")
    small, large = till.plan(1000), till.plan(3000)
    subscription = till.subscribed(small)
    bad = till.v1.payment_methods.attach("pm_card_chargeCustomerFail", params={"customer": subscription.customer})
    till.v1.subscriptions.update(subscription.id, params={"default_payment_method": bad.id})
    with pytest.raises(stripe.CardError) as refused:
        till.v1.subscriptions.update(
            subscription.id,
            params={
                "items": [{"id": subscription["items"].data[0].id, "price": large.id}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )
    assert refused.value.code == "card_declined"
    same = till.v1.subscriptions.retrieve(subscription.id)
    assert (same.status, same["items"].data[0].price.id) == ("active", small.id)


def test_a_downgrade_waits_as_credit_for_the_next_invoice(till: Till) -> None:
    fake = till.driver.offline("a clock")
    small, large = till.plan(1000), till.plan(3000)
    subscription = till.subscribed(large)
    item = subscription["items"].data[0]
    fake.advance_to((item.current_period_start + item.current_period_end) // 2)
    till.v1.subscriptions.update(subscription.id, params={"items": [{"id": item.id, "price": small.id}]})
    fake.advance_to(item.current_period_end + 7200)
    invoice = till.v1.invoices.list(params={"subscription": subscription.id}).data[0]
    assert [line.amount for line in invoice.lines.data] == [-1500, 500, 1000]
    assert (invoice.total, invoice.amount_paid, invoice.ending_balance) == (0, 0, 0)


def test_a_failing_renewal_is_tried_thrice_more_and_then_ends(till: Till) -> None:
    fake = till.driver.offline("a card that fails later")
    subscription = till.subscribed(till.plan())
    bad = till.v1.payment_methods.attach("pm_card_chargeCustomerFail", params={"customer": subscription.customer})
    till.v1.subscriptions.update(subscription.id, params={"default_payment_method": bad.id})
    fake.advance_to(subscription["items"].data[0].current_period_end + 7200)
    assert till.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    invoice = till.v1.invoices.list(params={"subscription": subscription.id}).data[0]
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt is None) == ("open", 1, False)
    fake.advance(days=16)
    ended = till.v1.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    given_up = till.v1.invoices.retrieve(invoice.id)
    assert (given_up.status, given_up.attempt_count, given_up.next_payment_attempt) == ("open", 4, None)
    assert len(fake.events("invoice.payment_failed")) == 4
    assert till.v1.subscriptions.list(params={"customer": subscription.customer}).data == []


def test_paying_the_open_invoice_in_its_page_heals_the_subscription(till: Till) -> None:
    fake = till.driver.offline("a hosted invoice")
    subscription = till.subscribed(till.plan(), "4000002760003184")
    fake.advance_to(subscription["items"].data[0].current_period_end + 7200)
    assert till.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    assert fake.events("invoice.payment_action_required")
    invoice = till.v1.invoices.list(params={"subscription": subscription.id}).data[0]
    with pytest.raises(stripe.CardError):
        till.v1.invoices.pay(invoice.id)
    fake.pay_invoice(invoice.hosted_invoice_url, "4000002500003155")
    assert till.v1.invoices.retrieve(invoice.id).status == "paid"
    assert till.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_subscription_ends_with_its_period_unless_kept(till: Till) -> None:
    subscription = till.subscribed(till.plan())
    planned = till.v1.subscriptions.update(subscription.id, params={"cancel_at_period_end": True})
    assert planned.cancel_at == subscription["items"].data[0].current_period_end
    kept = till.v1.subscriptions.update(subscription.id, params={"cancel_at_period_end": False})
    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    till.v1.subscriptions.update(subscription.id, params={"cancel_at_period_end": True})
    till.driver.advance(days=29)
    assert till.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    now = till.subscribed(till.plan())
    assert till.v1.subscriptions.cancel(now.id).status == "canceled"


def test_a_paused_collection_voids_what_falls_due(till: Till) -> None:
    subscription = till.subscribed(till.plan())
    paused = till.v1.subscriptions.update(subscription.id, params={"pause_collection": {"behavior": "void"}})
    assert (paused.status, paused.pause_collection.behavior) == ("active", "void")
    till.driver.advance(days=29)
    assert till.v1.invoices.list(params={"subscription": subscription.id}).data[0].status == "void"
    assert till.v1.subscriptions.update(subscription.id, params={"pause_collection": ""}).pause_collection is None


def test_a_trial_without_a_card_pauses_and_is_resumed(till: Till) -> None:
    session = till.session(
        till.plan(),
        "subscription",
        payment_method_collection="if_required",
        subscription_data={
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        },
    )
    till.driver.pay(session, "")
    key = till.v1.checkout.sessions.retrieve(session.id).subscription
    till.driver.advance(days=8)
    paused = till.v1.subscriptions.retrieve(key)
    assert paused.status == "paused"
    card = till.v1.payment_methods.attach("pm_card_visa", params={"customer": paused.customer})
    till.v1.subscriptions.update(key, params={"default_payment_method": card.id})
    assert till.v1.subscriptions.resume(key).status == "active"
    types = [event["type"] for event in till.driver.offline("all events").events()]
    assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(types)


def test_a_trial_ends_when_told(till: Till) -> None:
    subscription = till.subscribed(till.plan(900), subscription_data={"trial_period_days": 30})
    now = till.v1.subscriptions.update(subscription.id, params={"trial_end": "now", "expand": ["latest_invoice"]})
    assert (now.status, now.latest_invoice.amount_paid) == ("active", 900)


def test_a_code_for_once_takes_off_the_first_invoice_only(till: Till) -> None:
    coupon = till.v1.coupons.create(params={"amount_off": 500, "currency": "usd", "duration": "once"})
    subscription = till.subscribed(till.plan(1500), discounts=[{"coupon": coupon.id}])
    till.driver.advance(days=29)
    invoices = till.v1.invoices.list(params={"subscription": subscription.id}).data
    assert [invoice.amount_paid for invoice in invoices] == [1500, 1000]
    assert invoices[1].total_discount_amounts[0].amount == 500


def test_the_events_of_a_subscription_come_in_this_order(till: Till) -> None:
    fake = till.driver.offline("the order of all events")
    till.subscribed(till.plan())
    assert [event["type"] for event in fake.events()][2:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "customer.created",
        "payment_method.attached",
        "invoice.created",
        "customer.subscription.created",
        "customer.updated",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "customer.subscription.updated",
        "checkout.session.completed",
        "charge.updated",
    ]


def test_a_deleted_customer_takes_the_subscriptions_along(till: Till) -> None:
    subscription = till.subscribed(till.plan())
    assert till.v1.customers.delete(subscription.customer).deleted is True
    assert till.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    gone = till.v1.customers.retrieve(subscription.customer)
    assert gone.deleted is True
