"""Write-once files in the two private stores."""

import os
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages

from journal.failpoints import failpoint


class AlreadyWritten(Exception):
    """A file of this name exists with other bytes."""


class StoreFull(Exception):
    """The store has no room left. Free some space, then the work is tried again by itself."""


class StoreBroken(Exception):
    """A file that a row names cannot be read."""


class StoreAway(StoreBroken):
    """The store does not answer. Nothing is known of the file; the work is tried again by itself."""


def quarantine() -> Storage:
    """The store of originals, which only moderators and the screening process read."""
    return storages["quarantine"]


def released() -> Storage:
    """The store of derivatives, read only through the gate's join."""
    return storages["released"]


def digest(data: bytes) -> str:
    """The sha256 of `data`, in hexadecimal."""
    return sha256(data).hexdigest()


def write_once(storage: Storage, name: str, data: "bytes | File[bytes]") -> str:
    """Write `data` under `name` so that it is there whole or not at all; writing the same bytes again is harmless.

    A File is written piece by piece. Raises AlreadyWritten for other bytes under the same name, StoreFull when the
    disk has no room.
    """
    file = ContentFile(data) if isinstance(data, bytes) else data
    try:
        if isinstance(storage, FileSystemStorage):
            _write_local(Path(storage.path(name)), file.chunks())
        elif not storage.exists(name):
            storage.save(name, file)
    except FileExistsError as error:
        if read(storage, name) != b"".join(file.chunks()):
            raise AlreadyWritten(f"{name} exists already and holds other bytes.") from error
    except OSError as error:
        if error.errno in {28, 122}:  # ENOSPC, EDQUOT
            raise StoreFull(f"No room left to write {name}: {error.strerror}.") from error
        raise
    return name


def _write_local(path: Path, pieces: Iterable[bytes]) -> None:
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        failpoint("files.before_rename")
        # A hard link, unlike a rename, refuses to replace a file that is there.
        os.link(temporary, path)
        failpoint("files.after_rename")
    finally:
        os.unlink(temporary)
        # Also when the file was there: whoever wrote it may have died before this. A name that the folder has not
        # kept is lost in a power cut, with the file that a row names.
        for folder in (path.parent, *(folder.parent for folder in made)):
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(storage: Storage, name: str) -> bytes:
    """Read a whole file. Raises StoreBroken, naming it, when it is missing, StoreAway when nobody can tell."""
    try:
        with storage.open(name, "rb") as file:
            return cast(bytes, file.read())
    except FileNotFoundError as error:
        raise StoreBroken(f"{name} cannot be read: {error.strerror or error}.") from error
    except OSError as error:
        raise StoreAway(f"{name} cannot be read now: {error.strerror or error}.") from error


def remove(storage: Storage, name: str) -> None:
    """Remove a file; one that is gone already is no error. Raises StoreAway when the store does not answer."""
    try:
        storage.delete(name)
    except OSError as error:
        raise StoreAway(f"{name} cannot be removed now: {error.strerror or error}.") from error


def remove_folder(storage: Storage, folder: str) -> None:
    """Remove everything below a folder, and it. Raises StoreAway."""
    for name in listing(storage, folder, files=True):
        remove(storage, f"{folder}/{name}")
    for name in listing(storage, folder, files=False):
        remove_folder(storage, f"{folder}/{name}")
    # A file system keeps empty folders; an object store has none.
    if isinstance(storage, FileSystemStorage):
        remove(storage, folder)


def listing(storage: Storage, folder: str, *, files: bool) -> list[str]:
    """The names of the files, or of the folders, right below a folder; none where there is no such folder."""
    try:
        folders, names = storage.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreAway(f"{folder} cannot be listed now: {error.strerror or error}.") from error
    return sorted(name for name in (names if files else folders) if name)


class NoStore(Storage):
    """The default store: there is none. Every file of ours goes to quarantine or to released."""

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        raise NotImplementedError("Name the store: quarantine or released.")

    def _save(self, name: str, content: "File[Any]") -> str:
        raise NotImplementedError("Name the store: quarantine or released.")
