"""Named places where a test may kill the process, to prove that nothing is lost there."""

import os
import signal


def failpoint(name: str) -> None:
    """Die by SIGKILL here if VAGLIO_FAILPOINT names this place; otherwise cost one dictionary look-up.

    `VAGLIO_FAILPOINT=draw.claim.after_commit:3` dies at the third passage.
    """
    wanted = os.environ.get("VAGLIO_FAILPOINT")
    if not wanted:
        return
    place, _, times = wanted.partition(":")
    if place != name:
        return
    left = int(times or 1) - 1
    if left > 0:
        os.environ["VAGLIO_FAILPOINT"] = f"{place}:{left}"
        return
    os.kill(os.getpid(), signal.SIGKILL)
