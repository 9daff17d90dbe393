"""What the words of a prompt say by themselves: normalised against evasion, matched as words, never as substrings."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from moderation.policy import LEXICON, PolicySet, Words
from moderation.signals import Signal

NAMES = Path(__file__).resolve().parent / "words" / "protected_names.toml"

# Scores of the lexicon: nothing, a word that asks for a person, a word that refuses.
NOTHING, REVIEW, BLOCK = 0.0, 0.6, 1.0

# Letters of other scripts that look like Latin ones.
LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝпгкмтвαεικνορτυχωβγ",
    "aeopcyxijshdqwnrkmtbaeiknoptuxwbg",
)
LEET = str.maketrans("013457@$!|€", "oieastasile")
INVISIBLE = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xAD, 0x180E], None
)
LONGEST_PHRASE = 6
# A name this long may be written with one typo.
FUZZY_FROM = 9

_WEIGHT = re.compile(r":\s*\d+(?:\.\d+)?")
_BRACKET = re.compile(r"[()\[\]{}<>*_~`^+]")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_LETTERED = re.compile(r"(?=[\w@$!|€]*[^\W\d_])[\w@$!|€]*[013457@$!|€][\w@$!|€]*")
_SPELLED = re.compile(r"(?<![^\W_])(?:[^\W_][\s.\-·•]){2,}[^\W_](?![^\W_])")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")


@dataclass(frozen=True)
class Match:
    """A term that was found: the policy's action for it, and where."""

    term: str
    score: float


def normalise(text: str) -> str:
    """One plain form for the many ways to write a word.

    Compatibility forms, case, accents, invisible characters, look-alike letters of other scripts, weights and
    brackets of prompt syntax, letters spelled out one by one, digits for letters, stretched letters. Linear time.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text)).translate(INVISIBLE)
    plain = "".join(character for character in plain if not unicodedata.combining(character)).casefold()
    plain = plain.translate(LOOKALIKES)
    plain = _BRACKET.sub("", _WEIGHT.sub("", plain))
    plain = _SPELLED.sub(_spelled, plain)
    plain = _LETTERED.sub(lambda found: found.group().translate(LEET), plain)
    return _STRETCHED.sub(r"\1", plain)


def _spelled(found: re.Match[str]) -> str:
    """Letters joined to a word; and once more without the first, which may be an article ("a n u d e")."""
    word = re.sub(r"[\s.\-·•]", "", found.group())
    return f"{word} {word[1:]}" if len(word) > 3 else word


def tokens(text: str) -> list[str]:
    """The words of a text, normalised, possessives cut."""
    return [re.sub(r"['’]s$", "", token).replace("’", "'") for token in _TOKEN.findall(normalise(text))]


@lru_cache(maxsize=512)
def _phrase(term: str) -> tuple[str, ...]:
    return tuple(tokens(term))


def _spans(words: Sequence[str], terms: Sequence[str]) -> Iterator[tuple[str, range]]:
    """Each place where a term stands, as whole words; a plural s may follow its last word."""
    wanted: dict[tuple[str, ...], str] = {}
    for term in terms:
        wanted[_phrase(term)] = term
    longest = min(max((len(phrase) for phrase in wanted), default=0), LONGEST_PHRASE)
    for start in range(len(words)):
        for length in range(1, min(longest, len(words) - start) + 1):
            piece = tuple(words[start : start + length])
            singular = (*piece[:-1], piece[-1][:-1]) if piece[-1].endswith("s") and len(piece[-1]) > 3 else piece
            found = wanted.get(piece) or wanted.get(singular)
            if found is not None:
                yield found, range(start, start + length)


def find(words: Sequence[str], listed: Words) -> list[Match]:
    """The terms of a policy in a prompt's words. Words inside a harmless phrase do not count."""
    excused = {place for _, span in _spans(words, listed.harmless) for place in span}
    found: list[Match] = []
    for score, terms in ((BLOCK, listed.block), (REVIEW, listed.review)):
        found += [Match(term, score) for term, span in _spans(words, terms) if not excused.issuperset(span)]
    if listed.together:
        groups = [
            [term for term, span in _spans(words, group) if not excused.issuperset(span)] for group in listed.together
        ]
        if all(groups):
            found += [Match(group[0], BLOCK) for group in groups]
    if listed.names:
        found += [Match(name, BLOCK) for name in _named(words)]
    return found


@lru_cache
def protected_names() -> dict[tuple[str, ...], str]:
    """Every alias of the protected persons, in words, with the name that it stands for."""
    listed = tomllib.loads(NAMES.read_text(encoding="utf-8"))
    aliases = {}
    for person in listed["person"]:
        for alias in [person["name"], *person.get("aliases", [])]:
            aliases[_phrase(alias)] = person["name"]
    return aliases


@lru_cache
def _one_typo_from_a_name() -> dict[str, str]:
    """Every long name with one letter left out, so that a typo is found by a look-up and not by comparing."""
    near = {}
    for phrase, name in protected_names().items():
        joined = " ".join(phrase)
        if len(joined) >= FUZZY_FROM:
            for cut in _with_one_left_out(joined):
                near[cut] = name
    return near


def _with_one_left_out(text: str) -> Iterator[str]:
    yield text
    for place in range(len(text)):
        yield text[:place] + text[place + 1 :]


def _named(words: Sequence[str]) -> list[str]:
    aliases = protected_names()
    near = _one_typo_from_a_name()
    longest = max(map(len, aliases), default=0)
    found = []
    for start in range(len(words)):
        for length in range(1, min(longest, len(words) - start) + 1):
            piece = tuple(words[start : start + length])
            name: str | None = aliases.get(piece)
            joined = " ".join(piece)
            if name is None and length > 1 and FUZZY_FROM <= len(joined) <= 40:
                name = next((near[cut] for cut in _with_one_left_out(joined) if cut in near), None)
            if name is not None and name not in found:
                found.append(name)
    return found


def judge_prompt(prompt: str, negative_prompt: str, policies: PolicySet) -> list[Signal]:
    """One signal for each policy that has words and each field: 0 nothing, 0.6 review, 1 block.

    A negative prompt says what must not be drawn, so only a block in it counts: nobody needs to write it there.
    """
    signals = []
    for field, text in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        words = tokens(text)
        for policy in policies:
            if policy.words is None:
                continue
            found = find(words, policy.words)
            score = max((match.score for match in found), default=NOTHING)
            if field == "negative_prompt" and score < BLOCK:
                score, found = NOTHING, []
            terms = tuple(dict.fromkeys(match.term for match in found if match.score == score))
            signals.append(Signal(policy.code, score, LEXICON, policies.version, field=field, words=terms))
    return signals
