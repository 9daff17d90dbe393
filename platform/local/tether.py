"""Become another program that dies with its parent: `python -I -S tether.py SIGNAL PARENT UID COMMAND...`.

The kernel sends SIGNAL to the program when the thread that started it ends, be it by `kill -9`: nothing
has to be tidied up by anyone. The wish is lost when the user changes, so it is made after that, here,
between fork and exec, and not by a `preexec_fn`, which may hang a parent that has threads.

Stands on the standard library alone and imports nothing of ours: it starts in 15 ms, as whoever calls.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int, parent: int) -> None:
    """Ask the kernel for signal `number` when the parent ends; end at once if it has ended already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent:
        sys.exit(1)


def main(arguments: list[str]) -> None:
    """Drop to UID when it is not our own, tie the rope, and become COMMAND."""
    number, parent, uid, command = int(arguments[0]), int(arguments[1]), int(arguments[2]), arguments[3:]
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    # Python ignores these two, and an ignored signal stays ignored after exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    die_with_parent(number, parent)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
