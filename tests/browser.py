"""A real browser for tests, and pages that fail their test when the browser complains."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Kept after the run, to be looked at.
PICTURES = Path(__file__).resolve().parent / "pictures"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="there is no Chromium on this machine"),
]


def cookie_of(person: User, address: str) -> dict[str, str]:
    """A session of theirs. Make it before the browser: playwright's loop keeps Django's ORM out of its thread."""
    client = Client()
    client.force_login(person)
    return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": address}


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@contextmanager
def opened_page(browser: Any, address: str, cookie: dict[str, str], *, fine: str = "") -> Iterator[Any]:
    """A page of whoever the cookie is of; at its end the browser must not have complained, as of anything inline.

    A complaint that has the word `fine` in it belongs to what the test does.
    """
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    context.add_cookies([cookie])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [each for each in complaints if not (fine and fine in each)] == []


def picture(page: Any, name: str) -> None:
    """The whole page, wide and narrow, in light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 800})
            page.screenshot(path=PICTURES / f"{name}-{scheme}-{width}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})
