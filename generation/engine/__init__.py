"""Pipelines in memory, batches drawn. It knows torch and nothing of Django; importing it loads no torch.

The engines themselves are imported by those who draw: generation.engine.fake, generation.engine.diffusion.
"""

from generation.engine.cards import ModelCard, load_card, load_catalogue, verify
from generation.engine.errors import (
    CardError,
    ChangedWeights,
    EngineBroken,
    MissingWeights,
    UnsafeWeights,
    WeightsError,
)
from generation.engine.items import DrawItem, Drawn, Engine, NotDrawn

__all__ = [
    "CardError",
    "ChangedWeights",
    "DrawItem",
    "Drawn",
    "Engine",
    "EngineBroken",
    "MissingWeights",
    "ModelCard",
    "NotDrawn",
    "UnsafeWeights",
    "WeightsError",
    "load_card",
    "load_catalogue",
    "verify",
]
