"""The registry's pages in a real browser, without a mouse where a keyboard does, wide and narrow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journal import files
from tests.browser import MARKS, cookie_of, opened_browser, opened_page, picture
from tests.moderation.registered import end, in_days, portrait, protect

pytestmark = MARKS


@pytest.fixture(scope="module")
def cookie(platform: Any) -> dict[str, str]:
    """Sofia's, with some entries before her."""
    sofia = platform.people.sofia
    protect(sofia, "Ottavio Brunzelli", kind="style", basis="rights", outright=True)
    end(protect(sofia, "Anna Bianchi"), sofia)
    protect(sofia, "Nightjar", aliases=["the Nightjar of Turin", "Nightjar Ninetyone"], expires_at=in_days(90))
    protect(sofia, "Giulia Zanardelli", basis="office", document="decree 12/2026")
    return cookie_of(sofia, platform.address)


@pytest.fixture
def page(platform: Any, cookie: dict[str, str]) -> Iterator[Any]:
    with opened_browser() as browser, opened_page(browser, platform.address, cookie, fine="422") as opened:
        yield opened


def test_somebody_is_protected_pictured_and_ended(page: Any, tmp_path: Path) -> None:
    # Other tests of this process may have left theirs there.
    before = set(Path(files.quarantine().path("references")).rglob("*"))
    page.goto("/desk/")
    page.get_by_role("link", name="Who is protected").click()
    page.get_by_role("heading", name="Who is protected").wait_for()
    picture(page, "registry")
    page.get_by_role("link", name="Protect somebody").click()
    page.get_by_label("The whole name").fill("Rose")
    page.get_by_role("button", name="Protect").press("Enter")
    page.get_by_text("Nothing was added.").wait_for()
    picture(page, "registry-errors")
    assert page.get_by_label("The whole name").input_value() == "Rose"
    page.get_by_label("A person").check()
    page.get_by_label("The whole name").fill("Maria Rossi")
    page.get_by_label("Other names, one a line").fill("la Mariuccia\nM. R. Fontana")
    page.get_by_label("It rests on").select_option("own")
    page.get_by_label("Document").fill("Her letter of 3 May 2026, file 12/2026, with a copy of her passport.")
    picture(page, "registry-new")
    page.get_by_role("button", name="Protect").press("Enter")
    page.get_by_role("heading", name="Maria Rossi").wait_for()
    for name, data in (("maria.png", portrait((10, 20))), ("two.png", portrait((10, 20), (30, 40)))):
        (tmp_path / name).write_bytes(data)
        page.get_by_label("A picture with this one face").set_input_files(tmp_path / name)
        page.get_by_role("button", name="Describe it").press("Enter")
        page.wait_for_load_state()
    # The page looks again by itself until both are answered.
    page.get_by_text("2 faces were found in it.").wait_for()
    page.get_by_text("a face was described").wait_for()
    picture(page, "registry-entry")
    address = page.url.partition("?")[0]
    for each in ("/desk/registry/", "/desk/registry/new/", address):
        page.set_viewport_size({"width": 320, "height": 700})
        page.goto(each)
        assert page.evaluate("document.documentElement.scrollWidth <= 320"), each
    page.get_by_label("Why it ends").select_option("opt_out")
    page.get_by_label("Upon what").fill("Her letter of 9 June.")
    page.get_by_role("button", name="End the protection").press("Enter")
    page.get_by_text("is protected no more").wait_for()
    picture(page, "registry-ended")
    left = set(Path(files.quarantine().path("references")).rglob("*")) - before
    assert [each for each in left if each.is_file()] == []
