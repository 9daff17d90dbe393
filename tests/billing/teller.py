"""Where a clerk of the bank test works: a process of its own, with a connection of its own."""

from typing import Any

import django


def work(seed: int, operations: int, wallets: list[int], outcomes: Any) -> None:
    """Do so many operations and tell of each what came of it; then tell None."""
    django.setup()
    # Models can be read only now: a spawned process begins with nothing.
    from tests.billing.clerk import Clerk

    clerk = Clerk(seed, wallets)
    for number in range(operations):
        outcomes.put(clerk.act(number))
    outcomes.put(None)
