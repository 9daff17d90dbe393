"""Eight processes move credits of five wallets at random, and the sums hold at every moment that anybody looks."""

import multiprocessing
from collections import Counter

from django.utils import timezone

from billing import ledger
from billing.models import Payment
from billing.verify import differences
from journal.transactions import step
from tests.billing.clerk import ACTS, REFUSALS
from tests.billing.sums import wrong_sums
from tests.billing.teller import work
from tests.billing.test_ledger import wallet_with

CLERKS = 8
WALLETS = 5


def open_bank(*, operations: int, every: int) -> Counter[str]:
    """Let the clerks work, looking at all sums after every so many operations. Returns how often each was refused."""
    wallets = [wallet_with((30, None), email=f"p{number}@example.org") for number in range(WALLETS)]
    for wallet in wallets:
        with step("tests.bank"):
            key = f"checkout:{wallet.pk}"
            payment = Payment.objects.create(
                person=wallet.person, key=key, occasion="once", amount=1000, credits=50, paid_at=timezone.now()
            )
            ledger.grant(wallet, 50, source="paid", key=key, expires_at=None, reason="", payment=payment)
    spawn = multiprocessing.get_context("spawn")
    outcomes = spawn.Queue()
    clerks = [
        spawn.Process(target=work, args=(seed, operations // CLERKS, [wallet.pk for wallet in wallets], outcomes))
        for seed in range(CLERKS)
    ]
    for clerk in clerks:
        clerk.start()
    done: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    faults: list[str] = []
    working = CLERKS
    try:
        while working:
            outcome = outcomes.get(timeout=60)
            if outcome is None:
                working -= 1
                continue
            act, how = outcome
            if how == "done":
                done[act] += 1
            elif how in REFUSALS:
                refused[how] += 1
            else:
                faults.append(f"{act}: {how}")
            if (done.total() + refused.total() + len(faults)) % every == 0:
                assert wrong_sums() == []
    finally:
        for clerk in clerks:
            clerk.kill() if working else clerk.join()
        outcomes.close()
        outcomes.join_thread()
    assert faults == []
    assert done.total() + refused.total() == operations // CLERKS * CLERKS
    assert done.keys() == ACTS.keys()
    assert refused.keys() == REFUSALS
    assert wrong_sums() == []
    assert [str(difference) for difference in differences()] == []
    return refused


def test_eight_processes_lose_and_mint_nothing(fresh_database: str) -> None:
    open_bank(operations=2_000, every=500)
