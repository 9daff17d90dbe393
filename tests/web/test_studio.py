"""The studio as a browser without scripts and as htmx sees it; and that nobody sees what is another's."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from generation import offer, views
from generation.actions import jobs as verbs
from generation.models import Job, Medium
from journal import files
from tests import path
from tests.people import People
from tests.shelf import read_anew

HTMX = {"HX-Request": "true"}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def ask(client: Client, prompt: str = "a red apple on blue", headers: Any = None, **fields: Any) -> Any:
    return client.post(reverse("studio_jobs"), {"prompt": prompt, "n": "1", **fields}, headers=headers or {})


def test_an_order_without_scripts_leads_back_to_the_studio(people: People, alice: Client) -> None:
    answer = ask(alice, key="one")
    job = Job.objects.of(people.alice).get()
    assert answer.url == f"{reverse('studio')}#job-{job.pk}"
    assert f'id="job-{job.pk}"' in text(alice.get(reverse("studio")))


def test_an_order_by_htmx_is_answered_with_its_card_a_new_key_and_the_credits_left(alice: Client) -> None:
    html = text(ask(alice, headers=HTMX, key="one", n="2"))
    assert html.lstrip().startswith("<article")
    assert html.count('<li class="frame"') == 2
    assert re.search(r'id="key" value="(?!one)', html)
    assert '<strong id="credits" hx-swap-oob="true">992</strong>' in html


def test_the_same_form_sent_three_times_is_one_job(people: People, alice: Client) -> None:
    for _ in range(3):
        assert ask(alice, key="the same").status_code == 302
    assert Job.objects.of(people.alice).count() == 1


def test_the_same_form_with_other_words_is_not_taken(alice: Client) -> None:
    ask(alice, key="the same")
    answer = ask(alice, "a green boat", key="the same")
    assert answer.status_code == 409
    assert "a green boat" in text(answer), "the words are not lost"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": "x" * 100_000}, "at most 2,000 can be read"),
        ({"prompt": "a\x00b"}, "control character"),
        ({"n": "0"}, "from 1 to 8"),
        ({"n": "-1"}, "from 1 to 8"),
        ({"n": "1000000000"}, "from 1 to 8"),
        ({"model": "none"}, "There is no model"),
        ({"size": "7x7"}, "not &#x27;7x7&#x27;"),
        ({"seed": "minus one"}, "whole number"),
    ],
)
def test_a_bad_field_is_answered_with_what_to_do(alice: Client, fields: dict[str, str], sentence: str) -> None:
    for headers in (None, HTMX):
        answer = alice.post(reverse("studio_jobs"), {"prompt": "a red apple", "n": "1"} | fields, headers=headers or {})
        assert answer.status_code == 400
        assert sentence in text(answer)
    assert not Job.objects.exists()


@pytest.mark.parametrize("prompt", ["مرحبا تفاحة حمراء", "🍎 on 🟦", "<script>alert(1)</script>", "\u202ered apple"])
def test_any_words_are_shown_as_words(alice: Client, prompt: str) -> None:
    ask(alice, prompt)
    html = text(alice.get(reverse("studio")))
    assert "<script>alert" not in html
    assert prompt.replace("<", "&lt;").replace(">", "&gt;") in html


def test_too_few_credits_are_told_beside_the_composer(people: People, alice: Client) -> None:
    bob = Client()
    bob.force_login(people.bob)
    answer = ask(bob, headers=HTMX)
    assert answer.status_code == 402
    assert answer.headers["HX-Retarget"] == "#refusal"
    assert not Job.objects.exists()


def test_when_the_sieve_is_behind_the_page_says_when_to_come_back(alice: Client, settings: Any) -> None:
    ask(alice)
    settings.MOST_PENDING_SECONDS = 0
    answer = ask(alice, "a boat")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "Nothing was charged" in text(answer)


def test_the_price_in_the_button_is_the_price_that_is_held(people: People, alice: Client) -> None:
    html = text(alice.get(reverse("studio_quote"), {"n": "4"}, headers=HTMX))
    assert "Draw · 16 credits" in html
    ask(alice, n="4")
    assert Job.objects.of(people.alice).get().price == 16


def test_what_a_licence_asks_is_told_beside_the_model_and_with_its_price(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card,) = offer.cards().values()
    asking = replace(card, use_limits="Nobody may be deceived.")
    for module in (offer, views):
        monkeypatch.setattr(module, "cards", lambda: {"fake": asking})
    for page in (alice.get(reverse("studio")), alice.get(reverse("studio_quote"), {"model": "fake"}, headers=HTMX)):
        assert "Soft fields of colour" in text(page)
        assert "Nobody may be deceived." in text(page)


@pytest.mark.parametrize("n", ["", "0", "9", "x", "99999999999999999999"])
def test_a_quote_for_nonsense_is_a_quote_for_one(alice: Client, n: str) -> None:
    assert "Draw · 4 credits" in text(alice.get(reverse("studio_quote"), {"n": n, "model": "none"}))


def test_a_card_that_would_look_the_same_is_not_sent_again(people: People, alice: Client) -> None:
    job = path.submit(people.alice)
    html = text(alice.get(reverse("studio_job", args=[job.pk])))
    again = re.search(r'hx-get="([^"]+)"', html)
    assert again is not None
    assert alice.get(again[1]).status_code == 204
    path.work_prompts()
    news = alice.get(again[1])
    assert news.status_code == 200
    assert "Next in line." in text(news)


def test_a_card_of_a_job_that_is_final_asks_no_more(people: People, alice: Client) -> None:
    job = path.submit(people.alice)
    path.work()
    html = text(alice.get(reverse("studio_job", args=[job.pk])))
    assert "hx-get=" not in html
    assert "released" in html


def test_a_frame_fills_by_number_and_carries_no_pixel_before_release(people: People, alice: Client) -> None:
    job = path.submit(people.alice)
    path.work_prompts()
    Job.objects.filter(pk=job.pk).update(
        state="running", progress_step=5, lease_token=job.pk, lease_until="2100-01-01T00:00:00Z"
    )
    html = text(alice.get(reverse("job", args=[job.pk])))
    assert "Step 5 of 20." in html
    assert 'height="25.0"' in html
    assert "<img" not in html


def test_cancelling_twice_is_cancelling_once(people: People, alice: Client) -> None:
    job = path.submit(people.alice)
    for _ in range(2):
        answer = alice.post(reverse("job_cancellation", args=[job.pk]), headers=HTMX)
        assert "cancelled" in text(answer)
        assert "You were not charged." in text(answer)
    assert alice.post(reverse("job_cancellation", args=[job.pk])).status_code == 302


def test_what_was_refused_has_a_letter_and_no_picture(people: People, alice: Client, carol: Client) -> None:
    job = path.submit(people.alice, "verdict:block a bad thing")
    path.work()
    medium = Medium.objects.select_related("case").get(job=job)
    assert medium.word == "refused"
    page = text(alice.get(reverse("job", args=[job.pk])))
    letter = reverse("statement", args=[medium.case_id])
    assert letter in page
    assert "<img" not in page
    assert "You were not charged" in text(alice.get(letter))
    assert carol.get(letter).status_code == 404
    assert alice.get(reverse("medium", args=[medium.pk])).status_code == 404
    assert alice.get(reverse("gallery_medium", args=[medium.pk])).status_code == 404


def test_what_was_released_has_no_letter(people: People, alice: Client) -> None:
    job = path.submit(people.alice)
    path.work()
    assert alice.get(reverse("statement", args=[Medium.objects.get(job=job).case_id])).status_code == 404


def test_the_gallery_shows_what_was_released_and_nothing_else(people: People, alice: Client, carol: Client) -> None:
    shown = path.submit(people.alice, "a red apple on blue", n=2)
    path.submit(people.alice, "verdict:block a bad thing")
    path.submit(people.alice, "verdict:review a doubtful thing")
    path.work()
    path.submit(people.alice, "not drawn yet")
    html = text(alice.get(reverse("gallery")))
    assert set(re.findall(r'src="/media/([0-9a-f-]+)/"', html)) == {
        str(key) for key in Medium.objects.filter(job=shown).values_list("pk", flat=True)
    }
    assert "Nothing came through the sieve yet." in text(carol.get(reverse("gallery")))


def test_the_drawer_knows_its_neighbours(people: People, alice: Client) -> None:
    job = path.submit(people.alice, n=3)
    path.work()
    first, second, third = Medium.objects.filter(job=job).order_by("index")
    html = text(alice.get(reverse("gallery_medium", args=[second.pk]), headers=HTMX))
    assert not html.lstrip().startswith("<!doctype")
    links = dict(re.findall(r'data-key="(\w+)"[^>]*href="([^"]+)"', html))
    assert links["ArrowLeft"] == reverse("gallery_medium", args=[first.pk])
    assert links["ArrowRight"] == reverse("gallery_medium", args=[third.pk])
    assert text(alice.get(reverse("gallery_medium", args=[second.pk]))).count("<h1") == 1, "the same without scripts"


def test_a_released_picture_is_its_owners_and_is_kept_by_nobody_on_the_way(
    people: People, alice: Client, carol: Client
) -> None:
    job = path.submit(people.alice)
    path.work()
    address = reverse("medium", args=[Medium.objects.get(job=job).pk])
    answer = alice.get(address)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert "private" in answer.headers["Cache-Control"]
    assert carol.get(address).status_code == 404


def test_a_file_that_is_not_the_one_that_was_cleared_is_not_sent(people: People, alice: Client) -> None:
    """A swapped file would be a picture that nobody looked at."""
    job = path.submit(people.alice)
    path.work()
    medium = Medium.objects.select_related("case").get(job=job)
    assert medium.case is not None
    with Path(files.released().path(medium.case.derivative_key)).open("ab") as file:
        file.write(b"another ending")
    with pytest.raises(files.StoreBroken, match="not the file that was cleared"):
        alice.get(reverse("medium", args=[medium.pk]))


def test_pages_of_jobs_go_on_where_the_last_one_ended(people: People, alice: Client) -> None:
    made = [path.submit(people.alice, f"picture {number}") for number in range(23)]
    first = text(alice.get(reverse("studio")))
    more = re.search(r'href="([^"]+\?before=[^"]+)"', first)
    assert more is not None
    second = text(alice.get(more[1]))
    cards = re.findall(r'<article class="job" id="job-([0-9a-f-]+)"', first + second)
    assert cards == [str(job.pk) for job in reversed(made)]


def test_the_words_of_an_earlier_job_can_be_used_again_by_their_owner(
    people: People, alice: Client, carol: Client
) -> None:
    job = path.submit(people.alice, "a lighthouse on pink", n=2)
    again = {"from": str(job.pk)}
    assert ">a lighthouse on pink</textarea>" in text(alice.get(reverse("studio"), again))
    assert "a lighthouse" not in text(carol.get(reverse("studio"), again))


def test_nobody_sees_or_stops_anothers_job(people: People, carol: Client) -> None:
    job = path.submit(people.alice)
    for name in ("job", "studio_job"):
        assert carol.get(reverse(name, args=[job.pk])).status_code == 404
    assert carol.post(reverse("job_cancellation", args=[job.pk])).status_code == 404
    job.refresh_from_db()
    assert not job.is_final


def test_an_account_on_hold_is_told_so(people: People, alice: Client) -> None:
    path.submit(people.alice, "verdict:severe the worst")
    path.work()
    answer = ask(alice, "one more", headers=HTMX)
    assert answer.status_code == 403
    assert str(verbs.AccountOnHold()) in text(answer)


def test_a_page_of_twenty_jobs_costs_no_more_than_a_page_of_two(
    people: People, alice: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        path.submit(people.alice)
    path.work_prompts()
    with django_assert_max_num_queries(16):
        html = text(alice.get(reverse("studio")))
    assert html.count("Next in line.") == 1
    assert "19 turns before it." in html


def test_a_damaged_key_of_the_form_gets_a_sentence(people: People, alice: Client) -> None:
    answer = ask(alice, key="a\x00b")
    assert answer.status_code == 400
    assert "The form is damaged" in text(answer)
    assert not Job.objects.of(people.alice).exists()


def test_a_number_of_five_thousand_digits_gets_a_sentence(alice: Client) -> None:
    for number in ("9" * 5000, "000000001" + "0" * 5000):
        assert alice.get(reverse("studio_quote"), {"n": number}).status_code == 200
        assert ask(alice, n=number).status_code == 400


def test_a_session_cookie_that_cannot_be_one_is_nobodys(client: Client, db: None) -> None:
    client.cookies["sessionid"] = "abcdefgh\x00"
    assert client.get(reverse("studio")).status_code == 302


@pytest.fixture
def picture(people: People, alice: Client) -> Medium:
    """A released picture of Alice's."""
    ask(alice, key="the first")
    path.work()
    return Medium.objects.shown().get()


