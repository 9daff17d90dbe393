"""Keeps the programs of the demo alive, and lets none outlive it."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from local import tethered
from local.voices import Voices

# A program that dies at once is started again after 0.5 s, 1 s, 2 s, ... and at most this.
LONGEST_PAUSE = 15.0

# Whoever lived this long has earned a quick restart.
STEADY = 30.0


class Server(Protocol):
    """A database or a broker that can be started again."""

    @property
    def is_running(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass
class Program:
    """One program, and what became of it."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    pass_fds: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    rest: bytes = field(default=b"")


class Supervisor:
    """Starts programs, passes on what they say, and starts again whatever ends.

    Everything happens in the thread that calls, which must be the main one: the programs die with it.
    """

    def __init__(self, folder: Path, voices: Voices) -> None:
        self.folder = folder
        self.voices = voices
        # Set by a signal while stopping: kill now.
        self.hurry = False
        self._servers: dict[str, Server] = {}
        self._programs: list[Program] = []
        self._pipes = selectors.DefaultSelector()

    @property
    def has_programs(self) -> bool:
        """Whether anything was started that is still to be kept."""
        return bool(self._programs)

    def keep_server(self, name: str, server: Server) -> None:
        """Start a server and start it again whenever it ends."""
        self._servers[name] = server
        server.start()

    def keep(self, program: Program) -> None:
        """Start a program and start it again whenever it ends."""
        self._programs.append(program)
        self._start(program)

    def run_once(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> int:
        """Run a program to its end, passing on what it says, and return its exit status."""
        program = Program(name, command, env)
        self._programs.append(program)
        self._start(program)
        assert program.process is not None
        while program.process.poll() is None:
            self._listen(0.1)
        self._listen(0)
        self._programs.remove(program)
        self._hang_up(program)
        return program.process.returncode

    def turn(self) -> None:
        """Listen for a moment, then start whatever has ended and waited long enough."""
        self._listen(0.2)
        for name, server in self._servers.items():
            if not server.is_running:
                self.voices.say("vaglio", f"{name} has ended; starting it again.")
                server.start()
        now = time.monotonic()
        for program in self._programs:
            if program.process is not None and (status := program.process.poll()) is not None:
                self._hang_up(program)
                program.process = None
                steady = now - program.started > STEADY
                program.pause = 0.5 if steady else min(max(program.pause * 2, 0.5), LONGEST_PAUSE)
                program.due = now + program.pause
                self.voices.say(
                    "vaglio", f"{program.name} {_ending(status)}; starting it again in {program.pause:g} s."
                )
            if program.process is None and now >= program.due:
                self._start(program)

    def stop(self, *, patience: float) -> None:
        """End all programs, then the servers. Programs that take longer than `patience` are killed."""
        deadline = time.monotonic() + patience
        for program in self._programs:
            if program.process is not None and program.process.poll() is None:
                program.process.send_signal(signal.SIGTERM)
        while any(p.process and p.process.poll() is None for p in self._programs):
            if self.hurry or time.monotonic() > deadline:
                break
            self._listen(0.1)
        for program in self._programs:
            if program.process is not None:
                # The group and not the process: what it started must not stay either.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.process.pid, signal.SIGKILL)
                program.process.wait()
                self._hang_up(program)
        self._programs.clear()
        for server in reversed(self._servers.values()):
            server.stop()
        self._servers.clear()

    def _start(self, program: Program) -> None:
        program.started = time.monotonic()
        program.process = tethered.start(
            program.command,
            on_death=signal.SIGKILL,
            cwd=self.folder,
            env=program.env,
            output=subprocess.PIPE,
            pass_fds=program.pass_fds,
        )
        assert program.process.stdout is not None
        os.set_blocking(program.process.stdout.fileno(), False)
        self._pipes.register(program.process.stdout, selectors.EVENT_READ, program)

    def _listen(self, seconds: float) -> None:
        """Wait up to `seconds` for something to be said, and pass on all of it."""
        if not self._pipes.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._pipes.select(seconds):
            program: Program = key.data
            said = os.read(key.fd, 65536)
            if not said:
                self._hang_up(program)
                continue
            *lines, program.rest = (program.rest + said).split(b"\n")
            for line in lines:
                self._say(program, line)

    def _say(self, program: Program, line: bytes) -> None:
        if text := line.decode("utf-8", "replace").rstrip():
            self.voices.say(program.name, text)

    def _hang_up(self, program: Program) -> None:
        """Read what is left and close the pipe. Safe to repeat."""
        assert program.process is not None
        assert program.process.stdout is not None
        pipe = program.process.stdout
        if pipe.closed:
            return
        self._pipes.unregister(pipe)
        for line in (program.rest + (pipe.read() or b"")).split(b"\n"):
            self._say(program, line)
        program.rest = b""
        pipe.close()


def _ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
