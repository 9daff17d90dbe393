"""What goes into the engine and what comes out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from generation.engine.cards import ModelCard
from generation.engine.modes import Input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

# Told after each denoising step how many of how many are done; answers which keys are cancelled by now. What it
# raises stops the draw.
OnStep = Callable[[int, int], Collection[str]]

WhyNot = Literal["cancelled", "not_finite", "constant", "undecodable", "too_large", "no_input", "error"]


@dataclass(frozen=True)
class DrawItem:
    """One medium to draw. Width and height in pixels, as drawn; the seed alone decides the noise.

    picture, mask, control and last are RGB pictures of that size (mask: L, white where to draw anew); film is a
    sequence of such frames. Which of them there are is told by the mode. strength is 0 (as it went in) to 1 (not
    looked at); modes without one have None. frames and fps are of a film; a picture has one frame.
    """

    key: str
    prompt: str
    negative_prompt: str
    seed: int
    width: int
    height: int
    steps: int
    guidance_scale: float
    mode: str = "text_to_image"
    strength: float | None = None
    frames: int = 1
    fps: int = 0
    picture: "Image | None" = field(default=None, compare=False)
    mask: "Image | None" = field(default=None, compare=False)
    control: "Image | None" = field(default=None, compare=False)
    last: "Image | None" = field(default=None, compare=False)
    film: "Sequence[Image]" = field(default=(), compare=False)

    @property
    def batch(self) -> tuple[object, ...]:
        """What items must agree in to be drawn together."""
        return (
            self.mode, self.width, self.height, self.steps, self.guidance_scale, self.strength, self.frames, self.fps
        )  # fmt: skip

    def given(self) -> frozenset[Input]:
        """Which inputs it has."""
        has: dict[Input, object] = {
            "picture": self.picture,
            "mask": self.mask,
            "control": self.control,
            "last": self.last,
            "film": self.film or None,
        }
        return frozenset(name for name, value in has.items() if value is not None)


@dataclass(frozen=True)
class Drawn:
    """A medium as decoded: frames x height x width x 3 bytes, RGB. A picture is one frame, and its fps is 0."""

    key: str
    pixels: "NDArray[np.uint8]" = field(repr=False, compare=False)
    fps: int = 0

    @property
    def frames(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])


@dataclass(frozen=True)
class NotDrawn:
    """No medium, and why. Its neighbours in the batch are not touched by it."""

    key: str
    reason: WhyNot
    detail: str = ""


class Engine(Protocol):
    """Holds pipelines and draws batches. One call at a time: a pipeline is not thread-safe."""

    @property
    def loaded(self) -> str | None:
        """The name of the card that was drawn with last and is in memory, None before the first."""

    def warm(self, card: ModelCard) -> None:
        """Load a card's weights. Raises WeightsError."""

    def draw(self, card: ModelCard, items: Sequence[DrawItem], *, on_step: OnStep) -> list[Drawn | NotDrawn]:
        """Draw items that agree in mode, size, steps and scales; one result for each, in their order.

        When every item is cancelled, drawing stops within one step and all come back not drawn. Raises
        WeightsError when the pipeline cannot be loaded, ValueError when the items do not agree or lack what the mode
        needs, EngineBroken when this process can draw no more.
        """
