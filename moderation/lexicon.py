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

# Letters of other scripts that look like Latin ones, and Latin ones that Unicode does not take apart.
LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝпгкмтвαεικνορτυχωβγıøłđħɑɡɩʟɴʀʏᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢʙɢʜɪ",
    "aeopcyxijshdqwnrkmtbaeiknoptuxwbgioldhagilnryacdejkmoptuvwzbghi",
)
# Letters in squares and circles, and those that flags are made of: four alphabets in a row.
LOOKALIKES |= {first + place: 97 + place for first in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for place in range(26)}
LEET = str.maketrans("013457@$!|€", "oieastasile")
LEET_WITH_L = LEET | str.maketrans("1!|", "lli")
_INVISIBLE_RANGES = [(0x200B, 0x2010), (0x202A, 0x202F), (0x2060, 0x2070), (0xFE00, 0xFE10)]
INVISIBLE = dict.fromkeys([*(one for ends in _INVISIBLE_RANGES for one in range(*ends)), 0xFEFF, 0xAD, 0x180E, 0x34F])
LONGEST_PHRASE = 6
# A name this long may be written with one typo, in a word of at least so many letters: II is not a typo of III.
FUZZY_FROM = 9
FUZZY_WORD = 4
# Inside a run of letters that are spelled out one by one, words of these lengths are looked for.
HIDDEN = range(4, 9)

_ENGLISH = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_ITALIAN = (
    "un due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette"
)
_YEARS = rf"(\d{{1,2}}|{'|'.join([*_ENGLISH.split(), *_ITALIAN.split()])})"
_AGE = re.compile(
    rf"(?<!\w){_YEARS}[\s-]{{0,3}}(?:(?:years?|yrs?)[\s-]{{1,3}}olds?|y/?o)(?!\w)(?!\s(?:single|malt|scotch|whisk|rum|wine))"
    rf"|(?<!\w)aged?\s{_YEARS}(?!\w)(?!\s(?:months|weeks|days))|(?<!\w)di\s{_YEARS}\sann[io](?!\w)"
)
_WEIGHT = re.compile(r":\s{0,3}\d+(?:\.\d+)?")
_MARK = re.compile(r"[()\[\]{}<>*_~`^+]")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_WORDLIKE = re.compile(r"[\w@$!|€]+")
_SPELLED = re.compile(r"(?<![^\W_])(?:[^\W_][\s.,/\-·•]){2,}[^\W_](?![^\W_])")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")


@dataclass(frozen=True)
class Match:
    """A term that was found: the policy's action for it, and where."""

    term: str
    score: float


def normalise(text: str) -> str:
    """One plain form for the many ways to write a word: the first of the `readings`, as text. Linear time.

    Compatibility forms, case, accents, invisible characters, look-alike letters of other scripts, weights and
    brackets of prompt syntax, letters spelled out one by one, digits for letters, stretched letters; an age below 18
    becomes the word underage.
    """
    return _read(_plain(text), "", LEET, r"\1")


def readings(text: str) -> list[list[str]]:
    """The words of a text in each way that it can be read, mostly one.

    A mark inside a word may hide it (nu*de) or part two (nude_woman), letters spelled out may be one word or several,
    a 1 may be an i or an l, a stretched letter a single one or a double one.
    """
    plain = _plain(text)
    found = dict.fromkeys(
        _read(plain, mark, leet, kept)
        for mark in ("", " ")
        for leet in (LEET, LEET_WITH_L)
        for kept in (r"\1", r"\1\1")
    )
    return list(map(list, dict.fromkeys(tuple(_words(one)) for one in found)))


def tokens(text: str) -> list[str]:
    """The words of a text, normalised, possessives cut."""
    return _words(normalise(text))


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text.translate(LOOKALIKES)))
    plain = "".join(character for character in plain.translate(INVISIBLE) if not unicodedata.combining(character))
    return _AGE.sub(_age, _WEIGHT.sub("", plain.casefold().translate(LOOKALIKES)))


def _read(plain: str, mark: str, leet: dict[int, int], stretched: str) -> str:
    if mark:
        text = _SPELLED.sub(_hidden, _MARK.sub(mark, plain.replace("|", mark)))
    else:
        text = _SPELLED.sub(_spelled, _MARK.sub("", plain))
    text = _WORDLIKE.sub(lambda found: _lettered(found.group(), leet), text)
    return _STRETCHED.sub(stretched, text)


def _words(normalised: str) -> list[str]:
    return [re.sub(r"['’]s$", "", token).replace("’", "'") for token in _TOKEN.findall(normalised)]


def _age(found: re.Match[str]) -> str:
    """An age below 18 in one word that the policies know."""
    said = next(group for group in found.groups() if group)
    years = int(said) if said.isdecimal() else 0
    return "underage" if years < 18 else found.group()


def _spelled(found: re.Match[str]) -> str:
    return re.sub(r"[\s.,/\-·•]", "", found.group())


