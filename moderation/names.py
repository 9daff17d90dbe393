"""Protected persons and styles in the words of a prompt: by every form of their name, and by what is nearly one.

A form is the whole name, an alias, initials and a surname, the surname behind a title, the words run together; of a
style also the surname behind "in the style of", or with an ending such as -esque. What is nearly a form counts where
no dictionary knows the word that differs: `macaroon` is no Macron.

Costs a look-up for each run of words, and one comparison with every form (some thousands, in C++) for each run that
has a word in it which no dictionary knows.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from moderation.dictionaries import is_known
from moderation.reading import tokens

Kind = Literal["persons", "styles"]
KINDS: tuple[Kind, ...] = ("persons", "styles")
FOLDER = Path(__file__).resolve().parent / "words"

LONGEST = 5
# Particles that belong to a surname.
PARTICLES = frozenset(["van", "von", "der", "de", "di", "del", "della", "da", "la", "le"])
TITLES = frozenset(
    [
        "president", "presidente", "premier", "minister", "ministro", "pm", "chancellor", "cancelliere", "king", "re",
        "queen", "regina", "pope", "papa", "senator", "senatore", "onorevole", "mr", "mrs", "ms", "signor", "signora",
        "sir", "tsar", "zar", "dictator", "dittatore", "leader",
    ]
)  # fmt: skip
ELIDED = frozenset(["l", "d", "un", "dell", "all", "nell", "sull", "dall", "quell"])
# Behind these the next words are whose style it is; before those, whose style it was.
CUES = tuple(
    tuple(one.split())
    for one in (
        "style of", "styles of", "manner of", "spirit of", "works of", "work of", "art of", "by", "stile di",
        "maniera di", "opere di", "arte di", "ispirato a", "ispirata a", "come", "a la", "alla", "da",
    )
)  # fmt: skip
BEHIND = frozenset(["style", "styled", "inspired", "stile", "like", "vibes", "aesthetic", "painting", "print", "film"])
ENDINGS = (
    "esque", "esco", "esca", "eschi", "esche", "ian", "nian", "iano", "iana", "iani", "iane", "niano", "niana", "ish",
    "ism", "ismo", "like", "style",
)  # fmt: skip
# How many letters may be wrong in a form of so many.
TYPOS = ((5, 1), (9, 2), (16, 3))
# A lone word may be fewer wrong; and so short a one none.
LONE_TYPOS = ((5, 1), (9, 2))
# What sounds alike, letter for letter.
ALIKE = (("ph", "f"), ("ck", "k"), ("qu", "k"), ("sch", "s"), ("tz", "s"), ("th", "t"), ("ij", "i"), ("iy", "i"))
LETTERS = str.maketrans({"c": "k", "q": "k", "z": "s", "x": "s", "w": "v", "y": "i", "j": "i", "h": None})


@dataclass(frozen=True)
class Entry:
    """One protected person or style.

    `alone`: the surname says who is meant, whatever stands beside it. `unlike`: words and phrases that are something
    else. `instead`: what one may say in place of a style, by language. `outright`: nobody may acknowledge it away.
    `private`: whoever wrote an alias is not told the name behind it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    alone: bool = False
    unlike: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    outright: bool = False
    private: bool = False


@lru_cache
def house(kind: Kind) -> tuple[Entry, ...]:
    """The house's own entries. An operator adds to the file; automation never does. Raises ValueError for a typo."""
    listed = tomllib.loads((FOLDER / f"{kind}.toml").read_text(encoding="utf-8"))
    found = []
    for row in listed.pop("entry"):
        extra: dict[str, Any] = {key: tuple(row.pop(key)) for key in ("aliases", "unlike") if key in row}
        try:
            found.append(Entry(**row, **extra))
        except TypeError as error:
            raise ValueError(f"{kind}.toml: {row.get('name')}: {error}") from error
    if listed:
        raise ValueError(f"{kind}.toml: {', '.join(listed)}: is not known. Is it a typo?")
    return tuple(found)


def instead_of(name: str) -> Mapping[str, str]:
    """What one may say in place of a style, by language; nothing where nobody thought of it."""
    said = [entry.instead for entry in registry("styles") if entry.name == name and entry.instead]
    return said[-1] if said else {}


def sound(text: str) -> str:
    """What a word sounds like, roughly, in English and Italian ears: `Rutkowsky` and `Rutkovski` are one."""
    for written, heard in ALIKE:
        text = text.replace(written, heard)
    text = text.translate(LETTERS)
    return "".join(one for place, one in enumerate(text) if place == 0 or one != text[place - 1])


def _words(name: str) -> tuple[str, ...]:
    return tuple(map(_without_article, tokens(name)))


