"""Load every classifier before the first case: a screening worker that is not armed does not start."""

import sys
from functools import lru_cache

from celery import bootsteps
from django.conf import settings

from journal.beats import beat_in_background
from moderation import refusals, registry
from moderation.classifiers.armoury import Armoury
from moderation.policy import PolicyError
from moderation.rules import policies
from moderation.signals import Unarmed

QUEUE = "screen"


def load_armoury() -> Armoury:
    """Load every classifier that the policies require. Raises Unarmed, naming what is missing."""
    return Armoury.load(
        settings.CLASSIFIERS,
        weights=settings.WEIGHTS,
        policies=policies(),
        clips=settings.CLIPS,
        protected=registry.descriptors,
        refused=refusals.of,
    )


@lru_cache
def armoury() -> Armoury:
    """The classifiers of this process, loaded once."""
    return load_armoury()


class Arming(bootsteps.StartStopStep):  # type: ignore[misc]
    """Worker step: load the classifiers, say that we are at work, or stop the worker with one sentence."""

    requires = ("celery.worker.components:Pool",)

    def include_if(self, worker: object) -> bool:
        """Only for workers that were started with -Q screen."""
        return QUEUE in worker.app.amqp.queues.consume_from  # type: ignore[attr-defined]

    def start(self, worker: object) -> None:
        """Exits with 1 when a classifier or a means to mark is missing, or a policy is written wrongly: nothing is
        cleared by accident, and nothing leaves unmarked."""
        # Drawing workers look this module up too, and have none of the packages for it.
        from moderation import derivative
        from moderation.provenance.authority import KeysUnusable
        from moderation.provenance.watermark import WatermarkUnusable
        from moderation.screening.marks import signer, watermark
        from moderation.sealing import SealingKeysUnusable

        try:
            armed = armoury()
            signer()
            registry.ring()
            watermark()
        except (Unarmed, PolicyError, KeysUnusable, SealingKeysUnusable, WatermarkUnusable) as error:
            print(f"The screening worker does not start: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from error
        derivative.warm_up()
        beat_in_background("screen", note=str(armed)[:200])
