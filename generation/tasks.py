"""The wake-up for drawing. It carries no id: what to draw is claimed in the database."""

import logging
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Self

from celery import shared_task
from django.conf import settings
from django.db import connections

from generation import sweep, turns
from generation.actions.drawing import begin
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


def draw_waiting(
    engine: Engine, *, worker: str, on_hang: Callable[[], None] = lambda: None, overlap: bool = False
) -> int:
    """Draw until nobody waits, or until the shift is over; then ask to be woken again. Returns how many batches.

    With `overlap` the next batch is drawn while the files of the last are made and kept, in a thread: a GPU does not
    wait for a disk. One batch of pixels at the most is behind.

    Raises WeightsError, before anything is claimed, when it can load no model, and EngineBroken when all that it
    draws fails: a worker that fails at everything is the fastest of all, and would go through the whole line.
    """
    drawn = 0
    end = time.monotonic() + settings.SHIFT_SECONDS
    sizes = _loadable(engine)
    with Keeping(overlap) as keeping:
        while batch := turns.claim(worker=worker, affinity=AFFINITY, batch_sizes=sizes):
            try:
                keeping.add(begin(batch, engine, on_hang=on_hang))
            except WeightsError:
                del sizes[batch.model]
            drawn += 1
            if time.monotonic() >= end:
                sweep.wake_if_waiting()
                break
    return drawn


class Keeping:
    """Keeps what batches drew, one after the other, here or in a thread; and counts how many failed in a row."""

    def __init__(self, overlap: bool) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="keep") if overlap else None
        self._last: Future[bool] | None = None
        self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._pool is None:
            return
        try:
            self._wait()
        finally:
            self._pool.submit(connections.close_all)
            self._pool.shutdown()

    def add(self, keep: Callable[[], bool] | None) -> None:
        """Have the rest of a batch's work done, when the one before is. Raises what that met, or EngineBroken.

        What was drawn is kept even then: its lease is held until it is.
        """
        if self._pool is None or keep is None:
            self._wait()
            self._count(keep is not None and keep())
            return
        try:
            self._wait()
        finally:
            self._last = self._pool.submit(keep)

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            self._count(last.result())

    def _count(self, is_well: bool) -> None:
        self._failed = 0 if is_well else self._failed + 1
        if self._failed >= MOST_FAILURES:
            raise EngineBroken(f"{self._failed} batches in a row failed in this process; it draws no more")


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
        draw_waiting(engine(), worker=process_name("draw"), on_hang=end_process, overlap=True)
    except EngineBroken:
        log.critical("a fresh process takes over", exc_info=True)
        end_process()


def warm_up() -> str:
    """Load the default model before the first job asks for it. Returns its name."""
    card = default_card()
    engine().warm(card)
    return card.name
