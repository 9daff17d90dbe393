"""Long-lived processes say that they are at work."""

import logging
import os
import socket
import threading

from django.db import connection
from django.utils import timezone

from journal.models import ProcessBeat

log = logging.getLogger(__name__)


def process_name(kind: str) -> str:
    """This process, in words an operator can find: kind, host and process number."""
    return f"{kind}@{socket.gethostname()}:{os.getpid()}"[:128]


def beat_in_background(kind: str, *, note: str = "") -> threading.Event:
    """Say every few seconds, from a thread, that this process is at work, until the returned event is set."""
    stop = threading.Event()
    name = process_name(kind)

    def beat() -> None:
        while True:
            try:
                ProcessBeat.beat(name, kind, note)
            except Exception as error:
                # The database is away: the beat goes stale, which is the truth.
                log.warning("%s could not say that it is at work: %s", name, error)
            finally:
                connection.close()
            if stop.wait(ProcessBeat.STALE.total_seconds() / 3):
                return

    threading.Thread(target=beat, name="beat", daemon=True).start()
    return stop


def forget_dead() -> int:
    """Delete what processes said that have been silent for a day. Returns how many there were."""
    return ProcessBeat.objects.filter(beat_at__lt=timezone.now() - ProcessBeat.KEPT).delete()[0]
