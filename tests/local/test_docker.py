"""What an operator reads must be what the programs read."""

import itertools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r"\benv\.(?:text|integer|seconds|flag|words|choice|database)\(\s*\"([A-Z_]+)\"")
TOLD = re.compile(r"^#?([A-Z_]+)=", re.MULTILINE)


def test_every_variable_is_explained_in_the_example() -> None:
    read: set[str] = set()
    for room in ("platform", "generation", "moderation", "billing"):
        for source in (ROOT / room).rglob("*.py"):
            read |= set(READ.findall(source.read_text(encoding="utf-8")))
    text = (ROOT / "docker" / "env.example").read_text(encoding="utf-8")
    assert "SECRET_KEY" in read
    assert sorted(read - set(TOLD.findall(text))) == []
    paragraphs = [line for line in text.splitlines() if line]
    for before, line in itertools.pairwise(paragraphs):
        if TOLD.match(line):
            assert before.startswith("# ") or TOLD.match(before), f"{line} is not explained"
