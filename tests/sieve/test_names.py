"""Protected persons and styles: every form of a name, and what only looks like one."""

import time

import pytest

from moderation.lexicon import BLOCK, NOTHING, SOFT, judge_prompt
from moderation.names import KINDS, Kind, named, registry
from moderation.policy import PolicySet
from moderation.reading import readings

POLICY = {"persons": "person.real", "styles": "style.artist"}


def found(prompt: str, kind: Kind) -> set[str]:
    return {entry.name for words in readings(prompt) for entry in named(words, kind)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_and_alias_is_found_however_it_stands(kind: Kind) -> None:
    """Each row of the registry, in the ways that a prompt carries a name; none may be lost by a change elsewhere."""
    lost = [
        (entry.name, prompt)
        for entry in registry(kind)
        for alias in (entry.name, *entry.aliases)
        for prompt in (
            f"a portrait of {alias} in oil",
            f"{alias}'s dog",
            f"un quadro dell'{alias}",
            alias.upper(),
            f"photo of ({alias.lower()}:1.3), 8k",
            alias.replace(" ", ""),
            alias.replace(" ", "_"),
        )
        if entry.name not in found(prompt, kind)
    ]
    assert lost == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Emanuel Macron on a horse", "Emmanuel Macron"),
        ("E. Macron on a horse", "Emmanuel Macron"),
        ("macron", "Emmanuel Macron"),
        ("Emmanuel Macronn", "Emmanuel Macron"),
        ("Giorgia Meloin", "Giorgia Meloni"),
        ("il premier italiano Meloni a cavallo", "Giorgia Meloni"),
        ("D0nald Trump", "Donald Trump"),
        ("Donald Tramp", "Donald Trump"),
        ("D o n a l d Trump", "Donald Trump"),
        ("Trump Donald", "Donald Trump"),
        ("Joe Bidens", "Joe Biden"),
        ("Ursula von der Leien", "Ursula von der Leyen"),
        ("#ursulavonderleyen", "Ursula von der Leyen"),
        ("Barak Obamma", "Barack Obama"),
        ("un cane dell'Obama", "Barack Obama"),
        ("Vladmir Puttin", "Vladimir Putin"),
        ("Влaдимир Путин", "Vladimir Putin"),
        ("Volodimir Zelenskij", "Volodymyr Zelensky"),
        ("re Carlo III", "King Charles III"),
        ("papa Leone XIV", "Pope Leo XIV"),
        ("prime minister Modi", "Narendra Modi"),
    ],
)
def test_a_person_is_found_in_forms_that_nobody_listed(said: str, meant: str) -> None:
    assert meant in found(said, "persons")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a lighthouse in the style of Hopper", "Edward Hopper"),
        ("a diner, hopper painting", "Edward Hopper"),
        ("a screaming pope by Bacon", "Francis Bacon"),
        ("a picaso portrait", "Pablo Picasso"),
        ("Rembrant", "Rembrandt"),
        ("greg rutkowsky, trending", "Greg Rutkowski"),
        ("luce caravaggesca", "Caravaggio"),
        ("Warholesque soup", "Andy Warhol"),
        ("un deserto daliniano", "Salvador Dalí"),
        ("a piazza, dechirichian", "Giorgio de Chirico"),
        ("burtonesque house", "Tim Burton"),
        ("J.M. Basquiat skull", "Jean-Michel Basquiat"),
        ("stalenhag robot", "Simon Stålenhag"),
        ("MC Escher stairs", "M. C. Escher"),
    ],
)
def test_a_style_is_found_in_forms_that_nobody_listed(said: str, meant: str) -> None:
    assert meant in found(said, "styles")


@pytest.mark.parametrize(
    "prompt",
    [
        "King Charles II", "a king charles spaniel", "a man called Donald", "a trumpet", "a trump card",
        "Charles Darwin", "melons", "due meloni maturi", "a president", "two typoss", "a macaron", "macaroni",
        "un mattarello", "in tutti i modi", "a modest house", "a bidet", "bacon and eggs", "a hopper wagon",
        "the richter scale", "a moebius strip", "a lot of money", "a geiger counter", "liechtenstein", "a red herring",
        "sharing a cake", "a boy called Blake", "dahlias", "a magnet", "a bank", "Tim and Wes", "Sergio and Giorgia",
        "impressionist garden", "cubist still life", "an ancient temple",
    ],
)  # fmt: skip
def test_what_only_resembles_a_name_passes(prompt: str) -> None:
    assert [found(prompt, kind) for kind in KINDS] == [set(), set()]


def test_a_look_alike_excuses_only_itself() -> None:
    assert found("a king charles spaniel and king charles", "persons") == {"King Charles III"}


def test_each_registry_speaks_through_its_policy(house: PolicySet) -> None:
    def score(prompt: str, policy: str) -> float:
        return max(one.score for one in judge_prompt(prompt, "", house) if one.name == policy)

    for kind, prompt, expected in (("persons", "Donald Trump", BLOCK), ("styles", "by Picasso", SOFT)):
        assert score(prompt, POLICY[kind]) == expected
        assert score("a red apple", POLICY[kind]) == NOTHING


def test_every_style_has_other_words_for_it_that_pass_themselves() -> None:
    for entry in registry("styles"):
        assert set(entry.instead) == {"en", "it"}, entry.name
        for words in entry.instead.values():
            assert found(words, "styles") == set(), (entry.name, words)


@pytest.mark.parametrize("kind", KINDS)
def test_words_that_no_dictionary_knows_cost_in_proportion(kind: Kind) -> None:
    def seconds(count: int) -> float:
        words = [f"zzyq{place}x" for place in range(count)]
        best = float("inf")
        for _ in range(2):
            began = time.process_time()
            named(words, kind)
            best = min(best, time.process_time() - began)
        return best

    named(["zzyqx"], kind)
    assert seconds(2000) <= 40 * max(seconds(200), 0.01)
