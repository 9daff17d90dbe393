"""What PostgreSQL refuses, asked in raw SQL by the application's own role, past every line of Python."""

from typing import Any, NamedTuple

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Act, ActDecision, Checkout, Entry, Event, Payment, Price, Transfer, Wallet
from journal.transactions import step
from tests.billing.test_ledger import TOMORROW, wallet_with, whole

INSERT_ENTRY = "INSERT INTO billing_entry (transfer_id, account_id, lot_id, amount) VALUES (%s, %s, %s, %s)"


@pytest.fixture
def wallet(fresh_database: str) -> Wallet:
    """Ten credits: four set aside, two spent, four to spend."""
    wallet = wallet_with((10, TOMORROW))
    with step("tests.hold"):
        ledger.hold(wallet, {"medium:open": 4, "medium:spent": 2})
        ledger.capture("medium:spent")
    return wallet


def new_transfer(app: Any, wallet: Wallet, *, kind: str = "grant", key: str = "forged") -> int:
    row = app.execute(
        "INSERT INTO billing_transfer (key, digest, kind, wallet_id, cause, reason, created_at, effective_at) "
        "VALUES (%s, '', %s, %s, '', '', now(), now()) RETURNING id",
        [key, kind, wallet.pk],
    ).fetchone()
    return int(row[0])


