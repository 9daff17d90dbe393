"""The tables of this room: the ledger, what is sold through Stripe, and what billing admins do."""

from billing.models.acts import Act, ActDecision, ActOutcome, Export
from billing.models.ledger import (
    HOLD_ARROWS,
    Account,
    Allowance,
    Entry,
    Hold,
    House,
    Lot,
    Transfer,
    Wallet,
)
from billing.models.sale import (
    Checkout,
    Customer,
    Dispute,
    Event,
    Finding,
    Notice,
    Operation,
    Payment,
    Price,
    Refund,
    Subscription,
)
from billing.models.tallies import Tally

__all__ = [
    "HOLD_ARROWS",
    "Account",
    "Act",
    "ActDecision",
    "ActOutcome",
    "Allowance",
    "Checkout",
    "Customer",
    "Dispute",
    "Entry",
    "Event",
    "Export",
    "Finding",
    "Hold",
    "House",
    "Lot",
    "Notice",
    "Operation",
    "Payment",
    "Price",
    "Refund",
    "Subscription",
    "Tally",
    "Transfer",
    "Wallet",
]
