"""Credits move exactly: none is lost, none is minted, whatever comes twice, late or at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Entry, Hold, House, Lot, Transfer, Wallet
from billing.verify import differences
from journal.transactions import step

NEVER = None
TOMORROW = timedelta(days=1)


def wallet_with(*lots: tuple[int, timedelta | None], email: str = "alice@example.org", source: str = "grant") -> Wallet:
    """A wallet with lots of (credits, time until they expire)."""
    with step("tests.wallet"):
        wallet = ledger.wallet_of(User.objects.create_user(email))
        for number, (credits, life) in enumerate(lots):
            ledger.grant(
                wallet,
                credits,
                source=source,
                key=f"{email}:{number}",
                expires_at=timezone.now() + life if life is not None else None,
                reason="for the tests",
            )
    return wallet


def state(wallet: Wallet) -> tuple[int, int]:
    found = ledger.balance(wallet)
    return found.available, found.held


def lots(wallet: Wallet) -> list[tuple[int, int]]:
    return list(wallet.lots.order_by("id").values_list("remaining", "held"))


def past(wallet: Wallet, monkeypatch: pytest.MonkeyPatch, by: timedelta) -> datetime:
    """Move the clock on."""
    later = timezone.now() + by
    monkeypatch.setattr(timezone, "now", lambda: later)
    return later


def whole() -> list[str]:
    return [str(difference) for difference in differences()]


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act` in so many threads, each with its own connection, and return what came back or was raised."""

    def run(number: int) -> Any:
        try:
            with step("tests.at_once"):
                return act(number)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.django_db
def test_a_hold_is_set_aside_and_then_spent() -> None:
    wallet = wallet_with((10, NEVER))
    (hold,) = ledger.hold(wallet, {"medium:a": 4})
    assert (hold.state, hold.amount, state(wallet)) == ("open", 4, (6, 4))
    spent = ledger.capture("medium:a")
    assert spent.kind == "capture"
    assert state(wallet) == (6, 0)
    revenue = Entry.objects.filter(account=House.REVENUE).get()
    assert (revenue.amount, revenue.balance_after) == (4, None)
    assert whole() == []


@pytest.mark.django_db
def test_holds_are_all_made_or_none() -> None:
    wallet = wallet_with((10, NEVER))
    with pytest.raises(ledger.NotEnoughCredits, match="costs 12 credits and 10 are available") as refusal:
        ledger.hold(wallet, {"medium:a": 4, "medium:b": 4, "medium:c": 4})
    assert (refusal.value.asked, refusal.value.available) == (12, 10)
    assert not Hold.objects.exists()
    assert state(wallet) == (10, 0)


@pytest.mark.django_db
def test_a_release_restores_the_very_lots() -> None:
    wallet = wallet_with((3, TOMORROW), (3, 2 * TOMORROW), (10, NEVER))
    ledger.hold(wallet, {"medium:a": 2, "medium:b": 6})
    assert lots(wallet) == [(0, 3), (0, 3), (8, 2)]
    ledger.release("medium:b", reason="refused")
    assert lots(wallet) == [(1, 2), (3, 0), (10, 0)]
    ledger.release("medium:a", reason="cancelled")
    assert lots(wallet) == [(3, 0), (3, 0), (10, 0)]
    assert whole() == []


@pytest.mark.django_db
def test_lots_are_drawn_in_the_written_order() -> None:
    wallet = wallet_with()
    soon, late = timezone.now() + TOMORROW, timezone.now() + 2 * TOMORROW
    terms: list[dict[str, Any]] = [
        {"key": "6 bought, never expires", "source": "paid", "expires_at": None},
        {"key": "5 promotion, never expires", "source": "promotion", "expires_at": None},
        {"key": "4 late", "source": "grant", "expires_at": late},
        {"key": "3 soon, bought", "source": "paid", "expires_at": soon},
        {"key": "2 soon, promotion", "source": "promotion", "expires_at": soon},
        {"key": "1 first by priority", "source": "paid", "expires_at": None, "priority": 1},
    ]
    for term in terms:
        ledger.grant(wallet, 1, reason="", **term)
    assert [lot.key[0] for lot in ledger.open_lots(wallet)] == list("123456")
    ledger.hold(wallet, {f"medium:{number}": 1 for number in range(6)})
    drawn = Entry.objects.filter(transfer__kind="hold", account=wallet.held).order_by("id")
    assert [entry.lot.key[0] for entry in drawn.select_related("lot") if entry.lot] == list("123456")


