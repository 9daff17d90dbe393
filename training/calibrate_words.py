"""Fit what a prompt means, and from which score on it is held: `python -m training.calibrate_words [--write]`.

Each exemplar and each harmless prompt is scored by lines that were fitted without it (5 folds), SPLITS times. A
policy's threshold is where at most MOST_HELD, or OTHERS, of the ordinary prompts lie over it, in the mean of the
splits: it hangs on some twenty prompts, and from one split to another it moves by up to a tenth. Run it after
exemplars, the glossary or the harmless prompts have changed: until then every prompt is held, since scores of another
version are no answer.
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
# The ordinary prompts were written to be hard: of PartiPrompts a third as many lie over a line. Where few of those come
# near, more may be held. A deepfake is a person and a scene: the scene alone is held where hardly an ordinary prompt
# lies, and with a name or a pointing word from far below (person.deepfake's combinations).
MOST_HELD, OTHERS = 0.009, {"hate": 0.021, "self_harm": 0.025, "person.deepfake": 0.0}
FOLDS, SPLITS = 5, 10
VERSION_DIGITS = 16


def out_of_fold(eyes: Meaning, rows: list[tuple[str, str, bool]], codes: list[str]) -> NDArray[np.float64]:
    """Splits x rows x policies: each row's scores by lines that never saw it."""
    vectors = eyes.vectors([eyes.read(text) for text, _, _ in rows])
    scores = np.zeros((SPLITS, len(rows), len(codes)))
    for split in range(SPLITS):
        fold = np.random.default_rng(split).integers(0, FOLDS, len(rows))
        for each in range(FOLDS):
            seen = fold != each
            weights, biases = fit(vectors[seen], [row for row, was in zip(rows, seen, strict=True) if was], codes)
            scores[split, ~seen] = 1 / (1 + np.exp(-(vectors[~seen] @ weights.T + biases)))
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
    over_any = np.zeros((SPLITS, len(rows)), bool)
    print(
        "| policy | from (by split) | exemplars held | neighbours held | ordinary prompts held |\n|---|---|---|---|---|"
    )
    for place, code in enumerate(codes):
        most = OTHERS.get(code, MOST_HELD)
        by_split = np.quantile(scores[:, ordinary, place], 1 - most, axis=1)
        least = round(float(by_split.mean()) + 0.0005, 3)
        over = scores[..., place] >= least
        over_any |= over
        of = {
            kind: np.array([(policy, is_exemplar) == (code, kind) for _, policy, is_exemplar in rows])
            for kind in (True, False)
        }
        counted = [held(over, which) for which in (of[True], of[False], ordinary)]
        print(f"| {code} | {least} ({by_split.min():.3f} to {by_split.max():.3f}) | {' | '.join(counted)} |")
        if asked.write:
            write(code, least, eyes.version)
    print(f"| any | | | | {held(over_any, ordinary)} |")
    print(f"{MEANING} {eyes.version[:VERSION_DIGITS]}")


def held(over: NDArray[np.bool_], which: NDArray[np.bool_]) -> str:
    """The share of some rows that is held, in the mean of the splits."""
    return share(round(float(over[:, which].sum()) / SPLITS), int(which.sum()))


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
