"""What a hold was for, told by whoever asked for it. The ledger itself knows no jobs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Explanation:
    """A cause in words. `picture_url` is None unless the picture may be shown to the wallet's owner."""

    sentence: str
    url: str
    picture_url: str | None = None


@dataclass(frozen=True)
class Outline:
    """A cause as the house may know it: no prompt, no picture. `matter` is the id of the job it belongs to."""

    sentence: str
    matter: str


@dataclass(frozen=True)
class Matter:
    """A job, by its id or that of one of its media: whose it is, and what was set aside for it."""

    id: str
    person: int
    sentence: str
    causes: tuple[str, ...]


@dataclass(frozen=True)
class ModelWork:
    """What drawing with one model took: media asked for, and seconds of a machine."""

    model: str
    media: int
    seconds: float


class Cause(Protocol):
    """Explains causes such as `medium:<uuid>`."""

    def explain(self, causes: Sequence[str]) -> dict[str, Explanation]:
        """Explain all at once to the wallet's owner; a cause that is not known is left out."""
        ...

    def outline(self, causes: Sequence[str]) -> dict[str, Outline]:
        """The same for a billing admin."""
        ...

    def matter_of(self, reference: str) -> Matter | None:
        """The job that an id names, or that has the medium it names. None if there is none."""
        ...

    def models_of(self, causes: Collection[str]) -> dict[str, str]:
        """The model that each was drawn with; a cause that is not known is left out."""
        ...

    def work(self, since: datetime, until: datetime) -> Sequence[ModelWork]:
        """What was drawn between two moments, model by model."""
        ...


_registered: list[Cause] = []


def register(impl: Cause) -> None:
    """Name the one explainer of this installation. A later one replaces it."""
    _registered[:] = [impl]


def registered() -> Cause:
    """The explainer. Raises LookupError when a process started without one."""
    if not _registered:
        raise LookupError("No explainer of causes is registered; generation registers one in AppConfig.ready().")
    return _registered[0]
