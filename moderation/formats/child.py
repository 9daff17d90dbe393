"""The limited process that alone opens an original upload: `python -m moderation.formats.child KIND FOLDER`.

Reads FOLDER/upload; leaves pixels (picture.png, alpha.png or film.mp4) and record.json there, or refused.json with a
sentence. Of a kind `any` it leaves record.json, what can be told of where the file came from, and look.png, a picture
made small, for the watermark to be read in. It limits itself before it reads a byte: memory, time and file sizes by
setrlimit, no new privileges, and no network where the kernel lets it have none.
"""

import ctypes
import hashlib
import json
import os
import resource
import signal
import sys
from pathlib import Path

from moderation.formats import limits, opening, tracing

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
# How content credentials (C2PA, JUMBF boxes) begin, wherever a format keeps them.
CREDENTIALS = b"jumdc2pa"


def confine() -> None:
    """Give up what a decoder has no need of. Called before anything is opened."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # refused in most containers, which is no reason to stop
    for what, most in (
        (resource.RLIMIT_AS, limits.MEMORY_BYTES),
        (resource.RLIMIT_CPU, limits.CPU_SECONDS),
        (resource.RLIMIT_FSIZE, limits.FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    confine()
    path = folder / "upload"
    if kind == "any":
        (folder / "record.json").write_text(json.dumps(tracing.trace(path, folder)), encoding="utf-8")
        return
    try:
        found = opening.decode_picture(path, folder) if kind == "picture" else opening.decode_film(path, folder)
    except opening.Refused as refused:
        (folder / "refused.json").write_text(json.dumps({"sentence": str(refused)}), encoding="utf-8")
        return
    digest, credentials, end = hashlib.sha256(), False, b""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
            credentials = credentials or CREDENTIALS in end + piece
            end = piece[-len(CREDENTIALS) :]
    found |= {"sha256": digest.hexdigest(), "bytes": os.path.getsize(path), "has_credentials": credentials}
    if credentials:
        found["source"] = tracing.credentials_of(path.read_bytes()).source
    (folder / "record.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
