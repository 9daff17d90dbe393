"""The hosted pages: what they say, what they may load, and that they lose nothing that was typed."""

import re

import httpx
import pytest

from billing.fakestripe import FakeStripe
from tests.fakestripe.till import Till


def test_checkout_says_what_is_bought_and_that_no_card_is_charged(till: Till, fake: FakeStripe) -> None:
    session = till.session(till.plan(1500), "subscription", subscription_data={"trial_period_days": 14})
    page = httpx.get(session.url)
    assert "no card is charged" in page.text
    assert "14 days free, then $15.00 a month." in page.text
    assert "4000 0000 0000 0002" in page.text
    assert 'href="http://shop.example/"' in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://shop.example" in policy
    assert "<script" not in page.text
    assert "style=" not in page.text
    for name in re.findall(r'<input id="([^"]+)"', page.text):
        assert f'<label for="{name}"' in page.text


def test_a_mistake_loses_nothing_but_the_security_code(till: Till, fake: FakeStripe) -> None:
    session = till.session(till.top_up(), allow_promotion_codes=True)
    form = {
        "act": "pay",
        "email": "a@example.com",
        "name": "Ann <b>",
        "number": "4242 4242 4242 4242",
        "expiry": "13 / 34",
        "cvc": "876",
    }
    page = httpx.post(session.url, data=form)
    assert page.status_code == 402
    assert "month / year" in page.text
    assert 'value="a@example.com"' in page.text
    assert "Ann &lt;b&gt;" in page.text
    assert "876" not in page.text
    assert "$5.00" in page.text
    wrong = httpx.post(session.url, data={**form, "act": "code", "promotion_code": "NOPE"})
    assert "The code NOPE is not valid." in wrong.text


def test_a_paid_or_expired_session_says_so(till: Till, fake: FakeStripe) -> None:
    paid, expired = till.session(till.top_up()), till.session(till.top_up())
    fake.pay(paid.url)
    till.v1.checkout.sessions.expire(expired.id)
    assert "This is paid." in httpx.get(paid.url).text
    assert "This page has expired." in httpx.get(expired.url).text
    assert httpx.get(f"{fake.url}/c/pay/cs_test_no").status_code == 404


def test_after_a_refused_confirmation_the_form_leads_back_to_checkout(till: Till, fake: FakeStripe) -> None:
    session = till.session(till.top_up())
    form = {"act": "pay", "email": "a@example.com", "number": "4000002760003184", "expiry": "12 / 34", "cvc": "123"}
    bank = httpx.post(session.url, data=form).headers["location"]
    page = httpx.post(bank, data={"answer": "fail"})
    assert "could not confirm" in page.text
    assert f'action="/c/pay/{session.id}"' in page.text
    assert httpx.post(bank, data={"answer": "complete"}).status_code == 410


def test_a_form_from_another_site_is_refused(till: Till, fake: FakeStripe) -> None:
    session = till.session(till.top_up())
    answer = httpx.post(session.url, data={"act": "pay"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_the_portal_ends_keeps_changes_and_takes_a_card(till: Till, fake: FakeStripe) -> None:
    large = till.plan(3000, name="Large")
    subscription = till.subscribed(till.plan(1500, name="Small"))
    till.v1.billing_portal.configurations.create(
        params={
            "features": {
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "proration_behavior": "always_invoice",
                    "products": [{"product": large.product, "prices": [large.id]}],
                },
                "subscription_cancel": {"enabled": True},
            }
        }
    )
    visit = till.v1.billing_portal.sessions.create(
        params={"customer": subscription.customer, "return_url": "http://shop.example/wallet"}
    )
    page = httpx.get(visit.url)
    assert "Small" in page.text
    assert 'href="http://shop.example/wallet"' in page.text
    assert "End it on 28 February 2026" in page.text
    acts = {"subscription": subscription.id}
    assert "Keep the subscription" in httpx.post(visit.url, data={**acts, "act": "end"}, follow_redirects=True).text
    assert till.v1.subscriptions.retrieve(subscription.id).cancel_at_period_end is True
    httpx.post(visit.url, data={**acts, "act": "keep"})
    httpx.post(visit.url, data={**acts, "act": "change", "price": large.id})
    card = {"act": "card", "number": "5555555555554444", "expiry": "01/35", "cvc": "123", "name": "A"}
    assert httpx.post(visit.url, data=card).status_code == 303
    changed = till.v1.subscriptions.retrieve(subscription.id, params={"expand": ["default_payment_method"]})
    assert (changed.cancel_at_period_end, changed["items"].data[0].price.id) == (False, large.id)
    assert changed.default_payment_method.card.brand == "mastercard"
    assert "4242" in httpx.post(visit.url, data={**card, "number": "1"}).text
    fake.advance(hours=2)
    assert httpx.get(visit.url).status_code == 410


@pytest.mark.parametrize("path", ["/", "/fake.css", "/nothing"])
def test_the_other_pages_answer(fake: FakeStripe, path: str) -> None:
    assert httpx.get(fake.url + path).status_code == (404 if path == "/nothing" else 200)


def test_an_invoice_has_a_page_and_a_printed_one(till: Till, fake: FakeStripe) -> None:
    subscription = till.subscribed(till.plan(1500))
    invoice = till.v1.invoices.retrieve(subscription.latest_invoice)
    assert "Paid on 31 January 2026" in httpx.get(invoice.hosted_invoice_url).text
    assert "<form" not in httpx.get(invoice.invoice_pdf).text
