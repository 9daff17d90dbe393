"""What every page keeps: it answers, it has a name and a way in for the keyboard, and nothing inline runs in it."""

import io
import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey
from generation.api.errors import in_shape
from generation.offer import cards, price_of
from tests.people import People
from web import views

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(
    path
    for room in ("platform/web", "platform/accounts", "generation", "billing", "moderation")
    for path in (ROOT / room).rglob("templates/**/*.html")
)
FOR_ANYBODY = ["landing", "account_login", "account_signup", "account_reset_password"]
FOR_ALICE = ["studio", "gallery", "wallet", "api_keys", "account_email", "account_change_password", "account_logout"]


def as_person(person: Any) -> Client:
    client = Client()
    client.force_login(person)
    return client


def assert_is_a_page(html: str) -> None:
    assert html.lstrip().startswith("<!doctype html>")
    assert '<html lang="en">' in html
    assert re.search(r"<title>\S.*</title>", html)
    assert len(re.findall(r"<h1[ >]", html)) == 1, "one heading names the page"
    assert '<main id="main"' in html
    first = re.search(r"<(a|button|input|select|textarea|summary)\b[^>]*>", html.partition("<body")[2])
    assert first is not None
    assert 'href="#main"' in first[0], "the first thing the keyboard meets skips to the page"


@pytest.mark.parametrize("name", FOR_ANYBODY)
def test_a_public_page_answers(client: Client, db: None, name: str) -> None:
    answer = client.get(reverse(name))
    assert answer.status_code == 200
    assert_is_a_page(answer.content.decode())


def test_each_page_of_a_person_answers_them_and_sends_others_to_sign_in(people: People, client: Client) -> None:
    alice = as_person(people.alice)
    for name in FOR_ALICE:
        answer = alice.get(reverse(name))
        assert answer.status_code == 200, name
        assert_is_a_page(answer.content.decode())
        assert client.get(reverse(name)).status_code == 302, name


def test_a_refused_page_is_one_line_of_the_log(people: People) -> None:
    console = next(one for one in logging.getLogger().handlers if one.get_name() == "console")
    assert isinstance(console, logging.StreamHandler)
    said = io.StringIO()
    before = console.setStream(said)
    try:
        assert as_person(people.alice).get(reverse("desk")).status_code == 403
    finally:
        console.setStream(before)
    assert said.getvalue().splitlines() == ["WARNING django.request: Forbidden (Permission denied): /desk/"]


def test_the_desk_is_in_the_bar_of_moderators_only(people: People) -> None:
    desk = f'href="{reverse("desk")}"'
    assert desk in as_person(people.bob).get(reverse("studio")).content.decode()
    assert desk not in as_person(people.alice).get(reverse("studio")).content.decode()


def test_the_bar_counts_the_credits_that_can_be_spent(people: People) -> None:
    html = as_person(people.alice).get(reverse("gallery")).content.decode()
    assert '<strong id="credits">1,000</strong>' in html


@pytest.mark.parametrize("name", ["landing", "account_login"])
def test_the_policy_allows_nothing_inline(client: Client, db: None, name: str) -> None:
    policy = client.get(reverse(name)).headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_holds_no_inline_style_or_script(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<[a-z][^>]*\sstyle\s*=", text, re.I), "a style attribute is refused by the policy"
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", text, re.I), "so is a handler"
    assert not re.search(r"<style\b", text, re.I)
    assert "javascript:" not in text
    for tag in re.findall(r"<script\b[^>]*>", text, re.I):
        assert "src=" in tag
    assert not re.search(r"""(src|href)\s*=\s*["']https?://""", text), "nothing is loaded from elsewhere"


def test_the_landing_page_weighs_less_than_60_kb_with_its_pictures(client: Client, db: None) -> None:
    answer = client.get(reverse("landing"))
    weight = len(answer.content)
    linked = set(re.findall(rf'(?:src|href)="{settings.STATIC_URL}([^"]+)"', answer.content.decode()))
    for name in linked:
        found = finders.find(name)
        assert found, f"{name} is linked and does not exist"
        # Icons are fetched by the browser's own bar.
        if not name.endswith(".png"):
            weight += Path(str(found)).stat().st_size
    assert weight < 60_000
    assert sum(name.endswith(".webp") for name in linked) == 8
    assert not any("htmx" in name for name in linked), "a page without live parts does not load them"


def test_the_price_list_names_each_mode_with_its_price_and_what_a_licence_asks(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card,) = cards().values()
    asks = "It must be passed on that nobody may be deceived."
    monkeypatch.setattr(views, "cards", lambda: {"fake": replace(card, use_limits=asks)})
    text = " ".join(re.sub(r"<[^>]+>", " ", client.get(reverse("landing")).content.decode()).split())
    assert asks in text
    for way in card.modes.values():
        noun = "film" if way.mode.is_film else "picture"
        row = text.partition(way.mode.title)[2]
        assert row.startswith(" 512 × 512"), way.mode.name
        assert f"{price_of(way)} credits a {noun}" in row[:80], way.mode.name
    assert "512 × 512, 256 × 256; 2 s or 1 s" in text


def test_an_address_that_never_was_says_what_it_may_have_been(client: Client, db: None) -> None:
    answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_a_failure_is_told_without_asking_the_database(client: Client) -> None:
    from web.views import server_error, unavailable

    answer = server_error(None)
    assert answer.status_code == 500
    assert "This one is on us" in answer.content.decode()
    busy = unavailable(None, retry_after=30)
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "30")


