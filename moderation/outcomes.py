"""What must happen together with a decision, in a room that this one does not know."""

from typing import Protocol

from django.core.exceptions import ImproperlyConfigured

from accounts.models import User
from moderation.models import Case, Decision


class CaseOutcome(Protocol):
    """Called inside the deciding transaction, case row locked: what it raises undoes the decision too."""

    def cleared(self, case: Case, decision: Decision) -> None:
        """The subject may be used or shown from now on."""

    def refused(self, case: Case, decision: Decision) -> None:
        """The subject is refused; whoever asked for it pays nothing."""

    def withdrawn(self, case: Case, decision: Decision) -> None:
        """It was released and is taken back."""

    def held(self, case: Case, decision: Decision) -> None:
        """A person has to look at it."""

    def frozen(self, person: User, frozen: bool) -> None:
        """Stop or resume the person's other work."""


_registered: CaseOutcome | None = None


def register(outcome: CaseOutcome) -> None:
    """Name the one implementation, from AppConfig.ready()."""
    global _registered
    _registered = outcome


def registered() -> CaseOutcome:
    """The one implementation. Raises when there is none: then no case may be decided."""
    if _registered is None:
        raise ImproperlyConfigured("No CaseOutcome is registered, so no case can be decided.")
    return _registered