def test_a_picture_of_ones_own_can_be_varied_or_drawn_over(people: People, alice: Client, picture: Medium) -> None:
    drawer = text(alice.get(reverse("gallery_medium", args=[picture.pk])))
    found = re.findall(r'href="([^"]*start=[^"]*)">(Vary a picture|Draw over a picture)', drawer)
    assert [word for _, word in found] == ["Vary a picture", "Draw over a picture"]
    for (address, _), mode, span in zip(
        found, ("variation", "image_to_image"), (("0.3", "0.9"), ("0.1", "1.0")), strict=True
    ):
        html = text(alice.get(address.replace("&amp;", "&")))
        assert f'<input type="hidden" name="picture" value="{picture.pk}">' in html
        assert f'<input type="hidden" name="mode" value="{mode}">' in html
        assert f'min="{span[0]}" max="{span[1]}"' in html
        assert "a red apple on blue</textarea>" in html
    answer = ask(alice, "a green apple", key="second", picture=str(picture.pk), mode="variation", strength="0.5")
    assert answer.status_code == 302
    job = Job.objects.of(people.alice).latest("created_at")
    assert (job.mode, job.inputs.get().medium_id, job.strength) == ("variation", picture.pk, 0.5)
    page = text(alice.get(reverse("job", args=[job.pk])))
    assert reverse("gallery_medium", args=[picture.pk]) in page
    again = text(alice.get(reverse("studio") + f"?from={job.pk}"))
    assert f'value="{picture.pk}"' in again
    assert 'value="0.5"' in again


