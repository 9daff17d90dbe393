"""Credits follow their money: taken back with it, restored with it, in whatever order it was told."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import ledger, reversals
from billing.models import Payment, Transfer, Wallet
from tests.billing.test_ledger import past, wallet_with, whole


def buy(wallet: Wallet, credits: int, amount: int = 1000, *, key: str = "checkout:cs_1", life: Any = None) -> Payment:
    """A purchase that was paid, with its lot."""
    now = timezone.now()
    payment = Payment.objects.create(
        person=wallet.person, key=key, occasion="once", amount=amount, currency="usd", credits=credits, paid_at=now
    )
    ledger.grant(
        wallet,
        credits,
        source="paid",
        key=key,
        expires_at=now + life if life else None,
        reason="",
        cost_basis=amount,
        currency="usd",
        payment=payment,
    )
    return payment


def settle(payment: Payment, **money: int) -> int:
    Payment.objects.filter(pk=payment.pk).update(**money)
    payment.refresh_from_db()
    return reversals.settle(payment)


def spend(wallet: Wallet, amount: int, cause: str = "medium:a") -> None:
    ledger.hold(wallet, {cause: amount})
    ledger.capture(cause)


def state(wallet: Wallet) -> tuple[int, int, int]:
    wallet.refresh_from_db()
    found = ledger.balance(wallet)
    return found.available, found.held, found.owed


@pytest.mark.django_db
def test_a_refund_takes_the_unspent_credits_of_that_purchase_and_no_others() -> None:
    wallet = wallet_with((50, None))
    payment = buy(wallet, 500)
    other = buy(wallet, 200, key="checkout:cs_2")
    assert settle(payment, refunded=1000) == 500
    assert state(wallet) == (250, 0, 0)
    assert reversals.unspent_of(other) == 200
    assert settle(payment) == 0
    assert whole() == []


@pytest.mark.django_db
def test_a_part_of_the_money_takes_the_same_part_of_the_credits_rounded_up() -> None:
    wallet = wallet_with()
    payment = buy(wallet, 500, 999)
    assert settle(payment, refunded=333) == 167
    assert settle(payment, refunded=666) == 334 - 167
    assert settle(payment, refunded=999) == 500 - 334
    assert state(wallet) == (0, 0, 0)


@pytest.mark.django_db
def test_what_was_spent_already_becomes_a_debt_and_nothing_more_can_be_set_aside() -> None:
    wallet = wallet_with()
    payment = buy(wallet, 500)
    spend(wallet, 420)
    settle(payment, disputed=1000)
    assert state(wallet) == (0, 0, 420)
    ledger.grant(wallet, 100, source="grant", key="later", expires_at=None, reason="")
    assert state(wallet) == (0, 0, 320)
    with pytest.raises(ledger.OnBillingHold, match="owes 320 credits"):
        ledger.hold(wallet, {"medium:b": 1})
    assert settle(payment, disputed=0) == -500
    # 320 are owed no more, 80 lie in their lot again, and the 100 that had paid came back.
    assert state(wallet) == (180, 0, 0)
    ledger.hold(wallet, {"medium:b": 180})
    assert whole() == []


@pytest.mark.django_db
def test_credits_that_were_set_aside_pay_the_debt_when_they_come_back() -> None:
    wallet = wallet_with()
    payment = buy(wallet, 100)
    ledger.hold(wallet, {"medium:a": 60, "medium:b": 40})
    settle(payment, disputed=1000)
    assert state(wallet) == (0, 100, 100)
    ledger.release("medium:a", reason="refused")
    ledger.capture("medium:b")
    assert state(wallet) == (0, 0, 40)
    settle(payment, disputed=0)
    assert state(wallet) == (60, 0, 0)
    assert whole() == []


@pytest.mark.django_db
def test_what_is_restored_after_its_time_expires_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = wallet_with()
    payment = buy(wallet, 100, life=timedelta(days=30))
    settle(payment, disputed=1000)
    now = past(wallet, monkeypatch, timedelta(days=31))
    settle(payment, disputed=0)
    assert state(wallet) == (0, 0, 0)
    assert list(Transfer.objects.order_by("-id").values_list("kind", flat=True)[:2]) == ["expire", "restore"]
    assert ledger.expire(wallet, now) == 0
    assert whole() == []


@pytest.mark.django_db
def test_a_refund_that_leaves_the_credits_takes_none() -> None:
    wallet = wallet_with()
    payment = buy(wallet, 100)
    assert settle(payment, refunded=400, forgiven=400) == 0
    assert settle(payment, refunded=700, forgiven=400) == 30


@pytest.mark.django_db
@pytest.mark.parametrize(
    "order", list(itertools.permutations([{"disputed": 1000}, {"refunded": 300}, {"disputed": 700}]))
)
def test_the_end_is_the_same_in_every_order(order: tuple[dict[str, int], ...]) -> None:
    wallet = wallet_with((10, None))
    payment = buy(wallet, 100)
    spend(wallet, 90)
    for money in order:
        settle(payment, **money)
    settle(payment, refunded=300, disputed=0)
    assert reversals.taken_of(payment).total == 30
    assert state(wallet)[0] - state(wallet)[2] == 20 - 30
    assert whole() == []


@pytest.mark.django_db
def test_a_correction_takes_no_more_than_there_is() -> None:
    wallet = wallet_with((10, None))
    first = reversals.correct(wallet, 4, key="act:1", reason="a mistake", actor=wallet.person)
    assert reversals.correct(wallet, 4, key="act:1", reason="a mistake", actor=wallet.person) == first
    with pytest.raises(ledger.NotEnoughCredits):
        reversals.correct(wallet, 7, key="act:2", reason="a mistake", actor=wallet.person)
    assert state(wallet) == (6, 0, 0)
    assert whole() == []


@pytest.mark.django_db
def test_a_person_spends_no_more_in_a_month_than_they_allowed_themselves() -> None:
    wallet = wallet_with((100, None))
    Wallet.objects.filter(pk=wallet.pk).update(spending_limit=20)
    spend(wallet, 12)
    ledger.hold(wallet, {"medium:b": 8})
    with pytest.raises(ledger.SpendingLimitReached, match="limit of 20 credits a month, and 0 are left"):
        ledger.hold(wallet, {"medium:c": 1})
    ledger.release("medium:b", reason="refused")
    ledger.hold(wallet, {"medium:c": 8})
