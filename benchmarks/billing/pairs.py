"""Hold and capture over 10,000 wallets through Django, beside the same statements through plain psycopg: x0.5 of it.

The statements are recorded from one pair through Django and replayed by psycopg with other values, so that both send
the same. Clients are processes; rounds alternate, so that a noisy neighbour disturbs both alike.
"""

import enum
import multiprocessing
import random
import sys
import time
import uuid
from typing import Any

from benchmarks.world import quantile, world

WALLETS = 10_000
PAST_PAIRS = 5_000
CLIENTS = 4
ROUNDS = 3
SECONDS = 4.0
HOW = ("psycopg", "django")
PRICE = 4
RATIO = 0.5
# Wallet, holds known already, lots, transfer, hold; wallet and hold, its lots, transfer, hold.
STATEMENTS = 9

Statements = list[tuple[str, Any]]
# What differs from pair to pair: wallet, its two accounts, its lot, and everything that the database numbers.
Ids = tuple[int, int, int, int]


# So many pairs that went before, as whole transfers; the first person has every tenth.
PAST = """
    DROP TABLE IF EXISTS past;
    CREATE TEMP TABLE past AS
    SELECT 'past:' || n AS cause, wallet.*, (SELECT id FROM billing_lot WHERE wallet_id = wallet.id) AS lot
      FROM generate_series(%s, %s) n
      JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM billing_wallet) wallet
        ON wallet.place = CASE WHEN n %% 10 = 0 THEN 0 ELSE n %% %s END;
    INSERT INTO billing_transfer (key, digest, kind, wallet_id, cause, reason, created_at, effective_at)
    SELECT cause || ':' || kind, '', kind, id, cause, '', now(), now()
      FROM past, unnest(ARRAY['hold', 'capture']) kind ORDER BY cause, kind DESC;
    INSERT INTO billing_entry (transfer_id, account_id, lot_id, amount)
    SELECT transfer.id, CASE WHEN sign < 0 AND kind = 'hold' THEN available_id
                             WHEN sign > 0 AND kind = 'capture' THEN -2 ELSE held_id END, lot, sign * 4
      FROM past JOIN billing_transfer transfer USING (cause), (VALUES (-1), (1)) side (sign)
     ORDER BY transfer.id, sign;
    INSERT INTO billing_hold (cause, wallet_id, amount, state, opened_at, expires_at, opened_by_id)
    SELECT cause, past.id, 4, 'open', now(), now(), transfer.id
      FROM past JOIN billing_transfer transfer USING (cause) WHERE kind = 'hold';
    UPDATE billing_hold hold SET state = 'captured', closed_at = now(), closed_by_id = transfer.id
      FROM past JOIN billing_transfer transfer USING (cause)
     WHERE hold.cause = past.cause AND kind = 'capture'
"""


def fill() -> list[Ids]:
    """Wallets with one large lot each, and a past of which the first person has a tenth."""
    from django.db import connections

    from accounts.models import User
    from billing import statements
    from billing.models import Account, House, Lot, Transfer, Wallet
    from journal.transactions import step

    with connections["owner"].cursor() as cursor:
        # Ids of different tables never look alike, so that a recorded value can be told by itself.
        for place, table in enumerate(("account", "lot", "transfer", "hold"), start=1):
            cursor.execute(f"ALTER SEQUENCE billing_{table}_id_seq RESTART {place * 10_000_000}")
    users = User.objects.bulk_create(User(email=f"p{n}@bench.example", password="!") for n in range(WALLETS))
    with step("bench.fill"):
        accounts = Account.objects.bulk_create(
            Account(kind=kind, balance=0, version=0) for _ in users for kind in ("available", "held")
        )
        wallets = Wallet.objects.bulk_create(
            Wallet(person=user, available=available, held=held)
            for user, available, held in zip(users, accounts[::2], accounts[1::2], strict=True)
        )
        lots = Lot.objects.bulk_create(
            Lot(wallet=wallet, source="grant", granted=10**9, key=f"bench:{wallet.pk}") for wallet in wallets
        )
        statements.post(
            [
                (
                    Transfer(key=lot.key, digest="", kind="grant", wallet=wallet),
                    statements.between(House.GRANTED.value, wallet.available_id, {lot.pk: lot.granted}),
                )
                for wallet, lot in zip(wallets, lots, strict=True)
            ]
        )
    with connections["owner"].cursor() as cursor:
        # Triggers plan their queries once: on tables that look empty they would choose to read them whole.
        cursor.execute("ANALYZE")
        for first in range(0, PAST_PAIRS, 1_000):
            cursor.execute(PAST, [first + 1, first + 1_000, WALLETS])
        cursor.execute("VACUUM ANALYZE")
    return [(w.pk, w.available_id, w.held_id, lot.pk) for w, lot in zip(wallets, lots, strict=True)]


def pair(wallet: Any, cause: str) -> None:
    """What the path of a job does with money, in its two transactions."""
    from billing import ledger
    from journal.transactions import step

    with step("bench.hold"):
        ledger.hold(wallet, {cause: PRICE})
    with step("bench.capture"):
        ledger.capture(cause)


