"""The words of a prompt: found however they are written, and only where they are words."""

import time
from collections.abc import Callable

import pytest

from moderation.lexicon import BLOCK, NOTHING, REVIEW, judge_prompt
from moderation.policy import LEXICON, PolicySet
from moderation.reading import normalise, readings


def score(house: PolicySet, prompt: str, policy: str = "", *, negative: str = "") -> float:
    """The highest score of a prompt, of one policy where it is named, else of all that act by themselves."""
    acting = {one.code for one in house if not one.is_context}
    said = [one for one in judge_prompt(prompt, negative, house) if one.name in acting]
    return max(one.score for one in said if policy in ("", one.name))


@pytest.mark.parametrize(
    "prompt",
    [
        "nude",
        "NUDE",
        "a nude, standing",
        "nudes",
        # Leet
        "nud3",
        "n4ked woman",
        "n@ked woman",
        "p0rn",
        "s3x",
        "$ex",
        "naked!!!",
        "!nude!",
        # Other scripts and other alphabets of Unicode
        "nudе",
        "пudе",
        "nàkéd",
        "ｎｕｄｅ",
        "𝓷𝓾𝓭𝓮",
        "ⓝⓤⓓⓔ",
        "🅝🅤🅓🅔",
        "🇳🇺🇩🇪",
        "ɴᴜᴅᴇ",
        "n\u0336u\u0336d\u0336e\u0336",
        # What nobody sees
        "nu\u200bde",
        "n\u200cu\u200dd\ufeffe",
        "nu\u00adde",
        "n\ufe0fude",
        # Letters one by one
        "n u d e",
        "n.u.d.e",
        "n-u-d-e",
        "n_u_d_e",
        "n/u/d/e",
        "a n u d e woman",
        "a n u d e w o m a n",
        # Brackets, weights, separators
        "(nude:1.3)",
        "((nude))",
        # Letters that changed places
        "nkaed woman",
        "pornogrpahy",
        "[nude : 0.8]",
        "{nude}",
        "nu(de)",
        "nu*de",
        "*nude*",
        "nude_woman",
        "nude+woman",
        "nude|woman",
        "nude++",
        "masterpiece,nude,8k",
        # Stretched
        "nuuuuude",
        "nnnnude",
        # Italian
        "una donna nuda",
        "uomini nudi al mare",
        "n u d a",
        "NUDITÀ",
        "una donna senza vestiti",
        "scena di sesso",
    ],
)
def test_nudity_is_refused_however_it_is_written(house: PolicySet, prompt: str) -> None:
    assert score(house, prompt, "sexual.nudity") == BLOCK


@pytest.mark.parametrize(
    ("prompt", "policy"),
    [
        ("blood on the floor", "blood"),
        ("bloooood", "blood"),
        ("b1ood", "blood"),
        ("ki11ed", "blood"),
        ("sangue sul pavimento", "blood"),
        ("a man carrying a gun", "weapon"),
        ("un uomo armato", "weapon"),
        ("a woman in lingerie", "sexual.nudity"),
    ],
)
def test_what_is_in_doubt_asks_a_person(house: PolicySet, prompt: str, policy: str) -> None:
    assert score(house, prompt, policy) == REVIEW
    assert score(house, prompt) == REVIEW


@pytest.mark.parametrize(
    "prompt",
    [
        "nude child",
        "a naked little girl",
        "sexy schoolgirl",
        "an erotic photo of a 14 year old girl",
        "a nude twelve-year-old",
        "naked, 13 y/o",
        "n4ked k1d",
        "una bambina nuda",
        "ragazza di 13 anni nuda",
        "l o l i",
    ],
)
def test_a_minor_in_a_sexual_context_is_refused_as_that(house: PolicySet, prompt: str) -> None:
    assert score(house, prompt, "sexual.minors") == BLOCK


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a red apple on blue",
        "a children's storybook",
        "a children's storybook about a naked mole rat",
        "Scunthorpe",
        "Essex, Sussex and Middlesex",
        "a water gun",
        "a naked mole rat",
        "a star that the naked eye sees",
        "x 4",
        "4 x 4",
        "a 4 x 4 car",
        "a grid of 3 x 3 x 3",
        "xxx",
        "an assassin bug",
        "a shuttlecock",
        "a cockpit, a peacock and a cocktail",
        "a bass guitar in class",
        "grapes on a canal boat",
        "a therapist's office",
        "blood orange juice",
        "a bloodhound under a blood moon",
        "a murder of crows",
        "a closet without clothes",
        "a bath bomb",
        "U.S.A. flag",
        "H A P P Y B I R T H D A Y",
        "same sex couple with their baby",
        "a 12 year old boy on a bicycle",
        "cheese aged 12 months",
        "un bambino a piedi nudi",
        "una stella a occhio nudo",
        "arancia sanguigna",
        "una pistola ad acqua",
        "100% wool, $100, #1!",
    ],
)
def test_a_harmless_look_alike_passes(house: PolicySet, prompt: str) -> None:
    assert score(house, prompt) == NOTHING


