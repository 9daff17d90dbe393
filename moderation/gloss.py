"""Italian word by word into English, for a classifier that reads only that. No translation: order and grammar stay.

The glossary is ours (words/italian.tsv: a word, a tab, its commonest meaning). A form that is not in it is looked up by
its stem (Snowball's Italian stemmer); what is not found then stays as it is.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import snowballstemmer

from moderation.dictionaries import is_italian
from moderation.reading import tokens

GLOSSARY = Path(__file__).resolve().parent / "words" / "italian.tsv"


@lru_cache(maxsize=8192)
def _stem(word: str) -> str:
    stem: str = _stemmer().stemWord(word)
    return stem


@lru_cache
def _stemmer() -> Any:
    return snowballstemmer.stemmer("italian")


@lru_cache
def _glossary() -> tuple[dict[str, str], dict[str, str]]:
    """English by Italian form, and by Italian stem; the first that has a stem gives it its meaning."""
    forms: dict[str, str] = {}
    stems: dict[str, str] = {}
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        italian, _, english = line.partition("\t")
        for word in tokens(italian):
            forms.setdefault(word, english)
            stems.setdefault(_stem(word), english)
    return forms, stems


def _in_english(word: str) -> str:
    forms, stems = _glossary()
    return forms.get(word) or stems.get(_stem(word)) or word


def in_english(text: str) -> str:
    """The words of an Italian text (normalised) in English, one by one; any other text as it is."""
    words = [part for word in tokens(text) for part in word.replace("'", " ").split()]
    return " ".join(map(_in_english, words)) if is_italian(words) else text
