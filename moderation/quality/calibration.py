"""Thresholds from what people found: how well each signal parts what a policy seeks from the rest, and from where on it
should ask. Knows no database; the scores come from `labels`.

Weights say for how many pictures each one stands: 1 for what was held and decided, 1 / probability for a sample.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tomlkit
from numpy.typing import NDArray

from moderation.quality.intervals import Estimate, weighted

# Fewer of either kind say nothing about a threshold.
LEAST = 10
BINS = 10


@dataclass(frozen=True)
class Key:
    """Which threshold: of a policy, over a signal of one version of a model."""

    policy: str
    signal: str
    model: str
    version: str


@dataclass(frozen=True)
class Labelled:
    """One score, whether a person found what the policy seeks, and for how many it stands."""

    key: Key
    score: float
    is_sought: bool
    weight: float = 1.0


@dataclass(frozen=True)
class Curve:
    """A signal over all that was labelled. Arrays of the same length: scores, labels, weights."""

    key: Key
    scores: NDArray[np.float64]
    sought: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @property
    def is_enough(self) -> bool:
        return bool(min(self.sought.sum(), (~self.sought).sum()) >= LEAST)

    @property
    def auc(self) -> float:
        """How likely what is sought scores above what is not; weighted. Raises ValueError where one kind is missing."""
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(self.sought, self.scores, sample_weight=self.weights))

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False-positive and true-positive rates, each rising, one point for each threshold that differs."""
        from sklearn.metrics import roc_curve

        false, true, _ = roc_curve(self.sought, self.scores, sample_weight=self.weights, drop_intermediate=True)
        return false, true

    def reliability(self) -> list[tuple[float, float]]:
        """In bins of as many scores each: the mean score, and the share that is sought; weighted."""
        order = np.argsort(self.scores, kind="stable")
        return [
            (
                float(np.average(self.scores[part], weights=self.weights[part])),
                float(np.average(self.sought[part], weights=self.weights[part])),
            )
            for part in np.array_split(order, min(BINS, len(order)))
            if len(part)
        ]

    def held(self, threshold: float, *, sought: bool) -> Estimate:
        """Of what is sought, or of what is not, the share at or over a threshold."""
        which = self.sought == sought
        over, drawn = self.scores[which] >= threshold, 1 / self.weights[which]
        return weighted(zip(over.tolist(), drawn.tolist(), strict=True))

    def propose(self, most_held: float) -> float | None:
        """The lowest threshold at which at most such a share of what is not sought is held; None with too few labels.

        Rounded up to a thousandth. Between two scores, halfway: what lies right above the last harmless one is chance.
        """
        if not self.is_enough:
            return None
        order = np.argsort(-self.scores[~self.sought], kind="stable")
        scores, weights = self.scores[~self.sought][order], self.weights[~self.sought][order]
        over = np.cumsum(weights) / weights.sum()
        first = int(np.searchsorted(over, most_held, side="right"))
        if first >= len(scores):
            return 0.0
        above = self.scores[self.scores > scores[first]]
        middle = (scores[first] + above.min()) / 2 if len(above) else scores[first] + 0.001
        return float(min(np.ceil(round(middle * 1000, 6)) / 1000, 1.0))


def curves(labelled: Iterable[Labelled]) -> list[Curve]:
    """All that was labelled, by threshold, in the order of their names."""
    by_key: dict[Key, list[Labelled]] = defaultdict(list)
    for one in labelled:
        by_key[one.key].append(one)
    return [
        Curve(
            key,
            np.array([one.score for one in found]),
            np.array([one.is_sought for one in found]),
            np.array([one.weight for one in found]),
        )
        for key, found in sorted(by_key.items(), key=lambda item: (item[0].policy, item[0].signal, item[0].model))
    ]


def table(found: Sequence[Curve], thresholds: Mapping[Key, float], most_held: float) -> str:
    """What each threshold does now, and what is proposed, in Markdown."""
    lines = [
        "| policy | signal | labels, sought | AUC | asks from | sought, held | harmless, held | proposed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for curve in found:
        now = thresholds.get(curve.key)
        both = 0 < curve.sought.sum() < len(curve.sought)
        held = [str(curve.held(now, sought=sought)) if now is not None else "" for sought in (True, False)]
        proposed = curve.propose(most_held)
        cells = [
            curve.key.policy, f"{curve.key.signal} of {curve.key.model} {curve.key.version[:12]}",
            f"{len(curve.sought):,}, {int(curve.sought.sum()):,}", f"{curve.auc:.3f}" if both else "",
            "" if now is None else f"{now:g}", *held, "too few labels" if proposed is None else f"{proposed:g}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(curve: Curve, threshold: float | None) -> str:
    """ROC and reliability side by side, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "vaglio", "font.size": 9}):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        false, true = curve.roc()
        left.plot(false, true, color="#1a1a1a")
        left.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
        if threshold is not None:
            now = [curve.held(threshold, sought=sought).share for sought in (False, True)]
            left.plot(*([share] for share in now), "o", color="#d9480f", label=f"from {threshold:g}")
            left.legend(frameon=False, loc="lower right")
        left.set(xlabel="of what is harmless, held", ylabel="of what is sought, held", title=f"AUC {curve.auc:.3f}")
        said, found = zip(*curve.reliability(), strict=True)
        right.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
        right.plot(said, found, "o-", color="#1a1a1a", markersize=3)
        right.set(xlabel="score", ylabel="share that is sought", xlim=(0, 1), ylim=(0, 1), title="Reliability")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(f"{curve.key.policy}: {curve.key.signal} of {curve.key.model}, n {len(curve.sought):,}")
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
        return written.getvalue()


def rewritten(text: str, changes: Mapping[tuple[str, str], float]) -> str:
    """A policy's file with other thresholds, by (signal, model); everything else stays as it was written."""
    document = tomlkit.parse(text)
    for one in document.get("thresholds", []):
        if (least := changes.get((str(one["signal"]), str(one["model"])))) is not None:
            one["review"] = least
            if "block" in one:
                one["block"] = max(float(one["block"]), least)
    return tomlkit.dumps(document)
