"""The registry of protected persons and styles: who adds, what protects, from when and until when."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from journal.models import Line
from moderation import names, registry
from moderation.actions import registry as keeping
from moderation.lexicon import judge_prompt
from moderation.models import Descriptor, Ending, Protected, ReferencePicture, RegistryState, Template
from moderation.models import Signal as SignalRow
from moderation.registry import RegistryUnreadable
from moderation.rules import policies
from moderation.screening import judge_prompt_now
from moderation.screening.worker import screen_waiting
from tests import path
from tests.moderation.conftest import Moderators, Recorder, at_once, open_prompt
from tests.moderation.registered import end, in_days, protect, refused
from tests.moderation.sieves import armed

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def as_it_was() -> Any:
    """No entry of a test is matched by in the next one."""
    yield
    names.use({}, "")
    registry._names = registry._faces = None


def test_an_added_person_is_refused_in_every_form(people: Moderators) -> None:
    assert refused("a portrait of Zelmira Trovato") == ("", ())
    protect(people.sofia, "Zelmira Trovato", aliases=["Zelly T", "la Zelmirina"], alone=True)
    for prompt in (
        "a portrait of Zelmira Trovato", "zelmira_trovato", "Z. Trovato on a horse", "Trovato Zelmira",
        "ZELMIRATROVATO", "Zelmirra Trovato", "Zelmira Trovatto", "Z3lmira Tr0vato", "il cane dell'amica Trovato",
        "zelly t", "la zelmirina",
    ):  # fmt: skip
        assert refused(prompt)[0] == "person.real", prompt
    for prompt in ("a red apple", "a treasure trove", "a found object"):
        assert refused(prompt) == ("", ()), prompt


def test_who_wrote_an_alias_is_not_told_the_name_behind_it(people: Moderators) -> None:
    protect(people.sofia, "Zelmira Trovato", aliases=["Nightjar Ninetyone"])
    protect(people.sofia, "Quirina Zotti", aliases=["la Quirinella"], basis="office")
    assert refused("a portrait of nightjar ninetyone") == ("person.real", ("nightjar ninetyone",))
    assert refused("a portrait of la quirinella") == ("person.real", ("Quirina Zotti",))


def test_a_style_is_softened_with_other_words_or_refused_outright(people: Moderators) -> None:
    said = {"en": "thin blue lines", "it": "linee blu sottili"}
    protect(people.sofia, "Ottavio Brunzelli", kind="style", basis="rights", instead=said)
    soft = judge_prompt_now("a boat in the style of Brunzelli")
    assert soft is not None
    assert (soft.policy_code, soft.words, soft.instead) == (
        "style.artist",
        ("Ottavio Brunzelli",),
        ("thin blue lines",),
    )
    assert soft.acknowledge
    answered = ["style.artist"]
    assert judge_prompt_now("a boat, brunzellesque", acknowledged=answered) is None
    protect(people.sofia, "Ottavio Brunzelli", kind="style", basis="order", outright=True)
    hard = judge_prompt_now("a boat in the style of Brunzelli", acknowledged=answered)
    assert hard is not None
    assert hard.acknowledge == ""


def test_an_entry_that_ended_or_expired_refuses_nothing(people: Moderators) -> None:
    entry = protect(people.sofia)
    assert refused("Maria Rossi")[0] == "person.real"
    end(entry, people.sofia)
    assert refused("Maria Rossi") == ("", ())
    assert not keeping.end(entry, keeper=people.sofia, why="mistaken", note="pressed twice")
    protect(people.sofia, expires_at=in_days(-0.001))
    assert refused("Maria Rossi") == ("", ())


def test_expiry_takes_effect_without_a_write(people: Moderators) -> None:
    assert refused("Maria Rossi") == ("", ())
    protect(people.sofia, expires_at=timezone.now() + timedelta(seconds=2))
    changes = RegistryState.objects.get()
    assert refused("Maria Rossi")[0] == "person.real"
    path.until(lambda: refused("Maria Rossi") == ("", ()), what="the end of its time")
    assert RegistryState.objects.get().mark == changes.mark


def test_what_one_entry_is_unlike_hides_nobody_else(people: Moderators) -> None:
    protect(people.sofia, "Takumo Zerakami", alone=True, unlike=["Haruko Zerakami"])
    assert refused("Haruko Zerakami") == ("", ())
    protect(people.sofia, "Haruko Zerakami")
    assert refused("a portrait of Haruko Zerakami")[1] == ("haruko zerakami",)


def test_what_is_added_takes_effect_in_a_running_screening_process(people: Moderators, outcome: Recorder) -> None:
    sieve = armed()
    before = open_prompt(people.alice, "a portrait of Maria Rossi")
    screen_waiting(sieve, "tests")
    entry = protect(people.sofia)
    during = open_prompt(people.alice, "a portrait of Maria Rossi")
    screen_waiting(sieve, "tests")
    end(entry, people.sofia)
    after = open_prompt(people.alice, "a portrait of Maria Rossi")
    screen_waiting(sieve, "tests")
    for case, state in ((before, "cleared"), (during, "refused"), (after, "cleared")):
        case.refresh_from_db()
        assert case.state == state
    during.refresh_from_db()
    assert "“maria rossi”" in str(during.findings)
    told = SignalRow.objects.filter(screening__case=during, name="person.real", model="lexicon").get()
    assert told.version == f"{policies().version}+1"
    other = SignalRow.objects.filter(screening__case=during, name="weapon", model="lexicon").get()
    assert other.version == policies().version


def test_what_another_process_adds_takes_effect_here(fresh_people: Moderators) -> None:
    """The web process that adds is not the one that judges."""
    assert refused("Maria Rossi") == ("", ())
    program = (
        "import django; django.setup()\n"
        "from accounts.models import User\n"
        "from tests.moderation.registered import protect\n"
        "protect(User.objects.get(email='sofia@example.org'))\n"
    )
    search = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"PYTHONPATH": search}, check=True, timeout=120
    )
    assert refused("Maria Rossi")[0] == "person.real"


def test_the_lexicon_is_read_anew_only_when_something_changed(
    people: Moderators, django_assert_num_queries: Any
) -> None:
    protect(people.sofia)
    registry.refresh()
    forms = names.current().forms
    with django_assert_num_queries(1):
        registry.refresh()
    protect(people.sofia, "Ottavio Brunzelli", kind="style")
    registry.refresh()
    assert names.current().forms["persons"] is forms["persons"]
    assert names.current().forms["styles"] is not forms["styles"]


def test_of_entries_added_at_once_none_is_missed(fresh_people: Moderators) -> None:
    """A count that grows out of the order of commits would hide the slower of two."""
    before = RegistryState.objects.get().changes

    def add(number: int) -> bool:
        protect(fresh_people.sofia, f"Zelmira Trovato{'abcdefgh'[number]}")
        registry.refresh()
        return f"Zelmira Trovato{'abcdefgh'[number]}" in {one.name for one in names.registry("persons")}

    assert all(at_once(8, add))
    assert RegistryState.objects.get().changes == before + 8
    registry.refresh()
    assert sum(one.name.startswith("Zelmira") for one in names.registry("persons")) == 8


def test_a_registry_that_cannot_be_read_lets_nothing_pass(
    fresh_people: Moderators, as_owner: Any, outcome: Recorder
) -> None:
    case = open_prompt(fresh_people.alice)
    as_owner.execute("REVOKE SELECT ON moderation_registrystate FROM PUBLIC")
    as_owner.execute("ALTER TABLE moderation_registrystate RENAME TO gone")
    with pytest.raises(RegistryUnreadable):
        refused("a red apple")
    assert screen_waiting(armed(), "tests") == 0
    case.refresh_from_db()
    assert (case.state, case.attempts) == ("pending", 0)
    as_owner.execute("ALTER TABLE gone RENAME TO moderation_registrystate")
    as_owner.execute("ALTER TABLE moderation_registrystate DISABLE TRIGGER USER; DELETE FROM moderation_registrystate")
    with pytest.raises(RegistryUnreadable, match="row that counts"):
        refused("a red apple")


@pytest.mark.parametrize("who", ["alice", "bob", None])
def test_only_who_keeps_the_registry_adds_to_it(people: Moderators, who: str | None) -> None:
    person = getattr(people, who) if who else None
    if person is not None:
        with pytest.raises(PermissionDenied):
            protect(person)
    with pytest.raises(DatabaseError, match=r"may not keep|null value"), transaction.atomic():
        Protected.objects.create(kind="person", name="Maria Rossi", basis="own", document="x", added_by=person)
    assert not Protected.objects.exists()


def test_who_lost_the_role_or_the_account_adds_nothing(people: Moderators) -> None:
    people.sofia.is_active = False
    people.sofia.save()
    with pytest.raises(DatabaseError, match="may not keep"), transaction.atomic():
        Protected.objects.create(kind="person", name="Maria Rossi", basis="own", document="x", added_by=people.sofia)


@pytest.mark.parametrize(
    ("field", "value"),
    [("document", ""), ("document", " \n"), ("name", " "), ("basis", ""), ("basis", "rumour"), ("kind", "place"),
     ("outright", True), ("instead", {"en": "x"})],
)  # fmt: skip
def test_an_entry_without_its_ground_is_refused_by_the_database(people: Moderators, field: str, value: Any) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        protect(people.sofia, **{field: value})


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE moderation_protected SET expires_at = now()",
        "UPDATE moderation_protected SET document = 'other'",
        "DELETE FROM moderation_protected",
        "UPDATE moderation_ending SET why = 'mistaken'",
        "DELETE FROM moderation_ending",
        "DELETE FROM moderation_registrylook",
        "UPDATE moderation_registrylook SET searched = ''",
        "DELETE FROM moderation_registrystate",
        "DELETE FROM moderation_template",
        "UPDATE moderation_template SET finder = ''",
        "DELETE FROM moderation_descriptor",
        "DELETE FROM moderation_referencepicture",
    ],
)
def test_the_application_rewrites_nothing(fresh_people: Moderators, as_app: Any, change: str) -> None:
    entry = protect(fresh_people.sofia)
    end(entry, fresh_people.sofia)
    keeping.looked(fresh_people.sofia, entry=entry, searched="rossi")
    other = protect(fresh_people.sofia, "Anna Bianchi")
    template = Template.objects.create(entry=other, finder="f", finder_version="1", added_by=fresh_people.sofia)
    Descriptor.objects.create(template=template, sealed=b"x")
    ReferencePicture.objects.create(entry=other, brought_by=fresh_people.sofia)
    with pytest.raises(psycopg.Error):
        as_app.execute(change)


def test_adding_and_ending_are_audited(people: Moderators) -> None:
    entry = protect(people.sofia)
    end(entry, people.sofia)
    assert set(Line.objects.values_list("source", flat=True)) >= {"moderation_protected", "moderation_ending"}


def test_a_form_pressed_twice_adds_once(fresh_people: Moderators) -> None:
    facts = keeping.Facts(kind="person", name="Maria Rossi", basis="own", document="letter")
    added = at_once(6, lambda _: keeping.add(facts, keeper=fresh_people.sofia).pk)
    assert len(set(added)) == 1
    entry = Protected.objects.get()
    ended = at_once(6, lambda _: keeping.end(entry, keeper=fresh_people.sofia, why="mistaken", note="a typo"))
    assert sorted(ended) == [False] * 5 + [True]
    assert Ending.objects.count() == 1


def test_signals_of_a_house_without_entries_name_the_policies_alone(people: Moderators) -> None:
    names.use({}, "")
    assert {one.version for one in judge_prompt("an apple", "", policies())} == {policies().version}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE moderation_registrystate SET changes = 2147483647")
    registry.refresh()
    (told,) = {one.version for one in judge_prompt("an apple", "", policies()) if one.name == "person.real"}
    assert len(told) <= 80
