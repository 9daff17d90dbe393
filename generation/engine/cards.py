"""Model cards: what the catalogue says of each model. `catalogue` reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path, PurePosixPath
from typing import Generic, Literal, TypeVar

from generation.engine.modes import Mode

# Where the weights stay that are not being computed with.
Offload = Literal["none", "model", "sequential"]

Size = tuple[int, int]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Span(Generic[Number]):
    """What a number may be, and is when nobody says."""

    default: Number
    least: Number
    most: Number


@dataclass(frozen=True)
class Price:
    """Credits for one medium: so many for each megapixel-step and each second of film, and never less than `minimum`.

    A megapixel-step is one denoising step over a million pixels as drawn; a film has as many as its frames together.
    """

    minimum: int
    per_megapixel_step: Decimal
    per_second: Decimal

    def credits(self, size: Size, steps: int, *, frames: int = 1, fps: int = 0) -> int:
        """What one medium costs. Rounded up: a part of a credit is not sold."""
        work = Decimal(size[0] * size[1]) / 1_000_000 * steps * frames * self.per_megapixel_step
        length = Decimal(frames) / fps * self.per_second if fps else Decimal(0)
        return max(self.minimum, int((work + length).to_integral_value(ROUND_CEILING)))


@dataclass(frozen=True)
class ModeCard:
    """How a card does one mode.

    sizes maps what is released to what is drawn, (width, height) in pixels; the difference is made by a plain resize.
    parts are folders below the card's that take the place of the pipeline's own, or are added to it; lora is one with
    a low-rank change of the U-Net (Hu et al., 2021) that is of this mode alone, "" for none. frames are the lengths of
    film that can be drawn, the default first; fps is frames a second. palette names what each colour of a painted map
    means, as (red, green, blue).
    """

    mode: Mode
    pipeline: str
    parts: Mapping[str, str]
    lora: str
    sizes: Mapping[Size, Size]
    steps: Span[int]
    guidance_scale: Span[float]
    strength: Span[float] | None
    frames: tuple[int, ...]
    fps: int
    max_batch: int
    n_max: int
    price: Price
    palette: Mapping[str, tuple[int, int, int]]

    @property
    def release_sizes(self) -> tuple[Size, ...]:
        """The sizes that can be asked for, the default first."""
        return tuple(self.sizes)

    def native_size(self, released: Size) -> Size:
        """At which size a medium is drawn that is released at `released`. Raises KeyError for one not offered."""
        return self.sizes[released]


@dataclass(frozen=True)
class Source:
    """Where files of a card come from: a repository of a model hub at one commit, put into a folder of the card's.

    An empty revision is not pinned yet; such a card is not fetched. `only` is the one folder of it that is wanted. A
    variant is a set of files that a repository names so (`fp16`).
    """

    repository: str
    revision: str
    into: str
    only: str
    variant: str


@dataclass(frozen=True)
class Tuning:
    """How a pipeline is prepared for speed, or to fit. Nothing of it changes what is drawn beyond rounding, but for
    the tiny decoder: a folder below the card's with an AutoencoderTiny."""

    compile: bool
    channels_last: bool
    offload: Offload
    tiny_decoder: str


@dataclass(frozen=True)
class ModelCard:
    """One entry of the catalogue. memory_gb is what its weights and one batch need on a GPU, in `dtype`.

    is_photographic: what it draws can hold an invisible watermark, and leaves the house with one. False for flat
    drawings, which cannot.
    """

    name: str
    title: str
    description: str
    folder: Path
    sources: tuple[Source, ...]
    modes: Mapping[str, ModeCard]
    licence: str
    commercial_ok: bool
    use_limits: str
    is_photographic: bool
    dtype: str
    memory_gb: float
    tuning: Tuning
    sums_sha256: str

    def variant(self, part: str) -> str | None:
        """Which variant of the weights lies in a folder below the card's; "." is the card's own. None: the plain."""
        for source in self.sources:
            if part in (source.into, str(PurePosixPath(source.into) / source.only)):
                return source.variant or None
        return None

    @property
    def is_fake(self) -> bool:
        """Without weights: drawn by the engine that is shipped for tests."""
        return all(each.pipeline == "fake" for each in self.modes.values())

    @property
    def first(self) -> ModeCard:
        """The mode that the card names first: what it does when nobody says."""
        return next(iter(self.modes.values()))
