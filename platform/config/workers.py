"""What a Celery worker does before its first task: load, arm, and say that it is at work."""

import logging
import os
from typing import Any

from celery.signals import celeryd_init, setup_logging, worker_process_init

log = logging.getLogger("worker")

# Handed to the pool's children, which do not see the command line.
QUEUES = "VAGLIO_QUEUES"


@setup_logging.connect  # type: ignore[untyped-decorator]
def keep_logging(**_: Any) -> None:
    """Leave LOGGING as Django set it up: Celery would let every library speak as loudly as we do."""


@celeryd_init.connect  # type: ignore[untyped-decorator]
def remember_queues(sender: str, options: dict[str, Any], **_: Any) -> None:
    """Keep what -Q asked for."""
    queues = options.get("queues") or []
    os.environ[QUEUES] = queues if isinstance(queues, str) else ",".join(queues)


def serves(queue: str) -> bool:
    """Whether this worker was started for `queue`."""
    return queue in os.environ.get(QUEUES, "").split(",")


@worker_process_init.connect  # type: ignore[untyped-decorator]
def load_pipelines(**_: Any) -> None:
    """Load the default model in the process that will draw, before the first job asks for it."""
    if not serves("draw"):
        return
    from generation.tasks import warm_up
    from journal.beats import beat_in_background

    beat_in_background("draw", note=warm_up())
