"""The wake-up for drawing. It carries no id: what to draw is claimed in the database."""

from functools import lru_cache

from celery import shared_task
from django.conf import settings

from generation import turns
from generation.actions.drawing import draw as draw_batch
from generation.engine import Engine
from generation.engine.fake import FakeEngine
from generation.offer import cards, default_card
from journal.beats import process_name

AFFINITY = turns.Affinity()


@lru_cache
def engine() -> Engine:
    """The engine of this process, made when first needed: CUDA does not survive a fork."""
    if settings.ENGINE == "fake":
        return FakeEngine()
    from generation.engine.diffusion import DiffusersEngine

    return DiffusersEngine(threads=settings.DRAW_THREADS or None)


def draw_waiting(engine: Engine, *, worker: str) -> int:
    """Draw until nobody waits. Returns how many batches were drawn."""
    drawn = 0
    sizes = {name: card.max_batch for name, card in cards().items()}
    while batch := turns.claim(worker=worker, affinity=AFFINITY, batch_sizes=sizes):
        draw_batch(batch, engine)
        drawn += 1
    return drawn


@shared_task(name="generation.draw", acks_late=True)  # type: ignore[untyped-decorator]
def draw() -> None:
    """Draw whatever waits. Safe to deliver twice or never."""
    draw_waiting(engine(), worker=process_name("draw"))


def warm_up() -> str:
    """Load the default model before the first job asks for it. Returns its name."""
    card = default_card()
    engine().warm(card)
    return card.name
