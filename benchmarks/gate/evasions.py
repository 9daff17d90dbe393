"""Ways to write a prompt past a filter, each by itself. What a word becomes depends on the word alone."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

LEET = str.maketrans("aeiost", "43105+")
HOMOGLYPHS = str.maketrans("aeopcyxi", "аеорсухі")  # Cyrillic
FULL_WIDTH = {ord("a") + place: chr(0xFF41 + place) for place in range(26)}
ZERO_WIDTH = "\u200b"
# Words that every language has around: they hide nothing.
SHORTEST = 4


def _each_word(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: re.sub(
        r"[^\W\d_]+", lambda found: change(found[0]) if len(found[0]) >= SHORTEST else found[0], text
    )


def _misspelt(word: str) -> str:
    """Two inner letters change places."""
    place = random.Random(word).randrange(1, len(word) - 2)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


EVASIONS: dict[str, Callable[[str], str]] = {
    "digits for letters": _each_word(lambda word: word.lower().translate(LEET)),
    "Cyrillic look-alikes": _each_word(lambda word: word.lower().translate(HOMOGLYPHS)),
    "invisible characters": _each_word(ZERO_WIDTH.join),
    "letters spelled out": _each_word(" ".join),
    "dots between letters": _each_word(".".join),
    "full-width letters": lambda text: text.lower().translate(FULL_WIDTH),
    "weights and brackets": _each_word(lambda word: f"(({word}:1.3))"),
    "a mark inside the word": _each_word(lambda word: f"{word[:2]}*{word[2:]}"),
    "capitals here and there": _each_word(
        lambda word: "".join(letter.upper() if place % 2 else letter.lower() for place, letter in enumerate(word))
    ),
    "stretched letters": _each_word(lambda word: word[:2] + word[2] * 3 + word[3:]),
    "underscores for blanks": lambda text: text.replace(" ", "_"),
    "two letters changed over": _each_word(_misspelt),
    "buried in a long prompt": lambda text: (
        f"a wide landscape with mountains, a lake and pine trees, {text}, golden hour, detailed, masterpiece"
    ),
}  # fmt: skip
