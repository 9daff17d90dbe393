"""Start a program that cannot outlive us."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

TETHER = Path(__file__).with_name("tether.py")


def start(
    command: Sequence[str | Path],
    *,
    on_death: signal.Signals,
    uid: int | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: int | IO[bytes] | None = None,
    with_errors: bool = True,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command`, which gets `on_death` when the calling thread ends, however it ends.

    Call it from a thread that lives as long as the program should, best the main one. The program has a
    session of its own: a Ctrl-C at the terminal reaches us alone, and we decide who ends in which order.
    """
    return subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(TETHER)),
            *(str(int(on_death)), str(os.getpid()), str(os.geteuid() if uid is None else uid)),
            *map(str, command),
        ],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None and with_errors else None,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], number: signal.Signals, *, patience: float) -> int:
    """Ask `process` to end by signal `number`, kill it after `patience` seconds, return its status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