@pytest.mark.parametrize("table", ["billing_transfer", "billing_entry"])
def test_what_is_written_stays(wallet: Wallet, as_app: Any, as_owner: Any, table: str) -> None:
    for statement in ("UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_app.execute(statement.format(table))
        with pytest.raises(psycopg.errors.RaiseException):
            as_owner.execute(statement.format(table))


def test_entries_that_do_not_balance_are_refused_at_commit(wallet: Wallet, as_app: Any) -> None:
    lot = wallet.lots.get()
    as_app.autocommit = False
    transfer = new_transfer(as_app, wallet)
    as_app.execute(INSERT_ENTRY, [transfer, wallet.available_id, lot.pk, -1])
    as_app.execute(INSERT_ENTRY, [transfer, -2, lot.pk, 2])
    with pytest.raises(psycopg.errors.RaiseException, match="do not sum to zero"):
        as_app.commit()
    assert whole() == []


def test_an_entry_added_to_an_old_transfer_is_refused(wallet: Wallet, as_app: Any) -> None:
    old = Transfer.objects.order_by("id").first()
    assert old is not None
    with pytest.raises(psycopg.errors.RaiseException, match="do not sum to zero"):
        as_app.execute(INSERT_ENTRY, [old.pk, -2, None, 5])


@pytest.mark.parametrize(
    ("account", "amount", "refusal"),
    [
        ("available", -5, psycopg.errors.CheckViolation),  # four are there to spend
        ("held", -5, psycopg.errors.CheckViolation),  # four are set aside
        ("available", 3, psycopg.errors.CheckViolation),  # two were spent: no more than was granted comes back
        ("available", 0, psycopg.errors.CheckViolation),
    ],
)
def test_nothing_goes_below_zero_or_above_what_was_granted(
    wallet: Wallet, as_app: Any, account: str, amount: int, refusal: type[Exception]
) -> None:
    as_app.autocommit = False
    transfer = new_transfer(as_app, wallet)
    with pytest.raises(refusal):
        as_app.execute(INSERT_ENTRY, [transfer, getattr(wallet, f"{account}_id"), wallet.lots.get().pk, amount])


def test_an_entry_that_lies_about_the_balance_is_refused(wallet: Wallet, as_app: Any) -> None:
    insert = (
        "INSERT INTO billing_entry (transfer_id, account_id, lot_id, amount, balance_after, version) "
        "VALUES (%s, %s, %s, -1, 1000, 4)"
    )
    as_app.autocommit = False
    transfer = new_transfer(as_app, wallet)
    with pytest.raises(psycopg.errors.RaiseException, match="stands at 3 in version 4"):
        as_app.execute(insert, [transfer, wallet.available_id, wallet.lots.get().pk])


def test_an_entry_names_a_lot_of_its_own_wallet(wallet: Wallet, as_app: Any) -> None:
    other = wallet_with((10, None), email="carol@example.org")
    as_app.autocommit = False
    transfer = new_transfer(as_app, wallet)
    for lot, said in ((other.lots.get().pk, "is not of the wallet"), (None, "names no lot")):
        as_app.execute("SAVEPOINT before")
        with pytest.raises(psycopg.errors.RaiseException, match=said):
            as_app.execute(INSERT_ENTRY, [transfer, wallet.available_id, lot, -1])
        as_app.execute("ROLLBACK TO before")


MOVES_PAST_THE_ENTRIES = (
    "UPDATE billing_account SET balance = 1000000 WHERE kind = 'available'",
    "UPDATE billing_account SET version = version + 1",
    "UPDATE billing_lot SET remaining = granted",
    "UPDATE billing_lot SET held = 0",
    "UPDATE billing_lot SET granted = granted * 2",
    "UPDATE billing_lot SET expires_at = NULL",
    "UPDATE billing_wallet SET person_id = person_id + 1",
    "UPDATE billing_hold SET amount = 1",
    "INSERT INTO billing_account (kind, balance, version) VALUES ('available', 5, 0)",
    "DELETE FROM billing_hold",
    "DELETE FROM billing_lot",
    "DELETE FROM billing_wallet",
    "DELETE FROM billing_account",
)


def test_only_an_entry_moves_a_balance(wallet: Wallet, as_app: Any) -> None:
    for statement in MOVES_PAST_THE_ENTRIES:
        with pytest.raises(psycopg.errors.RaiseException):
            as_app.execute(statement)
    assert whole() == []


def owe(connection: Any, wallet: Wallet, kind: str, amount: int = 20) -> None:
    """Post a debt, in a transfer of that kind."""
    with connection.transaction():
        transfer = new_transfer(connection, wallet, kind=kind)
        row = connection.execute(
            "INSERT INTO billing_account (kind, balance, version) VALUES ('owed', 0, 0) RETURNING id"
        ).fetchone()
        connection.execute("UPDATE billing_wallet SET owed_id = %s WHERE id = %s", [row[0], wallet.pk])
        for account, part in ((row[0], -amount), (-4, amount)):
            connection.execute(INSERT_ENTRY, [transfer, account, None, part])


def test_a_debt_comes_only_with_what_is_taken_back(wallet: Wallet, as_app: Any) -> None:
    for kind in ("grant", "hold", "correct", "restore"):
        with pytest.raises(psycopg.errors.RaiseException, match="comes to owe only by a transfer that takes back"):
            owe(as_app, wallet, kind)
    owe(as_app, wallet, "take_back")
    wallet.refresh_from_db()
    assert ledger.balance(wallet) == ledger.Balance(available=4, held=4, owed=20)
    with pytest.raises(psycopg.errors.CheckViolation), as_app.transaction():
        as_app.execute(INSERT_ENTRY, [new_transfer(as_app, wallet, key="more"), wallet.owed_id, None, 21])
    with pytest.raises(psycopg.errors.RaiseException):
        as_app.execute("UPDATE billing_wallet SET owed_id = NULL")
    assert whole() == []


def test_verify_lists_a_debt_from_nowhere(wallet: Wallet, as_app: Any, as_owner: Any) -> None:
    owe(as_app, wallet, "take_back")
    tamper(as_owner, "UPDATE billing_transfer SET kind = 'grant' WHERE kind = 'take_back'")
    assert any("makes a debt of 20 in a transfer of kind grant" in said for said in whole()), whole()


def test_a_hold_that_ended_stays_ended(wallet: Wallet, as_app: Any) -> None:
    for state in ("open", "captured", "released"):
        with pytest.raises(psycopg.errors.RaiseException):
            as_app.execute("UPDATE billing_hold SET state = %s WHERE cause = 'medium:spent'", [state])


def test_a_hold_does_not_end_without_its_transfer(wallet: Wallet, as_app: Any) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        as_app.execute("UPDATE billing_hold SET state = 'released' WHERE cause = 'medium:open'")
    for state in ("captured", "released"):
        with pytest.raises(psycopg.errors.RaiseException, match="without the transfer that says so"):
            as_app.execute(
                "UPDATE billing_hold SET state = %s, closed_at = now(), "
                "closed_by_id = (SELECT id FROM billing_transfer WHERE kind = 'grant') WHERE cause = 'medium:open'",
                [state],
            )


def tamper(owner: Any, *statements: str) -> None:
    """As the owner, with every trigger and check of these tables switched off."""
    tables = ("account", "entry", "transfer", "hold", "lot")
    for table in tables:
        owner.execute(f"ALTER TABLE billing_{table} DISABLE TRIGGER USER")
    for statement in statements:
        owner.execute(statement)
    for table in tables:
        owner.execute(f"ALTER TABLE billing_{table} ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE billing_entry SET amount = amount * 2 WHERE id = 1", "its entries sum to -10, not to 0"),
        ("UPDATE billing_entry SET balance_after = 999 WHERE id = 2", "and says 999"),
        ("UPDATE billing_entry SET account_id = 12345 WHERE account_id = -2", "account 12345, which does not exist"),
        ("DELETE FROM billing_entry WHERE transfer_id = 1", "transfer 1 (alice@example.org:0): has no entries"),
        ("UPDATE billing_account SET balance = 5 WHERE kind = 'available'", "stands at 5 in version 3"),
        ("UPDATE billing_lot SET remaining = 3", "has 3 left and 4 set aside, its entries say 4 and 4"),
        ("UPDATE billing_lot SET granted = 11", "was granted 11, its transfer says 10"),
        ("UPDATE billing_hold SET amount = 3 WHERE state = 'open'", "is open over 3, its transfers set aside 4"),
        (
            "UPDATE billing_hold SET state = 'open', closed_at = NULL, closed_by_id = NULL",
            "is a capture that no hold knows",
        ),
    ],
)
def test_verify_finds_what_the_owner_changed(wallet: Wallet, as_owner: Any, statement: str, said: str) -> None:
    assert whole() == []
    tamper(as_owner, statement)
    assert any(said in difference for difference in whole()), whole()


