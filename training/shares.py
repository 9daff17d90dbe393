"""Shares with their 95 % bounds, as every figure about the models is given."""

from moderation.quality.intervals import wilson


def share(hits: int, of: int) -> str:
    """A share in words: `3/120 2.5 % (0.9 to 7.1)`; `none` where nothing was counted."""
    if not of:
        return "none"
    low, high = wilson(hits, of)
    return f"{hits}/{of} {100 * hits / of:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
