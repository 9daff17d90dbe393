"""What a hold was for, told by whoever asked for it. The ledger itself knows no jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Explanation:
    """A cause in words. `picture_url` is None unless the picture may be shown to the wallet's owner."""

    sentence: str
    url: str
    picture_url: str | None = None


class Cause(Protocol):
    """Explains causes such as `medium:<uuid>`."""

    def explain(self, causes: Sequence[str]) -> dict[str, Explanation]:
        """Explain all at once; a cause that is not known is left out."""
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
