"""What the words of a prompt say by themselves: normalised against evasion, matched as words, never as substrings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from moderation import names
from moderation.policy import LEXICON, PolicySet, Words
from moderation.reading import readings, tokens
from moderation.signals import Signal

# Scores of the lexicon: nothing, a word that asks for a person, one that refuses unless somebody answers for it where
# the policy lets them, one that refuses.
NOTHING, REVIEW, SOFT, BLOCK = 0.0, 0.6, 0.95, 1.0

LONGEST_PHRASE = 6


@dataclass(frozen=True)
class Match:
    """A term that was found: the policy's action for it, and where."""

    term: str
    score: float


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


def find(words: Sequence[str], listed: Words, *, nearly: bool = True) -> list[Match]:
    """The terms of a policy in a prompt's words. Words inside a harmless phrase do not count.

    `nearly`: whether a name may have letters wrong. Of one reading is enough: the others guess already.
    """
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
        outright = listed.names == "persons"
        found += [
            Match(
                one.written if one.entry.private else one.entry.name, BLOCK if outright or one.entry.outright else SOFT
            )
            for one in names.spotted(words, listed.names, nearly=nearly)
        ]
    return found


def without_harmless(text: str, policies: PolicySet) -> str:
    """A text's words without those inside a phrase that some policy calls harmless."""
    words = tokens(text)
    excused = {
        place
        for policy in policies
        if policy.words is not None and not policy.is_context
        for _, span in _spans(words, policy.words.harmless)
        for place in span
    }
    return " ".join(word for place, word in enumerate(words) if place not in excused) if excused else text


def judge_prompt(prompt: str, negative_prompt: str, policies: PolicySet) -> list[Signal]:
    """One signal for each policy that has words and each field: 0 nothing, 0.6 review, 0.95 a soft block, 1 block.

    A negative prompt says what must not be drawn, so only a block in it counts: nobody needs to write it there.
    The version of a signal says what the registry of names was besides, where it was asked.
    """
    signals = []
    registered = f"+{names.current().version}" if names.current().version else ""
    for field, text in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        read = readings(text)
        for policy in policies:
            if policy.words is None:
                continue
            found = [
                match for place, words in enumerate(read) for match in find(words, policy.words, nearly=place == 0)
            ]
            score = max((match.score for match in found), default=NOTHING)
            if field == "negative_prompt" and score < BLOCK:
                score, found = NOTHING, []
            terms = tuple(dict.fromkeys(match.term for match in found if match.score == score))
            version = policies.version + (registered if policy.words.names else "")
            signals.append(Signal(policy.code, score, LEXICON, version, field=field, words=terms))
    return signals
