"""Writing a folder of weights: whole or not at all, with the sums that the loader checks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS, as sha256sum does, over every other file of the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


@contextlib.contextmanager
def replace_folder(name: str) -> Iterator[Path]:
    """Yield an empty folder that takes the place of weights/<name> if nothing is raised.

    The model card (README.md) of the old folder is carried over before the body runs, so that the sums cover it.
    """
    target = WEIGHTS / name
    fresh, old = (WEIGHTS / f".{name}.{word}.{os.getpid()}" for word in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        if (target / "README.md").is_file():
            shutil.copy(target / "README.md", fresh)
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
