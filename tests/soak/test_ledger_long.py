"""The ledger's long proofs: thousands of random sequences, and a bank that is busy for minutes."""

from tests.billing.test_bank import open_bank
from tests.billing.test_property import walk


def test_two_thousand_sequences_of_fifty_steps(fresh_database: str) -> None:
    walk(sequences=2_000, steps=50, derandomize=False)


def test_fifty_thousand_operations_by_eight_processes(fresh_database: str) -> None:
    open_bank(operations=50_000, every=1_000)
