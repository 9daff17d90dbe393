"""The desk's second looks in a real browser, by keys alone; and its figures."""

from collections.abc import Iterator
from typing import Any

import pytest

from moderation.actions import claim_next, decide
from moderation.models import Case, Sample
from tests import path
from tests.browser import MARKS, cookie_of, opened_browser, opened_page, picture

pytestmark = MARKS


@pytest.fixture(scope="module")
def cookie(platform: Any) -> dict[str, str]:
    """Bob's, with three samples before him and some cases that he decided."""
    people = platform.people
    jobs = [path.submit(people.alice, f"a red apple, the {number}th") for number in range(3)]
    held = [path.submit(people.carol, "verdict:review a doubtful apple") for _ in range(4)]
    path.until(lambda: Case.objects.filter(medium__job__in=jobs, state="cleared").count() == 3, what="the pictures")
    path.until(lambda: Case.objects.filter(medium__job__in=held, state="in_review").count() == 4, what="the doubts")
    for number, case in enumerate(Case.objects.filter(medium__job__in=jobs)):
        Sample.objects.create(case=case, stratum=("near", "far")[number % 2], probability=(0.1, 0.01)[number % 2])
    for number in range(3):
        taken = claim_next(people.bob)
        assert taken is not None
        to, code = ("refused", "fake.review") if number else ("cleared", "")
        decide(taken, moderator=people.bob, to=to, policy_code=code, reason="looked at it")
    return cookie_of(people.bob, platform.address)


@pytest.fixture
def page(platform: Any, cookie: dict[str, str]) -> Iterator[Any]:
    with opened_browser() as browser, opened_page(browser, platform.address, cookie) as opened:
        yield opened


def test_second_looks_are_given_by_keys_and_become_figures(page: Any) -> None:
    page.goto("/desk/")
    picture(page, "desk-samples")
    page.get_by_role("link", name="3 samples wait for a second look").click()
    page.get_by_role("heading", name="Was it rightly released?").wait_for()
    page.wait_for_function("() => document.querySelector('.veiled img').naturalWidth > 0")
    picture(page, "desk-sample")
    page.keyboard.press("b")
    assert page.locator("#unveil").is_checked()
    first = page.url
    page.keyboard.press("c")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("p")
    page.keyboard.type("A test of review")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.keyboard.type("it is no apple")
    page.keyboard.press("Escape")
    second = page.url
    page.keyboard.press("r")
    page.wait_for_url(lambda url: url != second)
    page.goto("/desk/figures/")
    page.get_by_role("rowheader", name="fake.review").wait_for()
    assert "from 2 second looks" in page.locator(".figures-sums").inner_text()
    picture(page, "desk-figures")
    for address in ("/desk/", "/desk/samples/", "/desk/figures/"):
        page.set_viewport_size({"width": 320, "height": 700})
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= 320"), address