def test_a_change_of_mode_brings_the_span_of_its_strength(alice: Client, picture: Medium) -> None:
    asked = {"picture": str(picture.pk), "mode": "variation", "strength": "0.1", "n": "2"}
    html = text(alice.get(reverse("studio_quote"), asked, headers=HTMX))
    assert 'id="strength-field" hx-swap-oob="true"' in html
    assert 'min="0.3" max="0.9" step="0.05" value="0.6"' in html
    plain = text(alice.get(reverse("studio_quote"), {"n": "2"}, headers=HTMX))
    assert 'name="strength"' not in plain
    assert '<div class="field strength" id="strength-field" hx-swap-oob="true"></div>' in plain


def test_somebody_elses_picture_is_not_shown_to_start_from(people: People, picture: Medium) -> None:
    carol = Client()
    carol.force_login(people.carol)
    html = text(carol.get(reverse("studio") + f"?start={picture.pk}&mode=variation"))
    assert str(picture.pk) not in html
    answer = ask(carol, "a pear", key="hers", picture=str(picture.pk), mode="variation")
    assert answer.status_code == 400
    assert "You have no picture with this id" in text(answer)
    assert "a pear</textarea>" in text(answer)
    assert not Job.objects.of(people.carol).exists()


def test_what_is_no_picture_to_start_from_is_left_out(alice: Client) -> None:
    for odd in ("x", "../", "0" * 500, ""):
        assert 'type="hidden" name="picture"' not in text(
            alice.get(reverse("studio"), {"start": odd, "mode": "variation"})
        )


