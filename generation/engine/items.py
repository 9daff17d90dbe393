"""What goes into the engine and what comes out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from generation.engine.cards import ModelCard

# Told after each denoising step how many of how many are done; answers which keys are cancelled by now. What it
# raises stops the draw.
OnStep = Callable[[int, int], Collection[str]]

WhyNot = Literal["cancelled", "not_finite", "constant", "undecodable", "error"]


@dataclass(frozen=True)
class DrawItem:
    """One picture to draw. Width and height in pixels, as drawn; the seed alone decides the noise."""

    key: str
    prompt: str
    negative_prompt: str
    seed: int
    width: int
    height: int
    steps: int
    guidance_scale: float


@dataclass(frozen=True)
class Drawn:
    """A picture: PNG bytes of an RGB picture without metadata."""

    key: str
    png: bytes
    width: int
    height: int


@dataclass(frozen=True)
class NotDrawn:
    """No picture, and why. Its neighbours in the batch are not touched by it."""

    key: str
    reason: WhyNot
    detail: str = ""


class Engine(Protocol):
    """Holds pipelines and draws batches. One call at a time: a pipeline is not thread-safe."""

    @property
    def loaded(self) -> str | None:
        """The name of the card whose pipeline is in memory, None before the first."""

    def warm(self, card: ModelCard) -> None:
        """Load a card's pipeline. Raises WeightsError."""

    def draw(self, card: ModelCard, items: Sequence[DrawItem], *, on_step: OnStep) -> list[Drawn | NotDrawn]:
        """Draw items that agree in size, steps and guidance scale; one result for each, in their order.

        When every item is cancelled, drawing stops within one step and all come back not drawn. Raises
        WeightsError when the pipeline cannot be loaded, ValueError when the items do not agree.
        """
