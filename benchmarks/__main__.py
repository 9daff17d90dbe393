"""Run every benchmark, or those that are named: `python -m benchmarks [NAME ...]`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# In a process of its own each: settings are read once, and one's leftovers must not slow down the next.
ALL = ("web", "claim", "path", "follow", "reads", "billing", "till", "engine", "gate", "known")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(ALL)}.")
        return 2
    failed = 0
    for name in names or ALL:
        print(f"\n== {name}", flush=True)
        env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}", "PYTHONWARNINGS": "ignore"}
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, env=env).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
