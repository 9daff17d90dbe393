"""Verbs on cases and freezes: the only way a case changes its state."""

from moderation.actions.cases import (
    CannotRelease,
    CaseTaken,
    Ruling,
    abandon,
    clear,
    hold,
    open_case,
    refuse,
    withdraw,
)
from moderation.actions.freezes import freeze, is_frozen, lift

__all__ = [
    "CannotRelease",
    "CaseTaken",
    "Ruling",
    "abandon",
    "clear",
    "freeze",
    "hold",
    "is_frozen",
    "lift",
    "open_case",
    "refuse",
    "withdraw",
]