@pytest.mark.django_db
def test_the_same_act_three_times_has_one_effect() -> None:
    wallet = wallet_with()
    grants = [ledger.grant(wallet, 10, source="grant", key="gift", expires_at=None, reason="a gift") for _ in range(3)]
    holds = [ledger.hold(wallet, {"medium:a": 4, "medium:b": 1}) for _ in range(3)]
    captures = [ledger.capture("medium:a") for _ in range(3)]
    releases = [ledger.release("medium:b", reason="cancelled") for _ in range(3)]
    for same in (grants, [hold[0] for hold in holds], captures, releases):
        assert len({row.pk for row in same}) == 1
    assert state(wallet) == (6, 0)
    assert Transfer.objects.count() == 5


@pytest.mark.django_db
def test_a_key_names_one_movement() -> None:
    wallet = wallet_with((10, NEVER))
    other = wallet_with((10, NEVER), email="carol@example.org")
    ledger.hold(wallet, {"medium:a": 4})
    with pytest.raises(ledger.KeyReused):
        ledger.grant(wallet, 11, source="grant", key="alice@example.org:0", expires_at=None, reason="")
    with pytest.raises(ledger.KeyReused):
        ledger.hold(wallet, {"medium:a": 5})
    with pytest.raises(ledger.KeyReused):
        ledger.hold(other, {"medium:a": 4})


@pytest.mark.django_db
def test_a_hold_ends_in_one_way() -> None:
    wallet = wallet_with((10, NEVER))
    ledger.hold(wallet, {"medium:a": 4, "medium:b": 4})
    ledger.capture("medium:a")
    ledger.release("medium:b", reason="refused")
    with pytest.raises(ledger.HoldClosed, match="already captured"):
        ledger.release("medium:a", reason="cancelled")
    with pytest.raises(ledger.HoldClosed, match="already released"):
        ledger.capture("medium:b")
    with pytest.raises(ledger.NoSuchHold):
        ledger.capture("medium:c")


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -1])
def test_credits_move_in_positive_numbers(amount: int) -> None:
    wallet = wallet_with((10, NEVER))
    with pytest.raises(ValueError, match="positive"):
        ledger.hold(wallet, {"medium:a": amount})
    with pytest.raises(ValueError, match="positive"):
        ledger.grant(wallet, amount, source="grant", key="k", expires_at=None, reason="")


@pytest.mark.django_db
def test_a_hold_outlives_its_lot_and_may_still_be_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = wallet_with((10, TOMORROW))
    ledger.hold(wallet, {"medium:a": 4})
    later = past(wallet, monkeypatch, 2 * TOMORROW)
    assert state(wallet) == (0, 4)
    assert ledger.expire(wallet, later) == 1
    assert ledger.expire(wallet, later) == 0
    ledger.capture("medium:a")
    assert state(wallet) == (0, 0)
    assert lots(wallet) == [(0, 0)]
    assert whole() == []


@pytest.mark.django_db
def test_what_comes_back_after_its_lot_expired_expires_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = wallet_with((3, TOMORROW), (10, NEVER))
    ledger.hold(wallet, {"medium:a": 2, "medium:b": 2})
    later = past(wallet, monkeypatch, 2 * TOMORROW)
    ledger.release("medium:a", reason="refused")
    ledger.expire(wallet, later)
    ledger.release("medium:b", reason="refused")
    assert lots(wallet) == [(0, 0), (10, 0)]
    kinds = list(Transfer.objects.filter(kind__in=["release", "expire"]).order_by("id").values_list("kind", flat=True))
    assert kinds == ["release", "expire", "release", "expire"]
    assert -sum(Entry.objects.filter(account=House.EXPIRED).values_list("amount", flat=True)) == -3
    assert whole() == []


