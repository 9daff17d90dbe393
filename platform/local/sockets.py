"""Short private folders for the sockets of our servers."""

import os
import stat
import tempfile
from pathlib import Path

# A path to a socket ends at 107 bytes. Ours take 20 for a folder and 19 for a file.
LONGEST_PARENT = 60


def private_folder(note: Path, *, uid: int) -> Path:
    """Return a folder that only `uid` may enter: the one that `note` names, if it can be had again.

    So an address outlives the restart of its server, and the folders that kills leave behind do not pile up.
    """
    if note.exists():
        known = Path(note.read_text(encoding="utf-8"))
        if _is_private(known, uid) or _make(known, uid):
            return known
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > LONGEST_PARENT or (os.geteuid() == 0 and not open_to_all(Path(parent))):
        parent = "/tmp"  # noqa: S108
    fresh = Path(tempfile.mkdtemp(prefix="vaglio-", dir=parent))
    _give(fresh, uid)
    note.write_text(str(fresh), encoding="utf-8")
    return fresh


def open_to_all(path: Path) -> bool:
    """Whether any user can walk to `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _is_private(folder: Path, uid: int) -> bool:
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == uid and not facts.st_mode & 0o077


def _make(folder: Path, uid: int) -> bool:
    """Make `folder`, which must not exist: what somebody else put there is never used."""
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        return False
    _give(folder, uid)
    return True


def _give(folder: Path, uid: int) -> None:
    if uid != os.geteuid():
        os.chown(folder, uid, -1)
