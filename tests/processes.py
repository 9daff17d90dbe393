"""The real processes of Vaglio, on loopback, with the fake engine and classifiers unless told otherwise."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

from local import tethered
from local.demo import programs
from local.valkey import EmbeddedValkey
from tests.path import until

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("relay", "sweep", "till", "draw", "screen")


class Platform:
    """Web, relay, sweeper, drawing worker, screening worker and broker; each can be killed and started again."""

    def __init__(self, folder: Path, database: Mapping[str, str], **env: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.valkey = EmbeddedValkey(folder / "valkey")
        self.valkey.start()
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.env = {
            **os.environ,
            **database,
            "BROKER_URL": self.valkey.url,
            "BASE_URL": self.address,
            "ALLOWED_HOSTS": "127.0.0.1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
            "PYTHONWARNINGS": "default",
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            **env,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, **env: str) -> None:
        """Start programs by name; all when none is named. `env` is for these alone."""
        for program in programs(self.env, self.listening.fileno()):
            if names and program.name not in names:
                continue
            with (self.folder / f"{program.name}.log").open("ab") as log:
                self.running[program.name] = tethered.start(
                    program.command,
                    on_death=SIGKILL,
                    cwd=ROOT,
                    env=self.env | env,
                    output=log,
                    pass_fds=program.pass_fds,
                )

    def kill(self, name: str, number: Signals = SIGKILL) -> None:
        """Kill a program, its children with it, and wait until it is gone; one that died by itself is gone already."""
        process = self.running.pop(name)
        if number == SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(20)

    def kill_broker(self) -> None:
        """Kill the broker and wait until it is gone, with every message in it."""
        pid = self.valkey.pid
        assert pid is not None
        os.kill(pid, SIGKILL)
        until(lambda: not self.valkey.is_running, what="the broker's end")

    def died(self, name: str) -> bool:
        """Whether a program ended by itself."""
        return self.running[name].poll() is not None

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name)
        self.valkey.stop()
        self.listening.close()

    def get(self, path: str) -> tuple[int, bytes]:
        """One plain GET, without keys or cookies."""
        connection = http.client.HTTPConnection("127.0.0.1", self.listening.getsockname()[1], timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def await_ready(self, *, seconds: float = 90) -> None:
        """Wait until every kind of process says that it is at work."""

        def ready() -> bool:
            ended = [name for name in self.running if self.died(name)]
            if ended:
                raise AssertionError(f"{ended[0]} ended: {self.log(ended[0])[-3000:]}")
            return self.get("/health/ready")[0] == 200

        until(ready, seconds=seconds, what=f"readiness ({self.logs()})")

    def await_web(self, *, seconds: float = 60) -> None:
        """Wait until the web process answers, where the others were not started."""

        def answers() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/health/live")[0] == 200
            return False

        until(answers, seconds=seconds, what=f"the web process ({self.log('web')[-1500:]})")

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        """The end of each log, for a failing test."""
        return "\n".join(f"--- {name}\n{self.log(name)[-1500:]}" for name in (*KINDS, "web"))

    def __enter__(self) -> "Platform":
        try:
            self.start()
            self.await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def wait_for(condition: Any, *, seconds: float = 60.0) -> float:
    """Wait until it is so; returns how long it took."""
    began = time.monotonic()
    until(condition, seconds=seconds)
    return time.monotonic() - began


__all__ = ["SIGKILL", "SIGTERM", "Platform", "wait_for"]
