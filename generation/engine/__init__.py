"""Pipelines in memory, batches drawn. It knows torch and nothing of Django; importing it loads no torch.

The engines themselves are imported by those who draw: generation.engine.fake, generation.engine.diffusion.
"""

from generation.engine.cards import ModeCard, ModelCard
from generation.engine.catalogue import load_card, load_catalogue
from generation.engine.errors import (
    CardError,
    ChangedWeights,
    EngineBroken,
    MissingWeights,
    UnsafeWeights,
    WeightsError,
)
from generation.engine.fetching import CannotFetch
from generation.engine.folder import verify
from generation.engine.items import DrawItem, Drawn, Engine, NotDrawn
from generation.engine.modes import MODES, Mode

__all__ = [
    "MODES",
    "CannotFetch",
    "CardError",
    "ChangedWeights",
    "DrawItem",
    "Drawn",
    "Engine",
    "EngineBroken",
    "MissingWeights",
    "Mode",
    "ModeCard",
    "ModelCard",
    "NotDrawn",
    "UnsafeWeights",
    "WeightsError",
    "load_card",
    "load_catalogue",
    "verify",
]
