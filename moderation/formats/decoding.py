"""Having an upload decoded by a limited process. The web process itself opens none."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from moderation.formats import limits

log = logging.getLogger(__name__)

Kind = Literal["picture", "film"]
ROOT = Path(__file__).resolve().parent.parent.parent


class BadUpload(Exception):
    """An upload that is not taken. The message says why, for the person."""


@dataclass(frozen=True)
class Decoded:
    """What is left of an upload: pixels, encoded anew without loss, and what is known of the file.

    pixels is a PNG (RGB) or an MP4; alpha a PNG (L), where a picture was not opaque all over. The record has sha256,
    bytes, format, width, height, decoded_width, decoded_height, camera, has_credentials, is_flat; a film's frames, fps
    and seconds besides; and where there are credentials, source, the digital source type that they name.
    """

    pixels: bytes
    alpha: bytes | None
    record: dict[str, Any]


@dataclass(frozen=True)
class Traced:
    """What can be told of a file, see tracing.trace; of a picture besides a look at it, a PNG (RGB) of at most
    LOOK_PIXELS, None of all else."""

    told: dict[str, Any]
    look: bytes | None


def decode(chunks: Iterable[bytes], kind: Kind) -> Decoded:
    """Decode an upload that comes in chunks. Raises BadUpload.

    The file lies in a folder of its own, which is gone before this returns, whatever happened.
    """
    with tempfile.TemporaryDirectory(prefix="vaglio-upload-") as name:
        folder = Path(name)
        _keep(chunks, folder / "upload", limits.MOST_BYTES[kind])
        _run(kind, folder)
        if (folder / "refused.json").is_file():
            raise BadUpload(json.loads((folder / "refused.json").read_text(encoding="utf-8"))["sentence"])
        pixels = folder / ("picture.png" if kind == "picture" else "film.mp4")
        if not (folder / "record.json").is_file() or not pixels.is_file():
            raise BadUpload("The file could not be decoded with the means that a decoder has. Bring a simpler one.")
        alpha = folder / "alpha.png"
        return Decoded(
            pixels.read_bytes(),
            alpha.read_bytes() if alpha.is_file() else None,
            json.loads((folder / "record.json").read_text(encoding="utf-8")),
        )


def trace(data: bytes, anchors: bytes) -> Traced:
    """What can be told of any file at all, by the limited process. Raises BadUpload where even that cannot be had: it
    is too large, or took more than a decoder has."""
    with tempfile.TemporaryDirectory(prefix="vaglio-upload-") as name:
        folder = Path(name)
        _keep([data], folder / "upload", max(limits.MOST_BYTES.values()))
        (folder / "anchors.pem").write_bytes(anchors)
        _run("any", folder)
        if not (folder / "record.json").is_file():
            raise BadUpload("The file could not be read with the means that a decoder has.")
        look = folder / "look.png"
        told: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        return Traced(told, look.read_bytes() if look.is_file() else None)


def _keep(chunks: Iterable[bytes], path: Path, most: int) -> None:
    size = 0
    with path.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise BadUpload(f"The file is larger than {most // 1_000_000} MB. Bring a smaller one.")
            file.write(chunk)
    if not size:
        raise BadUpload("The file is empty.")


def _run(kind: Kind | Literal["any"], folder: Path) -> None:
    """Run the decoder to its end, or to ours. What it says of itself goes to the log, without the file's words."""
    # On a search path of two folders and with no other word of ours: it is to know nothing worth having.
    known = {"PATH": os.environ.get("PATH", ""), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "moderation.formats.child", kind, str(folder)],
            cwd=folder,
            env=known,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=limits.WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"Decoding the file took more than {limits.WALL_SECONDS} seconds. Bring a simpler one."
        raise BadUpload(what) from None
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        log.warning("a decoder ended with %d: %s", done.returncode, last[0].partition(":")[0] if last else "no word")
        for path in folder.iterdir():
            if path.name != "upload" and path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
