"""In a real browser: from words to a picture without a mouse, drawing what goes in, and every page at 320 px."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from PIL import Image

from tests.browser import MARKS, PICTURES, cookie_of, opened_browser, opened_page
from tests.path import until

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


def stroke(page: Any, *points: tuple[float, float]) -> None:
    """Draw on the easel; points are shares of its sides."""
    box = page.locator(".easel canvas").bounding_box()
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        if not number:
            page.mouse.down()
    page.mouse.up()


def in_field(page: Any, name: str) -> Image.Image:
    """The picture that the form would send."""
    page.wait_for_selector(f'[data-name="{name}"][data-drawn]')
    sent = page.evaluate(
        """async (id) => {
            const file = document.getElementById(id).files[0];
            return Array.from(new Uint8Array(await file.arrayBuffer()));
        }""",
        f"file_{name}",
    )
    return Image.open(io.BytesIO(bytes(sent))).convert("RGB")


def choose(page: Any, mode: str) -> None:
    page.locator("#modes summary").click()
    page.locator(f'.modes a[href$="mode={mode}"]').click()
    page.wait_for_selector(f'input[name=mode][value="{mode}"]', state="attached")


def released(page: Any, words: str) -> Any:
    """The first card, once it is released."""
    from playwright.sync_api import expect

    card = page.locator("#stream article").first
    expect(card.locator("h2")).to_have_text(words, timeout=60_000)
    expect(card.locator(".job-head .state")).to_have_text("released", timeout=60_000)
    return card


def test_a_sketch_is_drawn_taken_back_and_sent(page: Any) -> None:
    page.goto(reverse("studio"))
    page.fill("#prompt", "a house")
    choose(page, "scribble")
    # What was written stays.
    assert page.input_value("#prompt") == "a house"
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert in_field(page, "control").getpixel((256, 256)) == (0, 0, 0)
    stroke(page, (0.5, 0.1), (0.5, 0.3))
    until(lambda: in_field(page, "control").getpixel((256, 100)) == (0, 0, 0))
    page.keyboard.press("Control+z")
    until(lambda: in_field(page, "control").getpixel((256, 100)) == (255, 255, 255))
    assert in_field(page, "control").getpixel((256, 256)) == (0, 0, 0)
    page.click("#draw")
    released(page, "a house")


def test_a_map_is_painted_in_the_colours_of_its_things(page: Any) -> None:
    page.goto(reverse("studio") + "?mode=segmentation")
    page.locator(".easel-palette label", has_text="house").click()
    stroke(page, (0.3, 0.5), (0.7, 0.5))
    painted = in_field(page, "control")
    assert painted.getpixel((256, 256)) == (255, 9, 224)
    assert painted.getpixel((256, 20)) == (6, 230, 230)
    page.fill("#prompt", "a house under the sky")
    page.click("#draw")
    released(page, "a house under the sky")


def test_a_part_is_marked_on_a_picture_that_was_brought(page: Any, tmp_path: Path) -> None:
    whole = Image.new("RGB", (300, 200), (20, 120, 220))
    whole.paste((240, 120, 20), (100, 50, 200, 150))
    whole.save(tmp_path / "picture.png")
    page.goto(reverse("studio") + "?mode=inpainting")
    page.set_input_files("#file_picture", str(tmp_path / "picture.png"))
    page.wait_for_selector('.easel canvas[width="300"]')
    stroke(page, (0.1, 0.5), (0.4, 0.5))
    marked = in_field(page, "mask")
    assert marked.size == (300, 200)
    assert (marked.getpixel((60, 100)), marked.getpixel((250, 100))) == ((255, 255, 255), (0, 0, 0))
    page.locator('[data-tool="room"]').click()
    page.fill("#prompt", "a wide sea")
    # With room around it the mask is the room, and the picture is as large as before.
    until(lambda: in_field(page, "mask").getpixel((5, 5)) == (255, 255, 255))
    assert in_field(page, "mask").getpixel((150, 100)) == (0, 0, 0)
    page.click("#draw")
    released(page, "a wide sea")


def test_a_film_plays_and_its_card_shows_it(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto(reverse("studio") + "?mode=text_to_film")
    expect(page.locator("#prompt")).to_have_accessible_description(re.compile("^Say how it moves"))
    page.fill("#prompt", "a boat sails by")
    page.click("#draw")
    card = released(page, "a boat sails by")
    film = card.locator("video")
    expect(film).to_have_attribute("poster", re.compile("/poster/$"))
    film.evaluate("video => new Promise(done => { video.oncanplay = done; video.preload = 'auto'; video.load(); })")
    assert film.evaluate("video => [video.videoWidth, video.videoHeight, video.duration]") == [512, 512, 2]
    page.goto(reverse("gallery"))
    page.locator("#rows a").first.click()
    expect(page.locator(".drawer video")).to_be_visible()
    page.locator(".go-on a", has_text="Variations of a film").click()
    expect(page.locator("#prompt")).to_have_accessible_description("")  # the film that goes in moves
    expect(page.locator(".chosen img")).to_have_js_property("complete", True)
    page.click("#draw")
    released(page, "a boat sails by")
