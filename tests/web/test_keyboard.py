"""In a real browser: from words to a released picture without a mouse, and every page at 320 px."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from tests.browser import MARKS, PICTURES, cookie_of, opened_browser, opened_page

pytestmark = MARKS


@pytest.fixture(scope="module")
def cookie(platform: Any, django_db_blocker: Any) -> dict[str, str]:
    """Alice's session in the database of the running platform."""
    with django_db_blocker.unblock():
        return cookie_of(platform.people.alice, platform.address)


@pytest.fixture(scope="module")
def browser(cookie: dict[str, str]) -> Iterator[Any]:
    with opened_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, platform: Any, cookie: dict[str, str]) -> Iterator[Any]:
    with opened_page(browser, platform.address, cookie) as page:
        yield page


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


def test_the_first_key_skips_to_the_page(page: Any) -> None:
    page.goto(reverse("studio"))
    page.keyboard.press("Tab")
    assert focused(page) == "skip"
    assert page.locator(".skip").is_visible()
    page.keyboard.press("Enter")
    assert focused(page) == "main"


def test_a_picture_is_asked_for_watched_and_opened_by_keys_alone(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto(reverse("studio"))
    page.keyboard.press("/")
    assert focused(page) == "prompt"
    page.keyboard.type("a red apple on blue")
    page.keyboard.press("Control+Enter")
    card = page.locator("#stream article").first
    expect(card.locator("h2")).to_have_text("a red apple on blue", timeout=60_000)
    # The card renews itself: nothing is loaded again.
    expect(card.locator(".job-head .state")).to_have_text("released", timeout=60_000)
    expect(card.locator(".frame img")).to_have_js_property("complete", True, timeout=60_000)
    assert card.locator(".frame img").evaluate("image => image.naturalWidth") == 512
    assert page.locator("#credits").inner_text() == "99,996"
    page.screenshot(path=PICTURES / "studio.png")

    page.goto(reverse("gallery"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".drawer")).to_be_visible(timeout=60_000)
    page.screenshot(path=PICTURES / "gallery.png")
    page.keyboard.press("Escape")
    expect(page.locator(".drawer")).to_have_count(0)
    assert focused(page).startswith("m-"), "one is back where one was"


def test_the_price_in_the_button_follows_the_number(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto(reverse("studio"))
    expect(page.locator("#draw")).to_have_text("Draw · 4 credits")
    page.locator("#n-1").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#draw")).to_have_text("Draw · 8 credits")
    expect(page.locator("#afford")).to_contain_text("2 pictures × 4 credits.")


def test_a_chosen_theme_stays(page: Any) -> None:
    page.goto(reverse("studio"))
    page.locator("[data-theme-choice=dark]").click()
    page.goto(reverse("gallery"))
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


@pytest.mark.parametrize("name", ["landing", "studio", "gallery", "wallet", "api_keys", "account_email"])
def test_a_page_fits_a_phone(page: Any, name: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(reverse(name))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=PICTURES / f"{name}-320.png", full_page=True)
