"""What can be known to be wrong before anything is started."""

import errno
import fcntl
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import IO

# The cluster takes 50 MB, its write-ahead log grows to 1 GB at most; pictures come on top.
LEAST_FREE = 1 << 30

USUAL_PORTS = range(8000, 8100)


class Unable(Exception):
    """The demo cannot run here; the message is one sentence for whoever typed the command."""


def check_python() -> None:
    """Raise Unable on a Python that is too old or too new."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Unable(f"Vaglio needs Python 3.11, 3.12 or 3.13, and this is {sys.version.split()[0]}.")


def check_space(folder: Path) -> None:
    """Raise Unable when the disk under `folder` is nearly full."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise Unable(
            f"Vaglio needs {LEAST_FREE >> 20} MB of free space in {folder}, and there are {free >> 20} MB: "
            "free some and start again."
        )


def lock(folder: Path) -> IO[str]:
    """Take the folder for this process until it ends, however it ends.

    Raises Unable when another one has it. The caller writes the address into the file for that other's sake.
    """
    file = open(folder / "running", "a+", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        told = file.read().strip() or "it is still starting"
        raise Unable(f"The demo of this checkout runs already ({told}): stop that one first.") from None
    file.truncate(0)
    return file


def open_port(wish: str | None) -> socket.socket:
    """Listen on port `wish` of the loopback, or on the first free one from 8000 on if it is None.

    Raises Unable when the wished one is taken or none.
    """
    if wish is None:
        for port in USUAL_PORTS:
            if listener := _listen(port):
                return listener
        raise Unable(f"No port from {USUAL_PORTS[0]} to {USUAL_PORTS[-1]} is free: name one by VAGLIO_PORT.")
    if not wish.isdecimal() or not 0 < int(wish) < 65536:
        raise Unable(f"VAGLIO_PORT must be a port number from 1 to 65535, not {wish!r}.")
    if listener := _listen(int(wish)):
        return listener
    raise Unable(f"Port {wish} is in use: choose another by VAGLIO_PORT, or leave it unset for a free one.")


def open_port_again(before: str) -> socket.socket:
    """Listen on the port of the last time, so that addresses that were handed out stay good; or on any free one."""
    if before.isdecimal() and 1023 < int(before) < 65536 and (listener := _listen(int(before))):
        return listener
    return socket.create_server(("127.0.0.1", 0), backlog=512)


def _listen(port: int) -> socket.socket | None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        if error.errno == errno.EACCES:
            raise Unable(f"Port {port} may not be opened by {_me()}: choose one above 1023.") from error
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return listener


def _me() -> str:
    return os.environ.get("USER") or f"user {os.getuid()}"
