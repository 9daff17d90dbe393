"""In a real browser: plots that answer a pointer and the keys, and every page of the console on a phone."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from billing.console import acts, tallies
from billing.models import Finding, Payment, Transfer
from tests.billing.console.history import Clock, House, at
from tests.browser import MARKS, cookie_of, opened_browser, opened_page, picture
from tests.people import cast

pytestmark = MARKS

DAYS = 45
REASON = "The film they paid for never came."


@pytest.fixture(scope="module")
def pages(platform_at_rest: Any) -> Iterator[dict[str, str]]:
    """A house that was lived in until now, and the addresses of its pages. Only the web process runs."""
    running = platform_at_rest
    people = cast()
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(datetime.now(UTC) - timedelta(days=DAYS))
        at(clock, patch)
        house = House(clock, seed=3)
        for _ in range(DAYS):
            house.day(12)
    tallies.count_days()
    payment = Payment.objects.filter(amount__gt=0).latest("id")
    for amount in (500, 5000):
        acts.ask_correction(payment.person, amount, reason=REASON, asked_by=people.bruno, key=f"of {amount}")
    Finding.objects.create(
        kind="paid_not_granted", about="in_1", what="Paid, and no credits", remedy="Grant them.", is_mendable=True
    )
    running.cookie = cookie_of(people.bruno, running.address)
    transfer = Transfer.objects.filter(kind="take_back").latest("id")
    running.start("web")
    running.await_web()
    plain = ("console", "console_people", "console_acts", "console_findings", "console_exports")
    yield {name: reverse(name) for name in plain} | {
        "console_person": reverse("console_person", args=[payment.person_id]),
        "console_lines": reverse("console_lines", args=[payment.person_id]),
        "console_payments": reverse("console_payments", args=[payment.person_id]),
        "console_payment": reverse("console_payment", args=[payment.pk]),
        "console_transfer": reverse("console_transfer", args=[transfer.pk]),
        "console_found": reverse("console_people") + "?q=example",
    }
    running.stop()


@pytest.fixture(scope="module")
def browser(pages: dict[str, str]) -> Iterator[Any]:
    with opened_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, platform_at_rest: Any) -> Iterator[Any]:
    with opened_page(browser, platform_at_rest.address, platform_at_rest.cookie) as page:
        yield page


def test_a_plot_says_what_is_under_the_pointer(page: Any, pages: dict[str, str]) -> None:
    page.goto(pages["console"])
    frames = page.locator("[data-plot]")
    assert frames.count() == 10
    for number in range(frames.count()):
        frame = frames.nth(number)
        said = frame.locator("output")
        assert not said.is_visible()
        frame.scroll_into_view_if_needed()
        box = frame.locator("svg").bounding_box()
        seen = set()
        for part in (0.02, 0.5, 0.98):
            page.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2)
            words = said.inner_text()
            assert re.fullmatch(r"\d{1,2} [A-Z][a-z]{2} \d{4}: .+", words), words
            seen.add(words.partition(":")[0])
        assert len(seen) == 3, "each place is another day"
        page.mouse.move(0, 0)
        assert not said.is_visible()


def test_a_plot_answers_the_keys(page: Any, pages: dict[str, str]) -> None:
    page.goto(pages["console"])
    frame = page.locator("[data-plot]").first
    said = frame.locator("output")
    frame.focus()
    last = said.inner_text()
    page.keyboard.press("ArrowLeft")
    before = said.inner_text()
    assert before != last
    page.keyboard.press("ArrowRight")
    assert said.inner_text() == last
    page.keyboard.press("Home")
    first = said.inner_text()
    assert first not in {last, before}
    page.keyboard.press("ArrowLeft")
    assert said.inner_text() == first, "there is nothing ahead of the first"
    page.keyboard.press("Escape")
    assert not said.is_visible()


def test_every_page_fits_a_phone(page: Any, pages: dict[str, str]) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    too_wide = []
    for name, address in pages.items():
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(name)
    assert too_wide == []


def test_from_a_balance_to_its_last_entry_and_its_purchase(page: Any, pages: dict[str, str]) -> None:
    page.goto(pages["console_lines"])
    page.locator('a[href^="/console/transfers/"]').first.click()
    page.wait_for_url("**/console/transfers/*/")
    assert page.locator("table").count()
    page.goto(pages["console_transfer"])
    page.locator('a[href^="/console/payments/"]').first.click()
    page.wait_for_url("**/console/payments/*/")


def test_pages_are_pictured(page: Any, pages: dict[str, str]) -> None:
    """Nothing complains while they are drawn in every way; the pictures are for people."""
    for name, address in pages.items():
        assert page.goto(address).status == 200
        picture(page, name)
