"""The heads of the audit chain, kept in a file outside the database."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from journal.files import sync_folder
from journal.models import Seal


@dataclass(frozen=True)
class Head:
    """The number and the digest of one seal."""

    seal: int
    digest: str


class HeadFile:
    """The heads, one JSON line each, in a file that the database's owner should not be able to write."""

    # How much of the end is looked at first; a line is about a hundred bytes long.
    TAIL = 4096

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other sealer on this machine from writing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def append(self, seal: Seal) -> None:
        """Write one head, and make sure it is on the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"seal": seal.pk, "last_seq": seal.last_seq, "digest": seal.digest}).encode() + b"\n"
        with self.path.open("a+b") as file:
            new = file.seek(0, os.SEEK_END) == 0
            if not new:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line  # a crash cut the line before this one
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path.parent)

    def size(self) -> int:
        """How many bytes have been written; 0 when there is no file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def heads(self, *, size: int | None = None) -> Iterator[Head]:
        """Each head in the first `size` bytes, oldest first, line by line. One that a crash cut is left out."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                if size is not None and file.tell() > size:
                    return
                if head := _parse(line):
                    yield head

    def last(self) -> Head | None:
        """The newest head, read from the end; None when there is none. A line that a crash cut is passed over."""
        whole, tail = self.size(), self.TAIL
        while whole:
            with self.path.open("rb") as file:
                file.seek(max(whole - tail, 0))
                lines = file.read().split(b"\n")
            # The first piece may be the end of a longer line.
            for line in reversed(lines[1:] if tail < whole else lines):
                if head := _parse(line):
                    return head
            if tail >= whole:
                break
            tail *= 16
        return None


def _parse(line: bytes) -> Head | None:
    try:
        head = json.loads(line)
        return Head(seal=int(head["seal"]), digest=str(head["digest"]))
    except (ValueError, TypeError, KeyError):
        return None
