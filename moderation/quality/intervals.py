"""Shares with their 95 % bounds, also of samples in which not everything was as likely to be drawn."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

Z = 1.959963984540054  # of the normal distribution, 95 % two-sided


def wilson(hits: float, of: float) -> tuple[float, float]:
    """The bounds of a share (Wilson 1927). Of nothing it may be anything: 0 to 1."""
    if of <= 0:
        return 0.0, 1.0
    share, room = hits / of, Z**2 / of
    middle = share + room / 2
    half = Z * math.sqrt(share * (1 - share) / of + room / (4 * of))
    low, high = (middle - half) / (1 + room), (middle + half) / (1 + room)
    return max(0.0, low) if hits else 0.0, min(1.0, high) if hits < of else 1.0


@dataclass(frozen=True)
class Estimate:
    """A share of a whole, from `n` of it; None where nothing was looked at."""

    share: float | None
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if self.share is None:
            return "not known"
        return f"{_percent(self.share)} % ({_percent(self.low)} to {_percent(self.high)}, n {self.n:,})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.001 or share == 0 else f"{100 * share:.2g}"


def counted(hits: int, of: int) -> Estimate:
    """A share of what was counted in full."""
    return Estimate(hits / of if of else None, *wilson(hits, of), n=of)


def weighted(found: Iterable[tuple[bool, float]]) -> Estimate:
    """The share of a whole from a sample of it: whether each is a hit, and how likely it was to be drawn.

    Each stands for 1 / probability of the whole (Hajek's estimator). The bounds are Wilson's for as many as an evenly
    drawn sample of the same precision would have (Kish 1965).
    """
    drawn = [(hit, 1 / probability) for hit, probability in found]
    total, squares = sum(weight for _, weight in drawn), sum(weight**2 for _, weight in drawn)
    if not drawn:
        return Estimate(None, 0.0, 1.0, 0)
    share, effective = sum(weight for hit, weight in drawn if hit) / total, total**2 / squares
    return Estimate(share, *wilson(share * effective, effective), n=len(drawn))
