"""What the gate lets through, and what it costs."""

import subprocess
import sys

PARTS = ("words", "names", "cost", "text", "faces", "likeness", "watermark")


def main() -> int:
    failed = 0
    for part in PARTS:
        asked = sys.argv[1:] if part == "words" else []
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.gate.{part}", *asked]).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
