"""Monthly credits come once a month, on a day that every month has."""

from datetime import UTC, date, datetime

import pytest
from django.utils import timezone

from accounts.models import User
from billing import allowances, ledger, sweep
from billing.models import Allowance, Transfer, Wallet


def at(monkeypatch: pytest.MonkeyPatch, *moment: int) -> None:
    now = datetime(*moment, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.fixture
def wallet(db: None) -> Wallet:
    return ledger.wallet_of(User.objects.create_user("alice@example.org"))


def available(wallet: Wallet) -> int:
    return ledger.balance(wallet).available


@pytest.mark.parametrize(("day", "refill"), [(1, 1), (28, 28), (29, 28), (30, 28), (31, 28)])
def test_whoever_joined_late_in_a_month_is_refilled_on_the_28th(day: int, refill: int) -> None:
    assert Allowance(since=date(2027, 1, day)).refill_day == refill


def test_each_month_comes_once_and_replaces_the_last(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2027, 1, 31, 12)
    allowances.allow_monthly(wallet, 100)
    allowances.allow_monthly(wallet, 100)
    sweep.grant_monthly()
    assert available(wallet) == 100
    ledger.hold(wallet, {"medium:a": 30})
    at(monkeypatch, 2027, 2, 27, 23)
    assert sweep.grant_monthly() == 0
    assert available(wallet) == 70
    at(monkeypatch, 2027, 2, 28, 0)
    assert (sweep.grant_monthly(), sweep.grant_monthly()) == (1, 0)
    assert available(wallet) == 100
    assert sweep.expire_lots() == 1
    assert list(Transfer.objects.filter(kind="grant").order_by("id").values_list("reason", flat=True)) == [
        "Credits for January 2027",
        "Credits for February 2027",
    ]


def test_months_that_were_missed_are_not_made_up_for(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2027, 1, 5, 12)
    allowances.allow_monthly(wallet, 100)
    at(monkeypatch, 2027, 6, 4, 12)
    assert sweep.grant_monthly() == 1
    assert available(wallet) == 100
    assert Allowance.objects.get().due_at == datetime(2027, 6, 5, tzinfo=UTC)


def test_the_month_asked_for_twice_is_granted_once(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2027, 1, 5, 12)
    allowances.allow_monthly(wallet, 100)
    first = [allowances.monthly_grant(wallet.person, date(2027, 1, day)) for day in (1, 15, 31)]
    assert len({transfer.pk for transfer in first}) == 1
    assert available(wallet) == 100
