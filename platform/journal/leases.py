"""Keep a lease while long work goes on in this process."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)


@contextmanager
def renewing(
    renew: Callable[[], object],
    *,
    what: str,
    moved: Callable[[], float],
    on_hang: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Call `renew` in the background, three times in LEASE_SECONDS: one step of the work may take longer than a lease.

    But not for ever: when `moved`, the time of the last step by the monotonic clock, lies MOST_STEP_SECONDS back, the
    work is taken for hung. The lease is left to end, and `on_hang` is called.
    """
    stop = threading.Event()

    def beat() -> None:
        try:
            while not stop.wait(settings.LEASE_SECONDS / 3):
                if time.monotonic() - moved() > settings.MOST_STEP_SECONDS:
                    log.critical("%s has not moved for %g s", what, settings.MOST_STEP_SECONDS)
                    on_hang()
                    return
                try:
                    renew()
                except Exception:
                    log.exception("the lease of %s could not be renewed; trying again", what)
                    connection.close()
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
