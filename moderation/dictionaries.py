"""Which words a dictionary of English or Italian knows, and how common they are."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product


@lru_cache
def counts(language: str) -> Mapping[str, int]:
    """How often each known word was met in the texts that the dictionary was made from."""
    from spellchecker import SpellChecker

    found: Mapping[str, int] = SpellChecker(language=language).word_frequency.dictionary
    return found


# Words of at most so many letters are looked for in a run of at least so many.
LONGEST, LEAST_RUN = 16, 9
SINGLE = frozenset("aeio")
# Shorter words are too many others with two letters changed over.
LEAST_MENDED = 4
# Of so many letters that may be an i or an l each way is tried, which are 64 at most.
MOST_UPRIGHT = 6


@lru_cache
def _total(language: str) -> int:
    return sum(counts(language).values())


@lru_cache(maxsize=65536)
def _commonness(word: str) -> float | None:
    """The logarithm of a word's share of a language, the higher of the two; None where neither knows it."""
    if len(word) == 1 and word not in SINGLE:
        return None
    shares = [counts(language).get(word, 0) / _total(language) for language in ("en", "it")]
    return math.log(max(shares)) if max(shares) else None


def apart(run: str) -> list[str]:
    """The words of a run of letters without gaps, where it is made of known ones altogether; else the run itself.

    The likeliest by how common each word is (Norvig 2009, Natural language corpus data). Linear time.
    """
    if len(run) < LEAST_RUN or is_known(run):
        return [run]
    # For each place: how likely the words up to it are, and where the last of them begins.
    best: list[tuple[float, int] | None] = [(0.0, 0)]
    for end in range(1, len(run) + 1):
        ways = [
            (before[0] + common, start)
            for start in range(max(0, end - LONGEST), end)
            if (before := best[start]) is not None and (common := _commonness(run[start:end])) is not None
        ]
        best.append(max(ways, default=None))
    words: list[str] = []
    end = len(run)
    while end and (found := best[end]) is not None:
        words.append(run[found[1] : end])
        end = found[1]
    return words[::-1] or [run]


def is_known(word: str) -> bool:
    return word in counts("en") or word in counts("it")


@lru_cache(maxsize=65536)
def mended(word: str) -> str:
    """The commonest known word of which two neighbouring letters changed places here; any other word as it is."""
    if not LEAST_MENDED <= len(word) <= LONGEST or is_known(word):
        return word
    swapped = [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)]
    known = {other: common for other in swapped if (common := _commonness(other)) is not None}
    return max(known, key=lambda other: known[other], default=word)


@lru_cache(maxsize=65536)
def seen_as(word: str) -> str:
    """The commonest known word that looks like this one, an i being an l or the other way round; any other as it is."""
    places = [place for place, letter in enumerate(word) if letter in "il"]
    if not LEAST_MENDED <= len(word) <= LONGEST or not 0 < len(places) <= MOST_UPRIGHT or is_known(word):
        return word
    known = {}
    for letters in product("il", repeat=len(places)):
        other = list(word)
        for place, letter in zip(places, letters, strict=True):
            other[place] = letter
        if (common := _commonness("".join(other))) is not None:
            known["".join(other)] = common
    return max(known, key=lambda other: known[other], default=word)


def is_italian(words: Sequence[str]) -> bool:
    """Whether they are rather Italian than English: by the logarithms of how common each is in either."""
    weights = {language: sum(math.log1p(counts(language).get(word, 0)) for word in words) for language in ("en", "it")}
    return weights["it"] > weights["en"]
