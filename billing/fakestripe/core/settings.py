"""What may be set about the fake's account, with the values that Stripe has by default."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from billing.fakestripe.core.errors import StripeError


@dataclass
class Settings:
    """The account's own choices, which at Stripe are made in the dashboard."""

    account_name: str = "Vaglio (offline)"
    account_country: str = "US"
    # Percent added where automatic tax is on.
    tax_percent: float = 0.0
    # A renewal's invoice is a draft for an hour before it is finalised and charged.
    draft_seconds: int = 3600
    # Days after a failed payment at which it is tried again, each counted from the failure before.
    retry_days: tuple[int, ...] = (3, 5, 7)
    # What becomes of the subscription after the last: "cancel", "unpaid" or "past_due".
    after_retries: str = "cancel"
    upcoming_days: int = 7
    trial_warning_days: int = 3
    # How long the bank waits for evidence, and then decides.
    evidence_days: int = 7
    inquiry_days: int = 120
    # Refunds that are settled later, of the test cards that do so.
    refund_seconds: int = 60
    dispute_fee: int = 1500
    # Pauses between the attempts to deliver one event; the last one is repeated until three days are over.
    delivery_pauses: tuple[int, ...] = (10, 60, 300, 1800, 7200, 18000, 36000)

    def change(self, values: dict[str, Any]) -> None:
        """Set some of them. An unknown name is an error."""
        known = {field.name for field in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise StripeError(f"There is no setting {name}.", param=name)
            setattr(self, name, tuple(value) if isinstance(value, list) else value)

    def as_dict(self) -> dict[str, Any]:
        """All of them, for the state page."""
        return asdict(self)