def record(ids: list[Ids]) -> tuple[Statements, Statements]:
    """The statements of one pair, with a name in place of each value that differs from pair to pair."""
    from django.db import connection

    from billing.models import Hold, Wallet

    taken: Statements = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        taken.append((sql, params))
        return execute(sql, params, many, context)

    last = ids[-1]
    cause = "bench:recorded"
    wallet = Wallet.objects.get(pk=last[0])
    with connection.execute_wrapper(note):
        pair(wallet, cause)
    hold = Hold.objects.get(cause=cause)
    names: dict[Any, str] = {
        **dict(zip(last, ("wallet", "available", "held", "lot"), strict=True)),
        hold.pk: "hold",
        hold.opened_by_id: "opened_by",
        hold.closed_by_id: "closed_by",
        cause: "cause",
        f"{cause}:hold": "hold_key",
        f"{cause}:capture": "capture_key",
    }
    assert len(names) == 10, "two ids of the recorded pair are the same number; they could not be told apart"

    def named(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [named(part) for part in value]
        if isinstance(value, enum.Enum):
            value = value.value
        return ("name", names[value]) if value in names and not isinstance(value, bool) else value

    statements = [(sql, named(params)) for sql, params in taken]
    # The second transaction begins where the hold is looked for to be closed.
    cut = next(n for n, (sql, _) in enumerate(statements) if "JOIN billing_hold" in sql)
    return statements[:cut], statements[cut:]


def replay(connection: Any, statements: Statements, values: dict[str, Any]) -> None:
    """Send recorded statements in one transaction, learning the ids that inserts return."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(part) for part in value]
        return values[value[1]] if isinstance(value, tuple) else value

    with connection.transaction():
        for sql, params in statements:
            cursor = connection.execute(sql, filled(params))
            rows = cursor.fetchall() if cursor.description else []
            if "INSERT INTO billing_transfer" in sql:
                values["closed_by" if "opened_by" in values else "opened_by"] = rows[0][1]
            elif "INSERT INTO billing_hold" in sql:
                values["hold"] = rows[0][1]


def client(seed: int, ids: list[Ids], recorded: tuple[Statements, Statements], gate: Any, done: Any) -> None:
    """One process that makes pairs, SECONDS a round, and says how many. A tenth of them are the first person's."""
    import django

    django.setup()
    import psycopg
    from django.db import connection

    from billing.models import Wallet

    dice = random.Random(seed)
    wallets = {wallet.pk: wallet for wallet in Wallet.objects.all()}
    raw = connection.connection
    assert raw is not None
    plain = psycopg.connect(raw.info.dsn, password=raw.info.password, autocommit=True)
    for _ in range(ROUNDS):
        for how in HOW:
            gate.wait()
            end = time.monotonic() + SECONDS
            taken = []
            while time.monotonic() < end:
                wallet, available, held, lot = ids[0] if dice.random() < 0.1 else dice.choice(ids)
                cause = f"bench:{uuid.uuid4()}"
                began = time.perf_counter()
                if how == "django":
                    pair(wallets[wallet], cause)
                else:
                    values = {
                        **{"wallet": wallet, "available": available, "held": held, "lot": lot, "cause": cause},
                        **{"hold_key": f"{cause}:hold", "capture_key": f"{cause}:capture"},
                    }
                    for statements in recorded:
                        replay(plain, statements, values)
                taken.append(time.perf_counter() - began)
            done.put((how, taken))


def main() -> int:
    with world():
        from billing.verify import differences

        ids = fill()
        recorded = record(ids)
        context = multiprocessing.get_context("spawn")
        gate, done = context.Barrier(CLIENTS), context.Queue()
        clients = [context.Process(target=client, args=(n, ids, recorded, gate, done)) for n in range(CLIENTS)]
        for process in clients:
            process.start()
        made: dict[str, list[float]] = {how: [] for how in HOW}
        for _ in range(ROUNDS * len(HOW) * CLIENTS):
            how, taken = done.get(timeout=180)
            made[how] += taken
        for process in clients:
            process.join()
        for how in HOW:
            figures = "  ".join(f"p{n} {1000 * quantile(made[how], n / 100):6.1f} ms" for n in (50, 99))
            pairs = len(made[how]) / SECONDS / ROUNDS
            print(f"{f'hold + capture, {how}, {CLIENTS} clients':<44} {pairs:8.1f} pairs/s  {figures}")
        ratio, sent = len(made["django"]) / len(made["psycopg"]), sum(map(len, recorded))
        wrong = [str(difference) for difference in differences()]
        met = [
            said("django beside psycopg", ratio, ratio >= RATIO, f">= {RATIO}"),
            said("statements a pair", sent, sent <= STATEMENTS, f"<= {STATEMENTS}"),
            said("differences found by verify", len(wrong), not wrong, "0"),
        ]
    return 0 if all(met) else 1


def said(what: str, figure: float, met: bool, target: str) -> bool:
    """Print a figure beside its target, and whether it was met."""
    print(f"{what:<44} {figure:8.2f}  target {target}: {'met' if met else 'NOT MET'}", flush=True)
    return met


if __name__ == "__main__":
    sys.exit(main())
