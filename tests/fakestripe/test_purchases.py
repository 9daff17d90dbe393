"""Buying a top-up: Checkout, the cards, codes and taxes."""

import pytest
import stripe

from billing.fakestripe import Declined
from tests.fakestripe.till import Till


def test_a_top_up_is_bought_and_every_object_leads_to_the_next(till: Till) -> None:
    customer = till.customer(metadata={"wallet": "7"})
    session = till.session(
        till.top_up(500),
        customer=customer.id,
        client_reference_id="order-1",
        metadata={"size": "small"},
        payment_intent_data={"metadata": {"order": "1"}},
    )
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert till.driver.pay(session) == f"http://shop.example/done?session={session.id}"
    paid = till.v1.checkout.sessions.retrieve(
        session.id, params={"expand": ["line_items", "payment_intent.latest_charge.balance_transaction", "customer"]}
    )
    assert (paid.status, paid.payment_status, paid.amount_total, paid.url) == ("complete", "paid", 500, None)
    assert paid.customer.metadata["wallet"] == "7"
    assert paid.line_items.data[0].price.unit_amount == 500
    charge = paid.payment_intent.latest_charge
    assert (charge.amount, charge.paid, charge.payment_method_details.card.last4) == (500, True, "4242")
    assert charge.balance_transaction.net == 500 - 45
    assert paid.payment_intent.metadata["order"] == "1"
    found = till.v1.checkout.sessions.list(params={"payment_intent": paid.payment_intent.id})
    assert [one.id for one in found.data] == [session.id]


def test_the_events_of_a_purchase_come_in_this_order(till: Till) -> None:
    fake = till.driver.offline("the order of all events")
    till.bought(till.top_up())
    told = [event["type"] for event in fake.events()]
    assert told[2:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
        "charge.updated",
    ]


def test_a_top_up_may_be_bought_with_an_invoice(till: Till) -> None:
    session = till.bought(till.top_up(700), customer=till.customer().id, invoice_creation={"enabled": True})
    invoice = till.v1.invoices.retrieve(session.invoice, params={"expand": ["payments.data.payment.payment_intent"]})
    assert (invoice.status, invoice.billing_reason, invoice.amount_paid, invoice.parent) == (
        "paid",
        "manual",
        700,
        None,
    )
    assert invoice.payments.data[0].payment.payment_intent.id == session.payment_intent.id
    found = till.v1.invoice_payments.list(
        params={"payment": {"type": "payment_intent", "payment_intent": session.payment_intent.id}}
    )
    assert [one.invoice for one in found.data] == [invoice.id]
    assert till.v1.invoice_payments.retrieve(found.data[0].id).status == "paid"


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ("4000000000000002", "Your card was declined."),
        ("4000000000009995", "Your card has insufficient funds."),
        ("4000000000000069", "Your card has expired."),
        ("4000000000000127", "Your card's security code is incorrect."),
        ("4242424242424241", "Your card number is not a card's number."),
        ("4111111111111111", "Only test cards are taken here. Do not type a real one."),
    ],
)
def test_a_card_that_fails_says_why_and_the_session_stays_open(till: Till, card: str, sentence: str) -> None:
    session = till.session(till.top_up())
    with pytest.raises(Declined) as said:
        till.driver.pay(session, card)
    assert str(said.value) == sentence
    assert till.v1.checkout.sessions.retrieve(session.id).status == "open"
    till.driver.pay(session)
    paid = till.v1.checkout.sessions.retrieve(session.id, params={"expand": ["payment_intent"]})
    assert paid.payment_status == "paid"
    charges = till.v1.charges.list(params={"payment_intent": paid.payment_intent.id})
    assert charges.data[0].status == "succeeded"