@pytest.fixture
def words_only(tmp_path: Path, settings: Any) -> Iterator[None]:
    """A house that sells pictures from words, and nothing that starts from one."""
    text = (Path(settings.CATALOGUE) / "fake.toml").read_text()
    (tmp_path / "fake.toml").write_text(text.partition("[modes.image_to_image]")[0])
    settings.CATALOGUE = tmp_path
    read_anew()
    yield
    read_anew()


def test_what_no_model_does_is_not_offered(people: People, alice: Client, picture: Medium, words_only: None) -> None:
    drawer = text(alice.get(reverse("gallery_medium", args=[picture.pk])))
    assert "Keep a copy" in drawer
    assert "Go on from it" not in drawer
    html = text(alice.get(reverse("studio") + f"?start={picture.pk}&mode=variation"))
    assert 'name="picture"' not in html
    answer = ask(alice, "a pear", key="other", picture=str(picture.pk), mode="variation")
    assert answer.status_code == 400
    assert "mode is one of text_to_image, not" in text(answer)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["fake", "nothing"], "VAGLIO_MODELS names nothing; known are fake."),
        (["fake"], "None of fake draws from words"),
    ],
)
def test_a_house_that_sells_what_is_not_there_does_not_start(
    tmp_path: Path, settings: Any, names: list[str], said: str
) -> None:
    text = (Path(settings.CATALOGUE) / "fake.toml").read_text()
    (tmp_path / "fake.toml").write_text(text.replace('[modes.text_to_image]\npipeline = "fake"\n', ""))
    settings.CATALOGUE, settings.MODELS = tmp_path, names
    read_anew()
    try:
        with pytest.raises(ImproperlyConfigured, match=said):
            offer.cards()
    finally:
        read_anew()
