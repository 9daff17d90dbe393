"""In a real browser, with every process and the offline Stripe: out of credits, to the till, back, and drawn."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from billing.fakestripe import FakeStripe
from billing.models import Price
from billing.sale.plans import shop
from tests.browser import MARKS, cookie_of, opened_browser, opened_page, picture
from tests.path import until
from tests.people import cast

pytestmark = MARKS


@pytest.fixture(scope="module")
def running(platform_at_rest: Any) -> Iterator[Any]:
    """All processes, the till with its prices made, and Alice with one credit."""
    running = platform_at_rest
    people = cast(credits=1)
    running.cookie = cookie_of(people.alice, running.address)
    with FakeStripe() as fake:
        fake.add_endpoint(f"{running.address}{reverse('stripe_events')}")
        running.env |= {
            "STRIPE_API_BASE": fake.url,
            "STRIPE_PAGES": fake.url,
            "STRIPE_SECRET_KEY": fake.key,
            "STRIPE_WEBHOOK_SECRET": fake.webhook_secret,
        }
        with running:
            sold = sum(len(offer.prices) for offer in shop().offers.values())
            until(lambda: Price.objects.count() == sold, what="the prices at Stripe")
            yield running


@pytest.fixture(scope="module")
def browser(running: Any) -> Iterator[Any]:
    with opened_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, running: Any) -> Iterator[Any]:
    # Payment required: what cannot be paid, and a card that is declined.
    with opened_page(browser, running.address, running.cookie, fine="402") as page:
        yield page


def pay(page: Any, card: str) -> None:
    """Fill in the hosted page and press its button."""
    page.locator("[name=number]").fill(card)
    page.locator("[name=expiry]").fill("12 / 34")
    page.locator("[name=cvc]").fill("123")
    page.locator("button[type=submit]:visible, button:not([type]):visible").last.click()


def test_a_top_up_leads_back_to_the_prompt_that_could_not_be_paid(page: Any) -> None:
    from playwright.sync_api import expect

    words = "a red apple on blue"
    page.goto(reverse("studio"))
    page.locator("#prompt").fill(words)
    page.locator("#draw").click()
    page.get_by_role("link", name="Get more credits").click()
    page.wait_for_url("**/wallet/plans/**")
    picture(page, "plans-out-of-credits")
    page.get_by_role("button", name="$9 once").click()
    page.wait_for_url("**/c/pay/**")
    pay(page, "4000 0000 0000 0002")
    expect(page.get_by_role("alert")).to_contain_text("declined")
    pay(page, "4242 4242 4242 4242")
    page.wait_for_url("**/studio/**")
    expect(page.locator("#prompt")).to_have_value(words)
    expect(page.locator("#credits")).to_have_text("501")
    page.locator("#draw").click()
    card = page.locator("#stream article").first
    expect(card.locator("h2")).to_have_text(words)
    expect(card.locator(".job-head .state")).to_have_text("released")
    expect(page.locator("#credits")).to_have_text("497")
    page.goto(reverse("wallet"))
    expect(page.locator("main")).to_contain_text("500 credits")
    picture(page, "wallet-topped-up")


def test_a_plan_is_tried_and_ended(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto(reverse("plans"))
    page.get_by_role("button", name="$15 a month").click()
    page.wait_for_url("**/c/pay/**")
    pay(page, "4242 4242 4242 4242")
    page.wait_for_url("**/wallet/")
    expect(page.locator("main")).to_contain_text("Creator")
    picture(page, "wallet-trial")
    page.get_by_role("button", name="Do not renew").click()
    expect(page.get_by_role("button", name="Go on after all")).to_be_visible()
