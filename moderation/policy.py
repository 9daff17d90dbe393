"""The policies of the house: one TOML file each, read into plain values. Knows neither Django nor torch."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

SEVERITIES = {"low": 0, "medium": 1, "high": 2, "severe": 3}
SUBJECTS = ("prompt", "upload", "medium")
PICTURES = ("upload", "medium")
LANGUAGES = ("en", "it")
LEXICON = "lexicon"
# Who is named in a prompt; what was drawn of the prompt is judged by that too.
NAMES = "names"
MEANING = "meaning"
HOUSE_CLIP = "house-clip"
# What is known of how a file was brought, beside what is seen in it.
UPLOAD = "upload"
# In context it never acts by itself: its scores are for the combinations of others.
MODES = ("active", "shadow", "context")
ACTIONS = ("review", "block")
# What is written in a picture: by its words, and by what it means.
TEXT = "text"
TEXT_MEANING = "text-meaning"
# The beginning of the version of what reads it, see moderation/classifiers/text_in_pictures.py.
READER_VERSION = "5b31a89073ec34f4"
# What is said of a picture by its perceptual hash: looked up in a table, so no classifier of the armoury says it.
KNOWN = "pdq"
# How like a picture is to the nearest that was refused here, as a CLIP sees both.
LIKE_REFUSED = "like_refused"
REGISTRIES = ("persons", "styles")
# The names of OpenAI's moderation endpoint, which its clients read by.
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class PolicyError(Exception):
    """A policy is written wrongly. The message names the file, the key, and what to do."""

    def __init__(self, file: str, key: str, what: str) -> None:
        super().__init__(f"{file}: {key} {what}")
        self.file = file
        self.key = key


@dataclass(frozen=True)
class Threshold:
    """From which score of which signal on a policy asks a person, or blocks. Scores and thresholds are 0..1.

    Bound to one model, and to one version of it where `version` is given (the beginning of its hash): a score
    from any other is no answer. `block` None means that this signal alone never blocks. In shadow it is judged and
    written down, and moves nothing.
    """

    signal: str
    model: str
    version: str
    subjects: tuple[str, ...]
    review: float
    block: float | None
    is_shadow: bool = False


@dataclass(frozen=True)
class Condition:
    """A signal that is at least so high, 0..1; bound to a model and a version as a threshold is."""

    signal: str
    model: str
    version: str
    at_least: float


@dataclass(frozen=True)
class Combination:
    """What a policy does where every one of some signals is high enough, though none would do by itself. In shadow it
    is written down, and moves nothing."""

    subjects: tuple[str, ...]
    action: Literal["review", "block"]
    conditions: tuple[Condition, ...]
    is_shadow: bool = False


@dataclass(frozen=True)
class Concept:
    """What a zero-shot classifier, the CLIP called `model`, compares a picture with; how the margin becomes a score.

    margin = best similarity to an exemplar - best similarity to a look-alike, each a cosine in -1..1;
    score = sigmoid((margin - bias) / temperature). Fitted on one model, see docs/house-models.md.
    """

    exemplars: tuple[str, ...]
    lookalikes: tuple[str, ...]
    bias: float
    temperature: float
    model: str = HOUSE_CLIP


@dataclass(frozen=True)
class Meaning:
    """Sentences that say what a policy refuses, and such that use the same words or scenes and are harmless."""

    exemplars: tuple[str, ...]
    neighbours: tuple[str, ...]


@dataclass(frozen=True)
class Words:
    """Terms of the lexicon, by what they ask for; `harmless` are phrases that excuse the terms inside them.

    `together` refuses only what has a term of each of its groups; `names` is which registry of names is asked.
    """

    review: tuple[str, ...]
    block: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]
    harmless: tuple[str, ...]
    names: Literal["", "persons", "styles"]


@dataclass(frozen=True)
class Policy:
    """One rule of the house. Texts by language; severity 0 (low) to 3 (severe).

    In shadow it is judged and written down, and moves nothing; in context its thresholds are not even judged. `share`
    is of how many subjects it judges in earnest while it is rolled out, 0..1; of the rest it judges in shadow. Which
    ones is by a hash, so each stays what it is.
    """

    code: str
    severity: int
    title: str
    titles: Mapping[str, str]
    statement: Mapping[str, str]
    remedy: Mapping[str, str]
    thresholds: tuple[Threshold, ...]
    words: Words | None
    concept: Concept | None
    meaning: Meaning | None = None
    combinations: tuple[Combination, ...] = ()
    is_shadow: bool = False
    is_context: bool = False
    share: float = 1.0
    # What OpenAI's moderation clients call it: some of CATEGORIES.
    categories: tuple[str, ...] = ()
    # What a person affirms who asks for it all the same, by language; None where nobody may.
    acknowledge: Mapping[str, str] | None = None

    def acts_on(self, key: str) -> bool:
        """Whether it judges this subject in earnest. An unknown one always, unless the policy is in shadow."""
        if self.is_shadow:
            return False
        if self.share >= 1 or not key:
            return True
        digest = hashlib.sha256(f"{self.code}|{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.share


@dataclass(frozen=True)
class PolicySet:
    """All policies, by code. `version` is a sha256 over everything that they say.

    shadow names models on trial: what they say is judged and written down, and moves nothing; where they say nothing
    nobody waits for them.
    """

    policies: tuple[Policy, ...]
    version: str
    shadow: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Policy]:
        return iter(self.policies)

    def named(self, code: str) -> Policy | None:
        """The policy of this code, None when the house has none such any more."""
        return next((policy for policy in self.policies if policy.code == code), None)

    def thresholds(self, subject: str) -> Iterator[tuple[Policy, Threshold]]:
        """Every threshold that judges such a subject, with its policy."""
        for policy in self.policies:
            for threshold in policy.thresholds:
                if subject in threshold.subjects and not policy.is_context:
                    yield policy, threshold

    def combinations(self, subject: str) -> Iterator[tuple[Policy, Combination]]:
        """Every combination that judges such a subject, with its policy."""
        for policy in self.policies:
            for combination in policy.combinations:
                if subject in combination.subjects:
                    yield policy, combination

    def asked(self, subject: str) -> set[tuple[str, str, str]]:
        """Signal, model and version of everything that must be known of such a subject."""
        return {(one.signal, one.model, one.version) for _, one in self.thresholds(subject)} | {
            (one.signal, one.model, one.version)
            for _, combination in self.combinations(subject)
            for one in combination.conditions
        }