def test_a_bank_that_asks_is_answered_on_its_page(till: Till) -> None:
    session = till.session(till.top_up())
    till.driver.pay(session, "4000002760003184")
    charge = till.v1.checkout.sessions.retrieve(
        session.id, params={"expand": ["payment_intent.latest_charge"]}
    ).payment_intent.latest_charge
    assert charge.payment_method_details.card.three_d_secure.result == "authenticated"
    other = till.session(till.top_up())
    with pytest.raises(Declined, match="could not confirm"):
        till.driver.pay(other, "4000002500003155", authenticate=False)
    assert till.v1.checkout.sessions.retrieve(other.id).payment_status == "unpaid"


def test_a_promotion_code_takes_its_part_off(till: Till) -> None:
    coupon = till.v1.coupons.create(params={"percent_off": 20, "duration": "once"})
    code = till.v1.promotion_codes.create(
        params={
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": f"WELCOME{till.mark}",
            "max_redemptions": 1,
        }
    )
    session = till.session(till.top_up(1000), allow_promotion_codes=True, customer=till.customer().id)
    till.driver.pay(session, promotion_code=code.code.lower())
    paid = till.v1.checkout.sessions.retrieve(session.id, params={"expand": ["discounts.promotion_code"]})
    assert (paid.amount_subtotal, paid.amount_total, paid.total_details.amount_discount) == (1000, 800, 200)
    assert paid.discounts[0].promotion_code.code == code.code
    assert till.v1.promotion_codes.retrieve(code.id).active is False
    with pytest.raises(Declined, match="is not valid"):
        till.driver.pay(till.session(till.top_up(), allow_promotion_codes=True), promotion_code=code.code)


def test_a_top_up_that_costs_nothing_needs_no_card(till: Till) -> None:
    coupon = till.v1.coupons.create(params={"percent_off": 100, "duration": "once"})
    session = till.session(till.top_up(), discounts=[{"coupon": coupon.id}])
    till.driver.pay(session, "")
    paid = till.v1.checkout.sessions.retrieve(session.id)
    assert (paid.status, paid.payment_status, paid.payment_intent) == ("complete", "no_payment_required", None)


def test_automatic_tax_is_added_at_the_flat_rate(till: Till) -> None:
    till.driver.offline("a flat tax rate").settings(tax_percent=22)
    session = till.bought(till.top_up(1000), automatic_tax={"enabled": True}, invoice_creation={"enabled": True})
    assert (session.amount_subtotal, session.total_details.amount_tax, session.amount_total) == (1000, 220, 1220)
    invoice = till.v1.invoices.retrieve(session.invoice)
    assert [tax.amount for tax in invoice.total_taxes] == [220]
    assert (invoice.total, invoice.total_excluding_tax, invoice.lines.data[0].taxes[0].taxable_amount) == (
        1220,
        1000,
        1000,
    )


def test_a_session_expires_after_a_day_or_when_told(till: Till) -> None:
    told = till.v1.checkout.sessions.expire(till.session(till.top_up()).id)
    assert (told.status, told.url) == ("expired", None)
    waits = till.session(till.top_up())
    till.driver.advance(hours=24)
    assert till.v1.checkout.sessions.retrieve(waits.id).status == "expired"
    types = [event["type"] for event in till.driver.offline("all events").events()]
    assert types.count("checkout.session.expired") == 2
    with pytest.raises(stripe.InvalidRequestError):
        till.v1.checkout.sessions.expire(told.id)


def test_a_lookup_key_moves_to_the_new_price(till: Till) -> None:
    key = f"pro-{till.mark}"
    product = till.product()
    shape = {"product": product.id, "currency": "eur", "recurring": {"interval": "month"}, "lookup_key": key}
    old = till.v1.prices.create(params={**shape, "unit_amount": 900})
    with pytest.raises(stripe.InvalidRequestError, match="already uses"):
        till.v1.prices.create(params={**shape, "unit_amount": 1100})
    new = till.v1.prices.create(params={**shape, "unit_amount": 1100, "transfer_lookup_key": True})
    assert [price.id for price in till.v1.prices.list(params={"lookup_keys": [key]}).data] == [new.id]
    assert till.v1.prices.retrieve(old.id).lookup_key is None
