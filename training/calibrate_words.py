"""Fit what a prompt means, and from which score on it is held: `python -m training.calibrate_words [--write]`.

Each exemplar and each harmless prompt is scored by lines that were fitted without it (5 folds). A policy's threshold
is where at most MOST_HELD, or MORE_HELD, of the ordinary prompts lie over it. Run it after exemplars, the glossary or
the harmless prompts have changed: until then every prompt is held, since scores of another version are no answer.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from moderation import policy_files
from moderation.classifiers.meaning import LINES, Meaning, fit
from moderation.policy import MEANING
from training.shares import share

POLICIES = Path(__file__).resolve().parent.parent / "moderation" / "policies"
# The ordinary prompts were written to be hard: of PartiPrompts a fifth as many lie over a line. Where few of those come
# near, more may be held.
MOST_HELD, MORE_HELD = 0.009, {"hate": 0.013, "self_harm": 0.018}
FOLDS = 5
VERSION_DIGITS = 16


def out_of_fold(eyes: Meaning, rows: list[tuple[str, str, bool]], codes: list[str]) -> NDArray[np.float64]:
    """Rows x policies: each row's scores by lines that never saw it."""
    vectors = eyes.vectors([eyes.read(text) for text, _, _ in rows])
    fold = np.random.default_rng(0).integers(0, FOLDS, len(rows))
    scores = np.zeros((len(rows), len(codes)))
    for each in range(FOLDS):
        weights, biases = fit(
            vectors[fold != each], [row for row, f in zip(rows, fold, strict=True) if f != each], codes
        )
        scores[fold == each] = 1 / (1 + np.exp(-(vectors[fold == each] @ weights.T + biases)))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(prog="training.calibrate_words", description=__doc__)
    parser.add_argument(
        "--write",
        action="store_true",
        help="write lines, thresholds and version into moderation/",
    )
    asked = parser.parse_args()
    os.nice(max(0, 10 - os.nice(0)))
    house = policy_files.load(POLICIES)
    codes = [policy.code for policy in house if policy.meaning is not None]
    eyes = Meaning(house)
    eyes.load()
    if asked.write:
        weights, biases = eyes.fitted()
        save_file({"weights": weights, "biases": biases}, LINES, {"fitted_on": eyes.said()})
        eyes.load()
    rows = eyes.rows()
    scores = out_of_fold(eyes, rows, codes)
    ordinary = np.array([not policy for _, policy, _ in rows])
    over_any = np.zeros(len(rows), bool)
    print("| policy | from | exemplars held | neighbours held | ordinary prompts held |\n|---|---|---|---|---|")
    for place, code in enumerate(codes):
        most = MORE_HELD.get(code, MOST_HELD)
        least = round(float(np.quantile(scores[ordinary, place], 1 - most)) + 0.0005, 3)
        over = scores[:, place] >= least
        over_any |= over
        of = {
            kind: np.array([(policy, is_exemplar) == (code, kind) for _, policy, is_exemplar in rows])
            for kind in (True, False)
        }
        counted = [share(int(over[which].sum()), int(which.sum())) for which in (of[True], of[False], ordinary)]
        print(f"| {code} | {least} | {' | '.join(counted)} |")
        if asked.write:
            write(code, least, eyes.version)
    print(f"| any | | | | {share(int(over_any[ordinary].sum()), int(ordinary.sum()))} |")
    print(f"{MEANING} {eyes.version[:VERSION_DIGITS]}")


def write(code: str, least: float, version: str) -> None:
    path = POLICIES / f"{code}.toml"
    text = path.read_text(encoding="utf-8")
    text = re.sub(
        r'(?m)^(model = "meaning")\nversion = .*\n(subjects = .*)\nreview = .*$',
        rf'\1\nversion = "{version[:VERSION_DIGITS]}"\n\2\nreview = {least}',
        text,
    )
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