@dataclass(frozen=True)
class Forms:
    """Every form of every entry: those that stand by themselves, and surnames that need a title, a cue or an ending."""

    entries: tuple[Entry, ...]
    whole: Mapping[tuple[str, ...], Entry]
    surnames: Mapping[tuple[str, ...], Entry]
    # What is written so and is something else, and than which entries.
    unlike: Mapping[tuple[str, ...], frozenset[str]]
    # For comparing: the forms as texts, what they sound like, and whose they are.
    texts: tuple[str, ...]
    sounds: Mapping[str, Entry]

    @cached_property
    def stems(self) -> Mapping[str, Entry]:
        """Surnames that are long enough to carry an ending."""
        return {
            _stem(form): entry
            for words, entry in self.surnames.items()
            for form in ("".join(words), words[-1])
            if len(form) >= 4
        }

    @cached_property
    def by_given(self) -> Mapping[tuple[str, ...], Mapping[str, Entry]]:
        """The last words of forms, by the words before."""
        found: dict[tuple[str, ...], dict[str, Entry]] = {}
        for words, entry in self.whole.items():
            if len(words) > 1 and len(words[0]) > 2 and len(words[-1]) >= LONE_TYPOS[0][0] and words[0] not in TITLES:
                found.setdefault(words[:-1], {})[words[-1]] = entry
        return found


def forms_of(entries: Sequence[Entry]) -> Forms:
    """Every form of these entries. Where two share one, the last stands for both, so what is outright comes last."""
    entries = sorted(entries, key=lambda one: one.outright)
    whole: dict[tuple[str, ...], Entry] = {}
    surnames: dict[tuple[str, ...], Entry] = {}
    unlike: dict[tuple[str, ...], set[str]] = {}
    for entry in entries:
        for alias in (entry.name, *entry.aliases):
            whole |= {(alias_words := _words(alias)): entry, ("".join(alias_words),): entry}
        given, surname = _parts(_words(entry.name))
        if given:
            initials = [one[0] for one in given]
            whole |= dict.fromkeys([(*initials, *surname), ("".join(initials), *surname), (*surname, *given)], entry)
            whole |= dict.fromkeys([(one, *surname) for one in (given[0], initials[0])], entry)
        own = [surname, ("".join(surname),), surname[-1:]]
        surnames |= dict.fromkeys(own, entry)
        if entry.alone:
            whole |= dict.fromkeys(own, entry)
        for one in entry.unlike:
            unlike.setdefault(_words(one), set()).add(entry.name)
    texts = tuple(text for words in whole if len(text := " ".join(words)) >= TYPOS[0][0])
    sounds = {sound(" ".join(words)): entry for words, entry in whole.items() if len("".join(words)) >= TYPOS[0][0]}
    kept = {words: frozenset(names) for words, names in unlike.items()}
    return Forms(tuple(entries), whole, surnames, kept, texts, sounds)


@dataclass(frozen=True)
class Registry:
    """The entries that this process matches by. Replaced as a whole: a thread goes on with the one it began with."""

    added: Mapping[Kind, tuple[Entry, ...]]
    forms: Mapping[Kind, Forms]
    # Which state of what was added it is; empty where nothing ever was.
    version: str = ""


_current: Registry | None = None


def use(added: Mapping[Kind, Sequence[Entry]], version: str) -> None:
    """Match by the house's entries and these from now on. Forms are built anew where a kind's entries changed."""
    global _current
    before = current()
    kept = {kind: tuple(added.get(kind, ())) for kind in KINDS}
    forms = {
        kind: before.forms[kind] if before.added[kind] == kept[kind] else forms_of((*house(kind), *kept[kind]))
        for kind in KINDS
    }
    _current = Registry(kept, forms, version)


def current() -> Registry:
    """What this process matches by: the house's entries alone, until somebody says what was added to them."""
    global _current
    if _current is None:
        _current = Registry({kind: () for kind in KINDS}, {kind: forms_of(house(kind)) for kind in KINDS})
    return _current


def registry(kind: Kind) -> tuple[Entry, ...]:
    """Every entry that is matched now."""
    return current().forms[kind].entries


@dataclass(frozen=True)
class Spotted:
    """An entry that is named, and the words that name it."""

    entry: Entry
    written: str


