"""The web process: how fast it starts, how much it holds. Target: under 3 s, under 200 MB, no torch."""

import subprocess
import sys
import time

from benchmarks.world import world

ASK = """
import sys, resource
import config.asgi
from django.urls import get_resolver
get_resolver().url_patterns
heavy = sorted({"torch", "onnxruntime", "diffusers", "open_clip", "transformers"} & set(sys.modules))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, ",".join(heavy) or "none")
"""


def main() -> None:
    with world(durable=False):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import django"], check=True)
        beside = time.perf_counter() - began
        for turn in ("cold", "warm"):
            began = time.perf_counter()
            said = subprocess.run([sys.executable, "-c", ASK], check=True, capture_output=True, text=True).stdout
            taken = time.perf_counter() - began
            memory, heavy = said.split()
            print(
                f"web process, {turn}: starts in {taken:.2f} s (x{taken / beside:.1f} of `import django`), "
                f"{memory} MB, torch and its like: {heavy}   target < 3 s, < 200 MB, none"
            )


if __name__ == "__main__":
    main()