def test_the_command_verifies_and_fails_on_a_difference(
    wallet: Wallet, as_owner: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("ledger", "verify")
    assert f"whole: {Entry.objects.count()} entries, 2 holds, 1 wallets" in capsys.readouterr().out
    tamper(as_owner, "UPDATE billing_lot SET remaining = 3")
    with pytest.raises(CommandError, match=r"places where the ledger contradicts itself") as error:
        call_command("ledger", "verify")
    assert error.value.returncode == 1
    assert "lot 1: has 3 left" in capsys.readouterr().err


class Sale(NamedTuple):
    """A price, two purchases at it with a lot each, an event, and an act that needs a second person."""

    price: Price
    payment: Payment
    other: Payment
    act: Act
    second: User


@pytest.fixture
def sale(fresh_database: str) -> Sale:
    wallet = wallet_with()
    second = User.objects.create_user("bruno@example.org")
    now = timezone.now()
    with step("tests.sale"):
        price = Price.objects.create(
            offer="pack", interval="once", amount=1000, currency="usd", credits=100, stripe_price="price_1",
            stripe_product="prod_1",
        )  # fmt: skip
        payments = [
            Payment.objects.create(
                person=wallet.person, key=f"checkout:cs_{number}", price=price, occasion="once", amount=1000,
                currency="usd", credits=100, paid_at=now,
            )
            for number in (1, 2)
        ]  # fmt: skip
        for payment in payments:
            ledger.grant(
                wallet, 100, source="paid", key=payment.key, expires_at=None, reason="", cost_basis=1000,
                currency="usd", payment=payment,
            )  # fmt: skip
        act = Act.objects.create(
            kind="correction", person=wallet.person, amount=5000, reason="lost pictures", asked_by=wallet.person,
            needs_second=True, key="form-1",
        )  # fmt: skip
        ActDecision.objects.create(
            act=Act.objects.create(
                kind="correction", person=wallet.person, amount=5, reason="a present", asked_by=wallet.person,
                needs_second=False, key="form-2",
            ),
            is_granted=True, decided_by=wallet.person,
        )  # fmt: skip
        Event.objects.create(stripe_id="evt_1", type="invoice.paid", created_at=now, payload={"id": "evt_1"})
        Checkout.objects.create(person=wallet.person, price=price, key="form-1")
    return Sale(price, *payments, act, second)


@pytest.mark.parametrize("table", ["billing_price", "billing_act", "billing_actdecision"])
def test_prices_acts_and_what_became_of_them_stay(sale: Sale, as_app: Any, as_owner: Any, table: str) -> None:
    for statement in ("UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_app.execute(statement.format(table))
        with pytest.raises(psycopg.errors.RaiseException):
            as_owner.execute(statement.format(table))


def decide(connection: Any, act: Act, person: User, *, granted: bool = True) -> None:
    connection.execute(
        "INSERT INTO billing_actdecision (act_id, is_granted, decided_by_id, decided_at, reason) "
        "VALUES (%s, %s, %s, now(), '')",
        [act.pk, granted, person.pk],
    )


def test_whoever_asked_cannot_be_the_second_person(sale: Sale, as_app: Any, as_owner: Any) -> None:
    for connection in (as_app, as_owner):
        with pytest.raises(psycopg.errors.RaiseException, match="needs a second person"):
            decide(connection, sale.act, sale.act.asked_by)
    decide(as_app, sale.act, sale.second)
    with pytest.raises(psycopg.errors.UniqueViolation):
        decide(as_app, sale.act, sale.second, granted=False)


def test_whoever_asked_may_take_it_back(sale: Sale, as_app: Any) -> None:
    decide(as_app, sale.act, sale.act.asked_by, granted=False)
    with pytest.raises(psycopg.errors.UniqueViolation):
        decide(as_app, sale.act, sale.second)


KEPT = (
    "UPDATE billing_lot SET payment_id = (SELECT max(id) FROM billing_payment) WHERE key = 'checkout:cs_1'",
    "UPDATE billing_lot SET payment_id = NULL",
    "UPDATE billing_lot SET currency = 'eur'",
    "UPDATE billing_lot SET cost_basis = 1",
    "UPDATE billing_payment SET person_id = (SELECT max(id) FROM accounts_user)",
    "UPDATE billing_payment SET key = key || 'x'",
    "UPDATE billing_payment SET amount = 1",
    "UPDATE billing_payment SET currency = 'eur'",
    "UPDATE billing_payment SET paid_at = now()",
    "DELETE FROM billing_payment",
    "UPDATE billing_event SET payload = '{}'",
    "UPDATE billing_event SET type = 'invoice.voided'",
    "UPDATE billing_event SET received_at = now()",
    "DELETE FROM billing_event",
    "DELETE FROM billing_checkout",
    "UPDATE billing_payment SET credits = 501",
    "UPDATE billing_payment SET tax = tax + 1",
    "UPDATE billing_payment SET price_id = CASE WHEN price_id IS NULL THEN (SELECT max(id) FROM billing_price) END",
    "UPDATE billing_event SET stripe_id = stripe_id || 'x'",
    "UPDATE billing_event SET created_at = now() - interval '1 year'",
    "UPDATE billing_checkout SET person_id = (SELECT max(id) FROM accounts_user)",
    "UPDATE billing_checkout SET price_id = (SELECT max(id) + 1 FROM billing_price)",
    "UPDATE billing_checkout SET key = key || 'x'",
)


def test_what_was_bought_and_what_came_keep_their_terms(sale: Sale, as_app: Any) -> None:
    for statement in KEPT:
        with pytest.raises(psycopg.errors.RaiseException):
            as_app.execute(statement)
    as_app.execute("UPDATE billing_payment SET refunded = 500, forgiven = 200, disputed = 100")
    with pytest.raises(psycopg.errors.CheckViolation):
        as_app.execute("UPDATE billing_payment SET forgiven = 501")


@pytest.mark.parametrize(
    ("table", "legal", "illegal"),
    [
        ("checkout", ["open", "paid"], ["open", "expired"]),
        ("checkout", ["open", "expired"], ["open"]),
        ("checkout", ["open", "expired", "paid"], ["open", "expired"]),
        ("event", ["waiting", "failed"], ["done", "ignored"]),
        ("event", ["waiting", "failed", "waiting", "done"], ["waiting", "failed", "ignored"]),
        ("event", ["waiting", "ignored"], ["waiting", "done", "failed"]),
    ],
)
def test_states_follow_their_arrows(sale: Sale, as_app: Any, table: str, legal: list[str], illegal: list[str]) -> None:
    for state in legal[1:]:
        as_app.execute(f"UPDATE billing_{table} SET state = %s", [state])
    for state in illegal:
        with pytest.raises(psycopg.errors.RaiseException):
            as_app.execute(f"UPDATE billing_{table} SET state = %s", [state])
