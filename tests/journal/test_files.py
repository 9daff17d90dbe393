"""A file is there whole or not at all, and is still there after a power cut."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage

from journal import files


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """The folders that were brought to the disk, in order, by the real call."""
    seen: list[Path] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path.is_dir():
            seen.append(path)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    return lambda: [seen.pop(0) for _ in list(seen)]


def test_the_name_of_a_file_is_on_the_disk_before_any_row_can_name_it(
    tmp_path: Path, synced: Callable[[], list[Path]]
) -> None:
    store = FileSystemStorage(tmp_path)
    files.write_once(store, "a/b/picture.png", b"bytes")
    assert synced() == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    files.write_once(store, "a/b/other.png", b"bytes")
    assert synced() == [tmp_path / "a" / "b"]


def test_a_file_whose_writer_died_before_that_is_made_sure_of_by_the_next(
    tmp_path: Path, synced: Callable[[], list[Path]]
) -> None:
    store = FileSystemStorage(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"bytes")
    files.write_once(store, "picture.png", b"bytes")
    assert synced() == [tmp_path]
    with pytest.raises(files.AlreadyWritten):
        files.write_once(store, "picture.png", b"others")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "picture.png"]
