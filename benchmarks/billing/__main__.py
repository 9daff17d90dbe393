"""The ledger's figures: credits moved through Django, and a year of 5,000,000 entries recomputed and shown."""

import subprocess
import sys

# In a process and on a PostgreSQL of its own each.
PARTS = ("pairs", "year")


def main() -> int:
    failed = 0
    for part in PARTS:
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.billing.{part}"]).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
