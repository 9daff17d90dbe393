"""The registry's pages: what is typed is kept and told, each look is written down, and what waits is shown."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from journal.models import Line
from moderation import names, registry
from moderation.models import Protected, ReferencePicture, RegistryLook
from moderation.registry_forms import EntryForm
from moderation.screening.references import describe_one
from tests.moderation.conftest import Moderators
from tests.moderation.registered import end, in_days, portrait, protect, refused
from tests.moderation.sieves import armed
from tests.moderation.test_desk import signed_in
from tests.uploads.files import drawing, saved

NEW = "/desk/registry/new/"
FINE = {
    "key": "0b7f3f0e-6a55-4a52-9d8e-2f3ab5a4f001",
    "kind": "person",
    "name": "Zelmira Trovato",
    "basis": "own",
    "document": "letter of 3 May, file 12",
}


@pytest.fixture(autouse=True)
def as_it_was() -> Any:
    yield
    names.use({}, "")
    registry._names = registry._faces = None


@pytest.fixture
def desk(people: Moderators) -> Client:
    return signed_in(people.sofia)


def page(client: Client, address: str, **asked: Any) -> str:
    return client.get(address, asked).content.decode()


def test_the_form_protects_from_the_next_prompt_on(people: Moderators, desk: Client) -> None:
    html = page(desk, NEW)
    key = re.search(r'name="key" value="([0-9a-f-]{36})"', html)
    assert key is not None
    form = {
        **FINE, "key": key[1], "name": "  Zelmira \t Trovato ", "aliases": "Zelly T\n\n Zelly T \nNightjar Ninetyone",
        "alone": "on", "sure": "on", "unlike": "trovato d'oro", "expires_on": f"{in_days(30):%Y-%m-%d}",
    }  # fmt: skip
    done = desk.post(NEW, form)
    entry = Protected.objects.get()
    assert done["Location"] == f"/desk/registry/{entry.pk}/"
    assert (entry.name, entry.aliases, entry.added_by) == (
        "Zelmira Trovato", ["Zelly T", "Nightjar Ninetyone"], people.sofia
    )  # fmt: skip
    assert entry.expires_at is not None
    assert (entry.expires_at.date() - timezone.now().date()).days == 31
    assert refused("zelly t on a horse")[0] == "person.real"
    # Pressed twice, by a browser that went back.
    assert desk.post(NEW, form)["Location"] == done["Location"]
    assert Protected.objects.count() == 1
    html = page(desk, done["Location"])
    for told in ("Zelmira Trovato", "Zelly T · Nightjar Ninetyone", "letter of 3 May, file 12", "sofia@example.org"):
        assert told in html
    assert desk.post(f"{done['Location']}ending/", {"why": "opt_out", "note": "her letter"}).status_code == 302
    assert refused("zelly t on a horse") == ("", ())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": ""}, "Say whether it is a person or a style."),
        ({"kind": "place"}, "place"),
        ({"name": "  "}, "Give the whole name."),
        ({"name": "A" * 121}, "The name is longer than 120 letters."),
        ({"name": "🙂🙂"}, "fewer than two letters"),
        ({"name": "X"}, "fewer than two letters"),
        ({"name": "Anna Maria Luisa de la Vega Contini"}, "at most five words"),
        ({"name": "Zelmira\u202eTrovato"}, "a sign in it that nobody sees"),
        ({"name": "Zelmira\x00Trovato"}, "Null characters are not allowed."),
        ({"aliases": "Zelly T\n🙂"}, "fewer than two letters"),
        ({"aliases": "\n".join(f"Zelly T{number}" for number in range(41))}, "at most 40"),
        ({"aliases": "Z" * 121}, "more than 120 letters"),
        ({"aliases": "Z " * 4000}, "at most 6000 characters"),
        ({"unlike": "Zelmira Trovato"}, "how the entry itself is found"),
        ({"basis": ""}, "Choose the ground that it rests on."),
        ({"basis": "rumour"}, "rumour"),
        ({"document": " "}, "without a document there is no entry"),
        ({"document": "x"}, "so that another person finds it"),
        ({"document": "x" * 2001}, "longer than 2,000 letters"),
        ({"expires_on": "2020-01-01"}, "This day is over"),
        ({"expires_on": "9999-12-31"}, "This day is over"),
        ({"expires_on": "tomorrow"}, "This is no date."),
        ({"name": "Rose"}, "Prompts that mean nobody say “Rose”"),
        ({"name": "Zelmira Bianchi", "alone": "on"}, "Prompts that mean nobody say “bianchi”"),
        ({"instead_en": "blue lines"}, "Other words are for styles."),
        ({"kind": "style", "instead_en": "blue lines"}, "in both languages, or in neither"),
        ({"kind": "style", "instead_en": "like Picasso", "instead_it": "linee blu"}, "name a protected style"),
        ({"kind": "style", "instead_en": "zelmira trovato", "instead_it": "x"}, "name a protected style"),
        ({"key": "1"}, "This form is broken."),
    ],
)
def test_what_is_wrong_is_told_and_what_was_typed_is_kept(desk: Client, changes: dict[str, str], told: str) -> None:
    typed = {**FINE, "name": "Zelmira Trovato", "document": "file <b>12</b> & more", **changes}
    answer = desk.post(NEW, typed)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert told in html
    assert "Nothing was added." in html
    if "document" not in changes:
        assert "file &lt;b&gt;12&lt;/b&gt; &amp; more" in html
    assert not Protected.objects.exists()


@pytest.mark.parametrize(
    "name",
    ["习近平", "Владимир Зеленский", "محمد صلاح", "Ñandú O'Brien-Łukasz", "José María", "Zelmira 2pac", "नरेन्द्र मोदी"],
)
def test_names_of_any_script_are_taken_and_found(desk: Client, name: str) -> None:
    assert desk.post(NEW, {**FINE, "name": name, "sure": "on"}).status_code == 302
    assert refused(f"a portrait of {name} in oil")[0] == "person.real"


def test_an_ordinary_word_is_taken_when_it_is_meant(desk: Client) -> None:
    form = {**FINE, "name": "Rose"}
    assert "Add it all the same" in desk.post(NEW, form).content.decode()
    assert "Add it all the same" not in desk.post(NEW, {**FINE, "name": ""}).content.decode()
    assert desk.post(NEW, {**form, "sure": "on"}).status_code == 302


def test_a_style_is_added_with_other_words(desk: Client) -> None:
    form = {**FINE, "kind": "style", "name": "Ottavio Brunzelli", "instead_en": "blue lines", "instead_it": "linee blu"}
    address = desk.post(NEW, form)["Location"]
    assert Protected.objects.get().instead == {"en": "blue lines", "it": "linee blu"}
    html = page(desk, address)
    assert "refused softly" in html
    assert "Describe it" not in html, "a style has no face"
    assert EntryForm({**form, "outright": "on", "kind": "person", "instead_en": "", "instead_it": ""}).is_valid()


def test_each_look_is_audited_with_what_was_searched(people: Moderators, desk: Client) -> None:
    maria, anna = protect(people.sofia, aliases=["la Mariuccia"]), protect(people.sofia, "Anna Bianchi")
    html = page(desk, "/desk/registry/", q="  mariuccia\x00 ")
    assert "Maria Rossi" in html
    assert "Anna Bianchi" not in html
    page(desk, "/desk/registry/")
    page(desk, f"/desk/registry/{anna.pk}/")
    looks = list(RegistryLook.objects.order_by("pk").values_list("keeper", "entry", "searched", "shown"))
    assert looks == [
        (people.sofia.pk, None, "mariuccia", [maria.pk]),
        (people.sofia.pk, None, "", [anna.pk, maria.pk]),
        (people.sofia.pk, anna.pk, "", []),
    ]
    assert Line.objects.filter(source="moderation_registrylook").count() == 3
    # What answers with the entry shows it too.
    assert desk.post(f"/desk/registry/{anna.pk}/ending/", {}).status_code == 422
    assert desk.post(f"/desk/registry/{anna.pk}/pictures/", {}).status_code == 422
    assert RegistryLook.objects.count() == 5


def test_nobody_else_looks_or_leaves_a_look(people: Moderators) -> None:
    entry = protect(people.sofia)
    for person in (people.alice, people.bob):
        client = signed_in(person)
        for address in ("/desk/registry/", NEW, f"/desk/registry/{entry.pk}/"):
            answer = client.get(address)
            assert answer.status_code == 403
            assert "Rossi" not in answer.content.decode()
        for address, form in ((NEW, FINE), (f"/desk/registry/{entry.pk}/ending/", {"why": "mistaken", "note": "xxx"})):
            assert client.post(address, form).status_code == 403
    assert "Who is protected" not in page(signed_in(people.bob), "/desk/")
    assert "Who is protected" in page(signed_in(people.sofia), "/desk/")
    assert not RegistryLook.objects.exists()
    assert Protected.objects.get().is_current


def test_the_list_pages_filters_and_survives_what_is_odd(people: Moderators, desk: Client) -> None:
    old = protect(people.sofia, "Maria Rossi", expires_at=in_days(-1))
    ended = protect(people.sofia, "Anna Bianchi")
    end(ended, people.sofia)
    for number in range(51):
        protect(people.sofia, f"Zelmira Trovato{number}")
    first = page(desk, "/desk/registry/")
    assert (first.count('<th scope="row">'), "Older" in first) == (50, True)
    before = re.search(r"before=(\d+)", first)
    assert before is not None
    second = page(desk, "/desk/registry/", before=before[1])
    assert "Trovato0<" in second
    assert "Trovato50<" not in second
    over = page(desk, "/desk/registry/", show="over")
    assert "expired" in over
    assert "ended" in over
    assert str(old.pk) in over
    assert page(desk, "/desk/registry/", show="all", q="bianchi").count('<th scope="row">') == 1
    for odd in ({"before": "x" * 30}, {"before": "9" * 30}, {"show": "none"}, {"q": "%_\\'\"<script>" * 60}):
        assert desk.get("/desk/registry/", odd).status_code == 200
    assert "By the house’s own files: Donald Trump" in page(desk, "/desk/registry/", q="trump")
    assert desk.get(f"/desk/registry/{10**30}/").status_code == 404


def test_a_picture_is_brought_and_what_became_of_it_stands_there(people: Moderators, desk: Client) -> None:
    entry = protect(people.sofia)
    address = f"/desk/registry/{entry.pk}/"
    for data, told in ((None, "Choose a picture."), (b"", "The file is empty.")):
        form = {} if data is None else {"picture": SimpleUploadedFile("a.png", data)}
        answer = desk.post(f"{address}pictures/", form)
        assert answer.status_code == 422
        assert told in answer.content.decode()
    for data in (portrait((10, 20)), saved(drawing(), "PNG")):
        assert desk.post(f"{address}pictures/", {"picture": SimpleUploadedFile("a.png", data)}).status_code == 302
    # Whoever is typing is not interrupted; the page that looks again by itself has nothing to type in.
    calm = desk.get(address)
    assert "Refresh" not in calm
    assert "End the protection" in calm.content.decode()
    waiting = desk.get(f"{address}?again")
    assert "being looked at" in waiting.content.decode()
    assert "End the protection" not in waiting.content.decode()
    again = waiting["Refresh"].partition("url=")[2]
    looks = RegistryLook.objects.count()
    desk.get(again)
    assert RegistryLook.objects.count() == looks, "a page that waits looks once"
    sieve = armed()
    while describe_one(sieve):
        pass
    answered = desk.get(again)
    assert "Refresh" not in answered
    html = answered.content.decode()
    assert "a face was described" in html
    assert "No face was found in it." in html
    assert ReferencePicture.objects.filter(file_key="").count() == 2
    end(entry, people.sofia)
    over = page(desk, address)
    assert "erased" in over
    assert "Describe it" not in over
    late = desk.post(f"{address}pictures/", {"picture": SimpleUploadedFile("a.png", b"x")})
    assert late.status_code == 422
    assert "is over. Add a new one." in late.content.decode()


def test_what_ends_an_entry_is_asked_for(people: Moderators, desk: Client) -> None:
    address = f"/desk/registry/{protect(people.sofia).pk}/ending/"
    for form, told in (
        ({}, "Choose why it ends."),
        ({"why": "opt_out"}, "Say what it ends upon"),
        ({"why": "opt_out", "note": "x"}, "in a few words more"),
        ({"why": "whim", "note": "no reason"}, "whim"),
        ({"why": "opt_out", "note": "x" * 501}, "At most 500 letters."),
    ):
        answer = desk.post(address, form)
        assert answer.status_code == 422
        assert told in answer.content.decode()
    assert refused("Maria Rossi")[0] == "person.real"
    assert desk.post(address, {"why": "opt_out", "note": "her letter"}).status_code == 302
    assert (
        "It was ended already."
        in desk.post(address, {"why": "mistaken", "note": "again"}, follow=True).content.decode()
    )
    assert "her letter" in page(desk, address.replace("ending/", ""))
