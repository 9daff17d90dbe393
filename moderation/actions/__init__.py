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
from moderation.actions.desk import claim, claim_next, decide, let_go
from moderation.actions.freezes import freeze, is_frozen, lift

__all__ = [
    "CannotRelease",
    "CaseTaken",
    "Ruling",
    "abandon",
    "claim",
    "claim_next",
    "clear",
    "decide",
    "freeze",
    "hold",
    "is_frozen",
    "let_go",
    "lift",
    "open_case",
    "refuse",
    "withdraw",
]