def test_a_harmless_phrase_excuses_only_itself(house: PolicySet) -> None:
    assert score(house, "a naked mole rat and a naked woman") == BLOCK


def test_someone_of_age_is_no_minor(house: PolicySet) -> None:
    assert score(house, "a sexy 40 year old woman", "sexual.minors") == NOTHING


def test_a_minor_is_no_reason_by_itself(house: PolicySet) -> None:
    assert score(house, "a little girl with an umbrella") == NOTHING


def test_the_words_and_their_field_are_told(house: PolicySet) -> None:
    found = [one for one in judge_prompt("a nud3 woman", "pornography", house) if one.score]
    assert [(one.name, one.field, one.words) for one in found] == [
        ("sexual.nudity", "prompt", ("nude",)),
        ("sexual.nudity", "negative_prompt", ("pornography",)),
    ]
    assert {(one.model, one.version) for one in found} == {(LEXICON, house.version)}


def test_a_negative_prompt_may_name_what_it_does_not_want(house: PolicySet) -> None:
    assert score(house, "a hospital", negative="blood, lingerie, a gun") == NOTHING
    assert score(house, "a hospital", negative="child porn") == BLOCK


def test_each_policy_with_words_speaks_of_each_field(house: PolicySet) -> None:
    spoken = {(one.name, one.field) for one in judge_prompt("", "", house)}
    wordy = [policy.code for policy in house if policy.words]
    assert spoken == {(code, field) for code in wordy for field in ("prompt", "negative_prompt")}


def test_a_plain_prompt_has_one_reading(house: PolicySet) -> None:
    assert readings("A red apple, on blue!") == [["a", "red", "apple", "on", "blue"]]
    assert normalise("Ａ ｒｅｄ APPLE") == "a red apple"


@pytest.mark.parametrize(
    ("prompt", "read"),
    [("p1s+0l4 su un +4v0l0", "pistola su un tavolo"), ("+3rr0r1s+", "terrorist"), ("masterpiece++", "masterpiece")],
)
def test_a_plus_is_a_letter_only_among_digits_for_letters(prompt: str, read: str) -> None:
    assert normalise(prompt) == read


NASTY: dict[str, Callable[[int], str]] = {
    "one letter": lambda size: "a" * size,
    "one digit": lambda size: "1" * size,
    "two letters": lambda size: "ab" * (size // 2),
    "signs and letters": lambda size: "n1!|@$ " * (size // 7),
    "letters one by one": lambda size: "a b c " * (size // 6),
    "letters and dots": lambda size: "n.u.d." * (size // 6),
    "brackets": lambda size: "((((" * (size // 4),
    "colons": lambda size: ": 1" * (size // 3),
    "blanks": lambda size: ":" + " " * size,
    "invisible": lambda size: "\u200b" * size,
    "marks over letters": lambda size: "a\u0301\u0302\u0303" * (size // 4),
    "ligatures": lambda size: "\ufdfa" * (size // 8),
    "ages": lambda size: "12 year " * (size // 8),
    "terms": lambda size: "naked mole rat " * (size // 15),
    "names": lambda size: "donald trumb " * (size // 13),
    "apostrophes": lambda size: "a'" * (size // 2),
}


@pytest.mark.parametrize("kind", NASTY)
def test_nasty_input_costs_in_proportion_to_its_length(house: PolicySet, kind: str) -> None:
    """Ten times the length may cost 40 times the time, which leaves room for noise; a square would cost 100 times."""

    def seconds(size: int, *, times: int) -> float:
        best = float("inf")
        for _ in range(times):
            began = time.process_time()
            judge_prompt(NASTY[kind](size), "", house)
            best = min(best, time.process_time() - began)
        return best

    # The long one is read once: a second time a cache would answer. Below a hundredth of a second the clock decides.
    assert seconds(20_000, times=1) <= 40 * max(seconds(2_000, times=2), 0.01)
