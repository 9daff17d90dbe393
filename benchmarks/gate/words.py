"""What the words of a prompt let through, hold and refuse: `python -m benchmarks.gate words [--data FOLDER]`.

No picture classifier is asked and no database is needed. Shares have 95 % Wilson bounds; "caught" means held for a
person or refused. The prompts in benchmarks/gate/prompts were written by others than the lexicon, the exemplars and the
registries, and frozen before those were tuned. A folder given with --data, by default ../shared/data beside the
checkout, may hold public sets: PartiPrompts (harmless), the prompts of Ring-A-Bell (nudity with harmless twins,
violence), prompts that name artists, and I2P (prompts that tend to give inappropriate pictures, most of them not
plainly so as text); what is not there is left out, and said.
"""

from __future__ import annotations

import argparse
import csv
import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gate.evasions import EVASIONS
from moderation import policy_files
from moderation.classifiers.armoury import Armoury
from moderation.verdict import Verdict, judge
from training.shares import share

ROOT = Path(__file__).resolve().parent.parent.parent
POLICIES = ROOT / "moderation" / "policies"
FROZEN = Path(__file__).resolve().parent / "prompts"
# How many of the minors' prompts are put together from their frozen parts.
COMBINED = 200


@dataclass(frozen=True)
class Prompts:
    """Prompts of one kind, and whether the gate ought to stop them: None where a text alone does not say."""

    name: str
    are_unsafe: bool | None
    texts: Sequence[str]


def frozen() -> list[Prompts]:
    """Our own sets, policy by policy and language by language; what is harmless for one policy is so for all."""
    found = []
    for path in sorted(FROZEN.glob("*.toml")):
        for kind, texts in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if isinstance(texts, dict):
                found.append(Prompts(f"{path.stem}: {kind}", texts["expect"] != "clear", texts["prompts"]))
            elif not kind.endswith("_words"):
                found.append(Prompts(f"{path.stem}: {kind}", not kind.startswith("harmless"), texts))
    return [*found, minors()]


def minors() -> Prompts:
    """Put together, and drawn with a fixed seed: nobody writes two hundred of these out."""
    parts = tomllib.loads((FROZEN / "sexual.minors.toml").read_text(encoding="utf-8"))
    pairs = [f"{age}, {context}" for age in parts["age_words"] for context in parts["context_words"]]
    return Prompts("sexual.minors: put together", True, random.Random(0).sample(pairs, COMBINED))


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _column(name: str, delimiter: str) -> Callable[[Path], list[str]]:
    def read(path: Path) -> list[str]:
        with path.open(encoding="utf-8", newline="") as file:
            return [row[name] for row in csv.DictReader(file, delimiter=delimiter)]

    return read


PUBLIC = (
    ("PartiPrompts, every second", False, "partiprompts_even.tsv", _column("Prompt", "\t")),
    ("Ring-A-Bell, harmless twins", False, "no_nudity_prompts_dev.txt", _lines),
    ("Ring-A-Bell, nudity", True, "nudity_prompts_dev.txt", _lines),
    ("Ring-A-Bell, violence", True, "violence_prompts_dev.txt", _lines),
    ("artists by name", True, "artist_prompts_dev.csv", _column("prompt", ",")),
    ("I2P, every second", None, "i2p_even.csv", _column("prompt", ",")),
)


def public(folder: Path) -> list[Prompts]:
    found = []
    for name, are_unsafe, file, read in PUBLIC:
        if (folder / file).is_file():
            found.append(Prompts(name, are_unsafe, read(folder / file)))
        else:
            print(f"left out: {name} ({file} is not in the data folder)")
    return found


class Gate:
    """The policies and the classifiers that judge a prompt in a screening process."""

    def __init__(self) -> None:
        self.house = policy_files.load(POLICIES)
        self.armoury = Armoury.load("house", weights=ROOT / "training" / "weights", policies=self.house)

    def verdicts(self, texts: Sequence[str]) -> list[Verdict]:
        signals = self.armoury.screen_prompts([(text, "") for text in texts])
        required = self.armoury.required("prompt")
        return [judge(self.house, "prompt", found, required) for found in signals]


def row(name: str, should: str, verdicts: Sequence[Verdict]) -> str:
    outcomes = [one.outcome for one in verdicts]
    counted = [share(outcomes.count(kind), len(outcomes)) for kind in ("clear", "review", "block")]
    return f"| {name} | {should} | {' | '.join(counted)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gate words", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--list", action="store_true", help="print every prompt that went the wrong way")
    asked = parser.parse_args()
    gate = Gate()
    wrong: list[str] = []
    sets = frozen() + public(asked.data)
    print("| prompts | should | clear | held | refused |\n|---|---|---|---|---|")
    for prompts in sets:
        verdicts = gate.verdicts(prompts.texts)
        should = {True: "be caught", False: "pass", None: "not said"}[prompts.are_unsafe]
        print(row(prompts.name, should, verdicts))
        wrong += [
            f"{verdict.outcome:7} {prompts.name}: {text} {sorted({one.policy_code for one in verdict.triggers})}"
            for text, verdict in zip(prompts.texts, verdicts, strict=True)
            if prompts.are_unsafe is not None and (verdict.outcome == "clear") == prompts.are_unsafe
        ]
    print(f"\n{len(wrong)} went the wrong way{': ' if asked.list else ' (--list names them).'}")
    print("\n".join(wrong if asked.list else []))
    _evaded(gate, [prompts for prompts in sets if prompts.are_unsafe])


def _evaded(gate: Gate, sets: Sequence[Prompts]) -> None:
    """Every prompt that is caught as it stands, again after each evasion alone."""
    texts = [text for prompts in sets for text in prompts.texts]
    caught = [text for text, one in zip(texts, gate.verdicts(texts), strict=True) if one.outcome != "clear"]
    print("\n| evasion | of those caught as they stand, still caught |\n|---|---|")
    for name, evade in EVASIONS.items():
        still = [one.outcome != "clear" for one in gate.verdicts([evade(text) for text in caught])]
        print(f"| {name} | {share(sum(still), len(still))} |")


if __name__ == "__main__":
    main()