def _parts(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Given names and surname; particles go with the surname. A name of one word is all surname."""
    cut = next((place for place, word in enumerate(words) if place and word in PARTICLES), len(words) - 1)
    return words[:cut], words[cut:]


def named(words: Sequence[str], kind: Kind, *, nearly: bool = True) -> list[Entry]:
    """Whoever is named in a prompt's words (normalised, see reading.readings), each once, in order."""
    return [one.entry for one in spotted(words, kind, nearly=nearly)]


def spotted(words: Sequence[str], kind: Kind, *, nearly: bool = True, known: Forms | None = None) -> list[Spotted]:
    """Whoever is named, and by which words. `known`: other entries than those of the registry.

    What an entry is unlike excuses that entry alone, so that it hides nobody else who is called so; it does keep
    words from being taken for somebody's name with letters wrong.
    """
    words = [_without_article(word) for word in words]
    known = known or current().forms[kind]
    excused: dict[int, frozenset[str]] = {}
    for run, span in _runs(words):
        if run in known.unlike:
            excused |= {place: excused.get(place, frozenset()) | known.unlike[run] for place in span}
    found: dict[str, Spotted] = {}
    for run, span in _runs(words):
        entry = known.whole.get(run) or _in_context(words, run, span, kind, known)
        if entry is None and nearly and excused.keys().isdisjoint(span):
            entry = _nearly(run, known)
        if entry is not None and not any(entry.name in excused.get(place, ()) for place in span):
            found.setdefault(entry.name, Spotted(entry, " ".join(run)))
    return list(found.values())


def _without_article(word: str) -> str:
    """`dell'Obama` is Obama."""
    before, _, rest = word.rpartition("'")
    return rest if before in ELIDED else word


def _runs(words: Sequence[str]) -> Iterator[tuple[tuple[str, ...], range]]:
    for start in range(len(words)):
        for length in range(1, min(LONGEST, len(words) - start) + 1):
            yield tuple(words[start : start + length]), range(start, start + length)


def _in_context(words: Sequence[str], run: tuple[str, ...], span: range, kind: Kind, known: Forms) -> Entry | None:
    """A surname that needs something beside it, and has it: a title, or, of a style, a cue or an ending."""
    entry = known.surnames.get(run)
    if entry is not None:
        before = tuple(words[max(0, span.start - 2) : span.start])
        # `Il premier indiano Modi`: a word may stand between.
        if TITLES.intersection(before):
            return entry
        if kind == "styles" and len("".join(run)) > 3:
            behind = words[span.stop] if span.stop < len(words) else ""
            if behind in BEHIND or any(before[-len(cue) :] == cue for cue in CUES):
                return entry
    if kind == "styles" and len(run) == 1:
        return _ending(run[0], known)
    return None


def _ending(word: str, known: Forms) -> Entry | None:
    """`Warholesque`, `caravaggesco`, `daliniano`: a surname without its last vowels, by its sound, and an ending."""
    for ending in ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 4 and (entry := known.stems.get(_stem(stem))):
            return entry
    return None


def _stem(word: str) -> str:
    return sound(word.rstrip("aeiou"))


def _nearly(run: tuple[str, ...], known: Forms) -> Entry | None:
    """A form with some letters wrong, or one that only sounds so, where no dictionary knows what was written."""
    joined = " ".join(run)
    if not 5 <= len(joined) <= 40:
        return None
    odd = {word for word in run if len(word) > 2 and not is_known(word)}
    if not odd:
        return _surname_nearly(run, known)
    heard = known.sounds.get(sound(joined))
    if heard is not None and _differs_only_in(run, odd, heard, known):
        return heard
    most = max((typos for least, typos in (TYPOS if len(run) > 1 else LONE_TYPOS) if len(joined) >= least), default=0)
    near = process.extractOne(joined, known.texts, scorer=DamerauLevenshtein.distance, score_cutoff=most)
    if near is None or (near[0][0] != joined[0] and sound(near[0])[:1] != sound(joined)[:1]):
        return None
    entry = known.whole[tuple(near[0].split())]
    return entry if _fits(run, odd, tuple(near[0].split())) else None


def _surname_nearly(run: tuple[str, ...], known: Forms) -> Entry | None:
    """Behind a given name, wholly right, also a word that a dictionary knows is the surname with a letter wrong."""
    most = 1 if len(run[-1]) >= LONE_TYPOS[0][0] else 0
    for form, entry in known.by_given.get(run[:-1], {}).items():
        if form[0] == run[-1][0] and DamerauLevenshtein.distance(form, run[-1], score_cutoff=most) <= most:
            return entry
    return None


def _differs_only_in(run: tuple[str, ...], odd: set[str], entry: Entry, known: Forms) -> bool:
    """Of the entry's forms that sound so, one fits."""
    heard = sound(" ".join(run))
    return any(
        sound(" ".join(form)) == heard and _fits(run, odd, form)
        for form, whose in known.whole.items()
        if whose is entry
    )


def _fits(run: tuple[str, ...], odd: set[str], form: tuple[str, ...]) -> bool:
    """Every word that is not the form's own is one that no dictionary knows."""
    return all(word in odd or word in form for word in run) and not odd <= set(form)
