"""The sweeper leaves nothing due behind, and one row that cannot be done keeps nobody from theirs."""

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from billing import allowances, ledger, sweep
from billing.models import Allowance, Lot, Wallet
from journal.transactions import step
from tests.billing.test_ledger import TOMORROW, past, wallet_with

SECOND = timedelta(seconds=1)
NAMES = ("alice", "bob", "carol", "dora", "emma")


@pytest.fixture
def wallets(db: None, monkeypatch: pytest.MonkeyPatch) -> list[Wallet]:
    """Five wallets with ten credits until tomorrow, swept two at a time."""
    monkeypatch.setattr(sweep, "AT_ONCE", 2)
    return [wallet_with((10, TOMORROW), email=f"{name}@example.org") for name in NAMES]


def allow(wallets: list[Wallet], monkeypatch: pytest.MonkeyPatch) -> None:
    with step("tests.allow"):
        for wallet in wallets:
            allowances.allow_monthly(wallet, 5)
    past(wallets[0], monkeypatch, timedelta(days=40))


def test_every_overdue_lot_expires_in_one_sweep(wallets: list[Wallet], monkeypatch: pytest.MonkeyPatch) -> None:
    past(wallets[0], monkeypatch, TOMORROW + SECOND)
    assert sweep.expire_lots() == len(wallets)
    assert not Lot.objects.overdue(timezone.now()).exists()


def test_every_month_that_is_due_is_granted_in_one_sweep(
    wallets: list[Wallet], monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(wallets, monkeypatch)
    assert sweep.grant_monthly() == len(wallets)
    assert not Allowance.objects.filter(due_at__lte=timezone.now()).exists()


def take_key(wallet: Wallet, key: str) -> None:
    """Somebody else's movement bears the key that the sweeper will want for this wallet."""
    with step("tests.poison"):
        ledger.grant(wallet, 1, source="promotion", key=key, expires_at=None, reason="it bears the key")


def test_a_wallet_that_cannot_expire_starves_nobody(
    wallets: list[Wallet], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    poisoned = wallets[1].lots.get()
    take_key(wallets[0], f"lot:{poisoned.pk}:expired:1")
    past(wallets[0], monkeypatch, TOMORROW + SECOND)
    with caplog.at_level(logging.ERROR):
        assert sweep.expire_lots() == len(wallets) - 1
    assert list(Lot.objects.overdue(timezone.now())) == [poisoned]
    assert "1 wallets were passed over" in caplog.text


def test_a_month_that_cannot_be_granted_starves_nobody(
    wallets: list[Wallet], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    allow(wallets, monkeypatch)
    poisoned = Allowance.objects.get(wallet=wallets[0])
    # No account holds more than this, so that its month cannot be added.
    Allowance.objects.filter(pk=poisoned.pk).update(credits=2**31 - 1)
    with step("tests.poison"):
        ledger.grant(
            wallets[0], 2**63 - 2**31, source="promotion", key="all there is", expires_at=None, reason="for the tests"
        )
    with caplog.at_level(logging.ERROR):
        assert sweep.grant_monthly() == len(wallets) - 1
    assert list(Allowance.objects.filter(due_at__lte=timezone.now())) == [poisoned]
    assert "1 wallets were passed over" in caplog.text