def _hidden(found: re.Match[str]) -> str:
    """What hides in letters that are spelled out; last the word without its first letter, which may be an article."""
    word = _spelled(found)
    if len(word) <= 3:
        return word
    pieces = [word[at : at + long] for long in HIDDEN if long < len(word) - 1 for at in range(len(word) - long + 1)]
    return " ".join([*pieces, word[1:]])


def _lettered(word: str, leet: dict[int, int]) -> str:
    """Letters for the digits and signs in a word that has a letter too. Signs around it are punctuation."""
    if word.isalpha():
        return word
    core = word.strip("!|").lstrip("@")
    return core.translate(leet) if any(character.isalpha() for character in core) else word


@lru_cache(maxsize=4096)
def _phrase(term: str) -> tuple[str, ...]:
    return tuple(tokens(term))


@lru_cache(maxsize=64)
def _index(terms: tuple[str, ...]) -> tuple[dict[tuple[str, ...], str], frozenset[str], int]:
    """Terms by their words, the words that they begin with, and how many words the longest has."""
    wanted = {_phrase(term): term for term in terms}
    wanted.pop((), None)
    longest = min(max((len(phrase) for phrase in wanted), default=0), LONGEST_PHRASE)
    return wanted, frozenset(phrase[0] for phrase in wanted), longest


def _spans(words: Sequence[str], terms: tuple[str, ...]) -> Iterator[tuple[str, range]]:
    """Each place where a term stands, as whole words; a plural s may follow its last word."""
    wanted, first, longest = _index(terms)
    for start, word in enumerate(words):
        if word not in first and word[:-1] not in first:
            continue
        for length in range(1, min(longest, len(words) - start) + 1):
            piece = tuple(words[start : start + length])
            singular = (*piece[:-1], piece[-1][:-1]) if piece[-1].endswith("s") and len(piece[-1]) > 3 else piece
            term = wanted.get(piece) or wanted.get(singular)
            if term is not None:
                yield term, range(start, start + length)


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
    """Every alias of the protected persons, in words and once in one word, with the name that it stands for."""
    listed = tomllib.loads(NAMES.read_text(encoding="utf-8"))
    aliases = {}
    for person in listed["person"]:
        for alias in [person["name"], *person.get("aliases", [])]:
            phrase = _phrase(alias)
            aliases[phrase] = person["name"]
            if len(phrase) > 1:
                aliases[("".join(phrase),)] = person["name"]
    return aliases


@lru_cache
def _one_typo_from_a_name() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """Every long name with one letter left out, so that a typo is found by a look-up and not by comparing.

    And every word of such names: one typo leaves at least one word of two whole.
    """
    near = {}
    for phrase in protected_names():
        joined = " ".join(phrase)
        if len(phrase) > 1 and len(joined) >= FUZZY_FROM:
            for cut in _with_one_left_out(joined):
                near[cut] = phrase
    return near, frozenset(word for phrase in near.values() for word in phrase)


def _with_one_left_out(text: str) -> Iterator[str]:
    yield text
    for place in range(len(text)):
        yield text[:place] + text[place + 1 :]


def _meant(piece: tuple[str, ...]) -> tuple[str, ...] | None:
    """The name that a piece is one typo away from, None when there is no such."""
    near, known = _one_typo_from_a_name()
    joined = " ".join(piece)
    if known.isdisjoint(piece) or not FUZZY_FROM <= len(joined) <= 40:
        return None
    for cut in _with_one_left_out(joined):
        name = near.get(cut)
        if name is not None and len(name) == len(piece):
            wrong = [right for right, given in zip(name, piece, strict=True) if right != given]
            if len(wrong) == 1 and len(wrong[0]) >= FUZZY_WORD:
                return name
    return None


def _named(words: Sequence[str]) -> list[str]:
    aliases = protected_names()
    longest = max(map(len, aliases), default=0)
    found = []
    for start in range(len(words)):
        for length in range(1, min(longest, len(words) - start) + 1):
            piece = tuple(words[start : start + length])
            name = aliases.get(piece)
            if name is None and length > 1 and (meant := _meant(piece)):
                name = aliases[meant]
            if name is not None and name not in found:
                found.append(name)
    return found


def judge_prompt(prompt: str, negative_prompt: str, policies: PolicySet) -> list[Signal]:
    """One signal for each policy that has words and each field: 0 nothing, 0.6 review, 1 block.

    A negative prompt says what must not be drawn, so only a block in it counts: nobody needs to write it there.
    """
    signals = []
    for field, text in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        read = readings(text)
        for policy in policies:
            if policy.words is None:
                continue
            found = [match for words in read for match in find(words, policy.words)]
            score = max((match.score for match in found), default=NOTHING)
            if field == "negative_prompt" and score < BLOCK:
                score, found = NOTHING, []
            terms = tuple(dict.fromkeys(match.term for match in found if match.score == score))
            signals.append(Signal(policy.code, score, LEXICON, policies.version, field=field, words=terms))
    return signals
