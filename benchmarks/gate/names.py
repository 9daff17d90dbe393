"""Names that look like a person's, without the registry: `python -m benchmarks.gate.names [--data FOLDER]`.

On the frozen prompts that name registered persons (nobody tells the classifier who is registered), on their harmless
look-alikes, and on PartiPrompts; and how many of each `person.deepfake` then asks about or blocks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from benchmarks.gate.words import ROOT, Gate, frozen, public
from moderation.verdict import judge
from training.shares import share

POLICY = "person.deepfake"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gate.names", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    data = parser.parse_args().data
    gate, took = Gate(), []
    sets = [one for one in frozen() if one.name.startswith("person.real")]
    sets += [one for one in public(data) if "PartiPrompts" in one.name]
    print(f"| prompts | name a person | names found | {POLICY} asks or blocks |\n|---|---|---|---|")
    for prompts in sets:
        named = acted = 0
        for text in prompts.texts:
            began = time.perf_counter()
            (signals,) = gate.armoury.screen_prompts([(text, "")])
            took.append(1000 * (time.perf_counter() - began))
            named += any(one.name == "named" and one.score > 0 for one in signals)
            verdict = judge(gate.house, "prompt", signals, gate.armoury.required("prompt"))
            acted += any(one.policy_code == POLICY for one in verdict.triggers)
        number = len(prompts.texts)
        should = "yes" if prompts.are_unsafe else "no"
        print(f"| {prompts.name} | {should} | {share(named, number)} | {share(acted, number)} |", flush=True)
    print(f"\na prompt, all of it: median {statistics.median(took):.1f} ms")


if __name__ == "__main__":
    main()