def test_a_form_without_its_token_is_told_apart_from_a_missing_role(people: People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.alice)
    answer = client.post(reverse("studio_jobs"), {"prompt": "a red apple on blue"})
    assert answer.status_code == 403
    assert "This form was open too long" in answer.content.decode()


def test_a_key_is_shown_once_and_can_be_revoked(people: People) -> None:
    alice, carol = as_person(people.alice), as_person(people.carol)
    answer = alice.post(reverse("api_keys"), {"name": "laptop"})
    secret = re.search(r'value="(vg_[^"]+)"', answer.content.decode())
    assert secret is not None
    assert "no-store" in answer.headers["Cache-Control"]
    listed = alice.get(reverse("api_keys")).content.decode()
    assert "laptop" in listed
    assert secret[1] not in listed
    key = ApiKey.objects.of(people.alice).get()
    assert carol.post(reverse("api_key_revocation", args=[key.pk])).status_code == 404
    assert ApiKey.objects.usable().filter(pk=key.pk).exists()
    for _ in range(2):
        assert alice.post(reverse("api_key_revocation", args=[key.pk])).status_code == 302
    assert not ApiKey.objects.usable().filter(pk=key.pk).exists()


def test_a_key_without_a_name_is_not_made(people: People) -> None:
    answer = as_person(people.alice).post(reverse("api_keys"), {"name": "  "})
    assert answer.status_code == 400
    assert "Give the key a name" in answer.content.decode()
    assert not ApiKey.objects.of(people.alice).exists()


def test_whoever_signs_up_gets_a_letter_and_then_the_studio(client: Client, db: None, mailoutbox: Any) -> None:
    answer = client.post(
        reverse("account_signup"),
        {"email": "Dora@example.org", "password1": "quiet-harbour-41", "password2": "quiet-harbour-41"},
        follow=True,
    )
    assert "Look into your mail" in answer.content.decode()
    (letter,) = mailoutbox
    assert "Vaglio" in letter.subject
    link = re.search(r"http://testserver(/account/confirm-email/\S+)", letter.body)
    assert link is not None
    assert "dora@example.org" in client.get(link[1]).content.decode().lower()
    client.post(link[1])
    signed_in = client.post(reverse("account_login"), {"login": "dora@example.org", "password": "quiet-harbour-41"})
    assert signed_in.url == reverse("studio")
    assert '<strong id="credits">15</strong>' in client.get(reverse("studio")).content.decode()


def test_who_guesses_passwords_locks_out_their_own_address_and_no_other(people: People, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1

    def sign_in(address: str, email: str, password: str) -> int:
        body = {"login": email, "password": password}
        return int(Client().post(reverse("account_login"), body, headers={"X-Forwarded-For": address}).status_code)

    guesses = [sign_in("192.0.2.1", f"nobody{number}@vaglio.example", "guess") for number in range(12)]
    assert 302 not in guesses
    people.alice.set_password("right-and-long")
    people.alice.save()
    assert sign_in("192.0.2.1", people.alice.email, "right-and-long") != 302
    assert sign_in("192.0.2.2", people.alice.email, "right-and-long") == 302


def test_a_fault_of_ours_below_the_api_is_said_in_its_shape() -> None:
    answer = in_shape(HttpResponse("<html>", status=500))
    assert isinstance(answer, HttpResponse)
    assert json.loads(answer.content)["error"]["code"] == "server_error"
