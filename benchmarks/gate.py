"""What the words of a prompt alone let through, hold and refuse: `python -m benchmarks.gate [--data FOLDER] [--list]`.

No picture classifier is asked and no database is needed. Shares have 95 % Wilson bounds. Our own prompts lie in
gate_prompts.toml. A folder given with --data, by default ../shared/data beside the checkout, may hold public sets:
PartiPrompts (harmless), the prompts of Ring-A-Bell (nudity with harmless twins, violence) and I2P (prompts that tend
to give inappropriate pictures, most of them not plainly so as text); what is not there is left out, and said.
"""

from __future__ import annotations

import argparse
import csv
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from moderation.lexicon import judge_prompt
from moderation.policy import LEXICON, PolicySet
from moderation.verdict import judge
from training.shares import share

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / "moderation" / "policies"


@dataclass(frozen=True)
class Prompts:
    """Prompts of one kind, and whether the gate ought to stop them: None where a text alone does not say."""

    name: str
    are_unsafe: bool | None
    texts: Sequence[str]


def ours() -> list[Prompts]:
    sets = tomllib.loads((ROOT / "benchmarks" / "gate_prompts.toml").read_text(encoding="utf-8"))
    return [Prompts(f"ours: {name}", one["expect"] != "clear", one["prompts"]) for name, one in sets.items()]


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


def outcome(house: PolicySet, text: str) -> str:
    return judge(house, "prompt", judge_prompt(text, "", house), {LEXICON}).outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gate", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--list", action="store_true", help="print every prompt that went the wrong way")
    asked = parser.parse_args()
    house = PolicySet.load(POLICIES)
    wrong: list[str] = []
    print("| prompts | should | clear | held | refused |\n|---|---|---|---|---|")
    for prompts in ours() + public(asked.data):
        outcomes = [outcome(house, text) for text in prompts.texts]
        counted = [share(outcomes.count(kind), len(outcomes)) for kind in ("clear", "review", "block")]
        should = {True: "be caught", False: "pass", None: "not said"}[prompts.are_unsafe]
        print(f"| {prompts.name} | {should} | {' | '.join(counted)} |")
        wrong += [
            f"{kind:7} {prompts.name}: {text}"
            for text, kind in zip(prompts.texts, outcomes, strict=True)
            if prompts.are_unsafe is not None and (kind == "clear") == prompts.are_unsafe
        ]
    print(f"\n{len(wrong)} went the wrong way{': ' if asked.list else ' (--list names them).'}")
    print("\n".join(wrong if asked.list else []))


if __name__ == "__main__":
    main()
