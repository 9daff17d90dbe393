"""The wake-up for drawing. It carries no id: what to draw is claimed in the database."""

import logging
import os
import signal
import time
from collections.abc import Callable
from functools import lru_cache

from celery import shared_task
from django.conf import settings

from generation import sweep, turns
from generation.actions.drawing import draw as draw_batch
from generation.engine import Engine, EngineBroken, WeightsError
from generation.engine.fake import FakeEngine
from generation.offer import cards, default_card
from journal.beats import process_name

log = logging.getLogger(__name__)

AFFINITY = turns.Affinity()
# So many batches in a row that fail say more about this process than about them.
MOST_FAILURES = 2


@lru_cache
def engine() -> Engine:
    """The engine of this process, made when first needed: CUDA does not survive a fork."""
    if settings.ENGINE == "fake":
        return FakeEngine()
    from generation.engine.diffusion import DiffusersEngine

    return DiffusersEngine(threads=settings.DRAW_THREADS or None, memory_gb=settings.DRAW_MEMORY_GB or None)


def draw_waiting(engine: Engine, *, worker: str, on_hang: Callable[[], None] = lambda: None) -> int:
    """Draw until nobody waits, or until the shift is over; then ask to be woken again. Returns how many batches.

    Raises WeightsError, before anything is claimed, when it can load no model, and EngineBroken when all that it
    draws fails: a worker that fails at everything is the fastest of all, and would go through the whole line.
    """
    drawn = failed = 0
    end = time.monotonic() + settings.SHIFT_SECONDS
    sizes = _loadable(engine)
    while batch := turns.claim(worker=worker, affinity=AFFINITY, batch_sizes=sizes):
        try:
            failed = 0 if draw_batch(batch, engine, on_hang=on_hang) else failed + 1
        except WeightsError:
            del sizes[batch.model]
        drawn += 1
        if failed >= MOST_FAILURES:
            raise EngineBroken(f"{failed} batches in a row failed in this process; it draws no more")
        if time.monotonic() >= end:
            sweep.wake_if_waiting()
            break
    return drawn


def _loadable(engine: Engine) -> dict[str, int]:
    """How many media each model draws at once, for those that this process can draw with: none is taken on trust."""
    sizes = {name: max(way.max_batch for way in card.modes.values()) for name, card in cards().items()}
    if engine.loaded is None:
        try:
            engine.warm(default_card())
        except WeightsError:
            if len(sizes) == 1:
                raise
            log.exception("this worker does without %s", default_card().name)
            del sizes[default_card().name]
    return sizes


def end_process() -> None:
    """Leave at once; the pool starts a fresh process with an engine of its own.

    An error of the GPU stays for the life of a process, and a call that hangs never returns to be told.
    """
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="generation.draw", acks_late=True)  # type: ignore[untyped-decorator]
def draw() -> None:
    """Draw whatever waits. Safe to deliver twice or never."""
    try:
        draw_waiting(engine(), worker=process_name("draw"), on_hang=end_process)
    except EngineBroken:
        log.critical("a fresh process takes over", exc_info=True)
        end_process()


def warm_up() -> str:
    """Load the default model before the first job asks for it. Returns its name."""
    card = default_card()
    engine().warm(card)
    return card.name