@pytest.mark.django_db
def test_an_expired_lot_cannot_be_spent_even_before_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = wallet_with((10, TOMORROW))
    past(wallet, monkeypatch, TOMORROW)
    with pytest.raises(ledger.NotEnoughCredits, match="0 are available"):
        ledger.hold(wallet, {"medium:a": 1})


@pytest.mark.django_db
def test_a_lot_that_has_not_begun_cannot_be_spent() -> None:
    wallet = wallet_with()
    ledger.grant(wallet, 5, source="paid", key="k", expires_at=None, reason="", effective_at=timezone.now() + TOMORROW)
    assert state(wallet) == (0, 0)
    with pytest.raises(ledger.NotEnoughCredits):
        ledger.hold(wallet, {"medium:a": 1})


@pytest.mark.django_db
def test_a_hold_that_nobody_ended_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = wallet_with((10, NEVER))
    ledger.hold(wallet, {"medium:a": 1, "medium:b": 1})
    ledger.capture("medium:b")
    assert not Hold.objects.stranded(timezone.now()).exists()
    later = past(wallet, monkeypatch, Hold.TERM)
    assert [hold.cause for hold in Hold.objects.stranded(later)] == ["medium:a"]


def test_nothing_moves_outside_a_transaction(fresh_database: str) -> None:
    wallet = wallet_with((10, NEVER))
    with pytest.raises(transaction.TransactionManagementError):
        ledger.hold(wallet, {"medium:a": 1})
    assert state(wallet) == (10, 0)


def test_sixteen_threads_spend_from_a_wallet_that_affords_three(fresh_database: str) -> None:
    wallet = wallet_with((5, TOMORROW), (7, NEVER))
    made = at_once(16, lambda number: ledger.hold(wallet, {f"medium:{number}": 4}))
    assert sum(isinstance(holds, list) for holds in made) == 3
    assert {type(error) for error in made if isinstance(error, Exception)} == {ledger.NotEnoughCredits}
    assert state(wallet) == (0, 12)
    assert whole() == []


def test_a_hold_captured_and_released_at_once_ends_once(fresh_database: str) -> None:
    wallet = wallet_with((4, NEVER))
    with step("tests.hold"):
        ledger.hold(wallet, {"medium:a": 4})
    ended = at_once(
        8, lambda number: ledger.capture("medium:a") if number % 2 else ledger.release("medium:a", reason="cancelled")
    )
    transfers = {transfer.pk for transfer in ended if isinstance(transfer, Transfer)}
    assert len(transfers) == 1
    assert sum(isinstance(error, ledger.HoldClosed) for error in ended) == 4
    assert sum(state(wallet)) in (0, 4)
    assert whole() == []


def test_one_grant_and_one_wallet_come_of_many_at_once(fresh_database: str) -> None:
    person = User.objects.create_user("alice@example.org")

    def give(_: int) -> Transfer:
        wallet = ledger.wallet_of(person)
        return ledger.grant(wallet, 5, source="grant", key="gift", expires_at=None, reason="")

    made = at_once(8, give)
    assert len({transfer.pk for transfer in made}) == 1
    assert Wallet.objects.count() == Lot.objects.count() == 1


def test_a_hold_while_its_lot_expires_gets_all_or_nothing(fresh_database: str) -> None:
    wallet = wallet_with((4, TOMORROW))
    later = timezone.now() + 2 * TOMORROW
    at_once(
        8, lambda number: ledger.expire(wallet, later) if number % 2 else ledger.hold(wallet, {f"medium:{number}": 4})
    )
    held = wallet.lots.get()
    assert (held.remaining, held.held) in [(0, 4), (0, 0)]
    assert whole() == []
