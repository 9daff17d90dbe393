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
from moderation.actions.desk import AlreadyLooked, claim, claim_next, decide, let_go, look_again
from moderation.actions.freezes import freeze, is_frozen, lift

__all__ = [
    "AlreadyLooked",
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
    "look_again",
    "open_case",
    "refuse",
    "withdraw",
]
