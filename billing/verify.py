"""Recompute the ledger by SQL that shares nothing with the code that writes it."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

from journal.transactions import reading

AT_ONCE = 1_000


@dataclass(frozen=True)
class Difference:
    """One place where two ways to count do not agree."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


# Each selects the rows that should not exist, as (place, what).
CHECKS = (
    # Every transfer moves something, and nothing appears or vanishes.
    """
    SELECT 'transfer ' || transfer.id || ' (' || transfer.key || ')',
           CASE WHEN count(entry.id) = 0 THEN 'has no entries'
                ELSE 'its entries sum to ' || sum(entry.amount) || ', not to 0' END
      FROM billing_transfer transfer
      LEFT JOIN billing_entry entry ON entry.transfer_id = transfer.id
     GROUP BY transfer.id
    HAVING count(entry.id) = 0 OR sum(entry.amount) <> 0
    """,
    # The stored balance of an account is the sum of its entries, and its version their number.
    """
    SELECT 'account ' || account.id,
           'stands at ' || account.balance || ' in version ' || account.version
           || ', its ' || count(entry.id) || ' entries sum to ' || coalesce(sum(entry.amount), 0)
      FROM billing_account account
      LEFT JOIN billing_entry entry ON entry.account_id = account.id
     WHERE account.kind <> 'house'
     GROUP BY account.id
    HAVING account.balance <> coalesce(sum(entry.amount), 0) OR account.version <> count(entry.id)
    """,
    # Each entry continues the one before: by its version, and by its balance.
    """
    SELECT 'entry ' || id,
           'follows a balance of ' || before || ' with ' || amount || ' and says ' || coalesce(balance_after::text, '?')
           || ' in version ' || coalesce(version::text, '?') || ', where version ' || number || ' was due'
      FROM (SELECT entry.*,
                   coalesce(lag(balance_after) OVER turn, 0) AS before,
                   row_number() OVER turn AS number
              FROM billing_entry entry
              JOIN billing_account account ON account.id = entry.account_id
             WHERE account.kind <> 'house'
            WINDOW turn AS (PARTITION BY entry.account_id ORDER BY entry.version)) line
     WHERE balance_after IS DISTINCT FROM before + amount OR version IS DISTINCT FROM number
    """,
    # Nothing runs below zero but what is owed, and that never above; no entry floats without an account.
    """
    SELECT 'account ' || id, 'is ' || kind || ' and stands at ' || balance
      FROM billing_account WHERE CASE kind WHEN 'owed' THEN balance > 0 ELSE balance < 0 END
    """,
    """
    SELECT 'entry ' || entry.id, 'names account ' || entry.account_id || ', which does not exist'
      FROM billing_entry entry
     WHERE NOT EXISTS (SELECT FROM billing_account account WHERE account.id = entry.account_id)
    """,
    # What is owed came from money that was taken back, and from nothing else.
    """
    SELECT 'entry ' || entry.id, 'makes a debt of ' || -entry.amount || ' in a transfer of kind ' || transfer.kind
      FROM billing_account account
      JOIN billing_entry entry ON entry.account_id = account.id
      JOIN billing_transfer transfer ON transfer.id = entry.transfer_id
     WHERE account.kind = 'owed' AND entry.amount < 0 AND transfer.kind <> 'take_back'
    """,
    # What a lot has left and has set aside is what the entries that name it say.
    """
    SELECT 'lot ' || lot.id,
           'has ' || lot.remaining || ' left and ' || lot.held || ' set aside, its entries say '
           || coalesce(sum(entry.amount) FILTER (WHERE entry.account_id = wallet.available_id), 0) || ' and '
           || coalesce(sum(entry.amount) FILTER (WHERE entry.account_id = wallet.held_id), 0)
      FROM billing_lot lot
      JOIN billing_wallet wallet ON wallet.id = lot.wallet_id
      LEFT JOIN billing_entry entry ON entry.lot_id = lot.id
     GROUP BY lot.id, wallet.id
    HAVING lot.remaining <> coalesce(sum(entry.amount) FILTER (WHERE entry.account_id = wallet.available_id), 0)
        OR lot.held <> coalesce(sum(entry.amount) FILTER (WHERE entry.account_id = wallet.held_id), 0)
    """,
    # A lot was filled once, by its own transfer, with what it says it was granted.
    """
    SELECT 'lot ' || lot.id, 'was granted ' || lot.granted || ', its transfer says ' || coalesce(sum(entry.amount), 0)
      FROM billing_lot lot
      JOIN billing_wallet wallet ON wallet.id = lot.wallet_id
      LEFT JOIN billing_transfer transfer ON transfer.key = lot.key AND transfer.kind IN ('grant', 'restore')
      LEFT JOIN billing_entry entry ON entry.transfer_id = transfer.id AND entry.lot_id = lot.id
                                   AND entry.account_id = wallet.available_id
     GROUP BY lot.id
    HAVING lot.granted <> coalesce(sum(entry.amount), 0)
    """,
    # The accounts of a wallet are the sums of its lots and of its open holds.
    """
    SELECT 'wallet ' || wallet.id,
           'can spend ' || available.balance || ' and has ' || held.balance || ' set aside, its lots say '
           || lots.remaining || ' and ' || lots.held || ', its open holds ' || holds.amount
      FROM billing_wallet wallet
      JOIN billing_account available ON available.id = wallet.available_id
      JOIN billing_account held ON held.id = wallet.held_id
      CROSS JOIN LATERAL (SELECT coalesce(sum(remaining), 0) AS remaining, coalesce(sum(lot.held), 0) AS held
                            FROM billing_lot lot WHERE lot.wallet_id = wallet.id) lots
      CROSS JOIN LATERAL (SELECT coalesce(sum(hold.amount), 0) AS amount
                            FROM billing_hold hold WHERE hold.wallet_id = wallet.id AND hold.state = 'open') holds
     WHERE held.balance <> lots.held OR held.balance <> holds.amount
        OR available.balance <> lots.remaining
    """,
    # A hold was opened with its amount and ended, if it ended, with the same; each lot got back what it gave.
    """
    SELECT 'hold ' || hold.cause, 'is ' || hold.state || ' over ' || hold.amount || ', its transfers set aside '
           || coalesce(opened.amount, 0) || ' and took away ' || coalesce(-closed.amount, 0)
      FROM billing_hold hold
      JOIN billing_wallet wallet ON wallet.id = hold.wallet_id
      CROSS JOIN LATERAL (SELECT sum(amount) AS amount FROM billing_entry
                           WHERE transfer_id = hold.opened_by_id AND account_id = wallet.held_id) opened
      CROSS JOIN LATERAL (SELECT sum(amount) AS amount FROM billing_entry
                           WHERE transfer_id = hold.closed_by_id AND account_id = wallet.held_id) closed
     WHERE opened.amount IS DISTINCT FROM hold.amount
        OR closed.amount IS DISTINCT FROM CASE WHEN hold.state <> 'open' THEN -hold.amount END
    """,
    """
    SELECT 'hold ' || hold.cause, 'did not return to lot ' || entry.lot_id || ' what it took from it'
      FROM billing_hold hold
      JOIN billing_wallet wallet ON wallet.id = hold.wallet_id
      JOIN billing_entry entry ON entry.transfer_id IN (hold.opened_by_id, hold.closed_by_id)
                              AND entry.account_id = wallet.held_id
     WHERE hold.state <> 'open'
     GROUP BY hold.id, entry.lot_id
    HAVING sum(entry.amount) <> 0
    """,
    # What was taken back of a purchase, less what was restored, is no more than it granted.
    """
    SELECT 'payment ' || payment.id || ' (' || payment.key || ')',
           'granted ' || payment.credits || ', of which ' || taken.amount || ' are taken back'
      FROM billing_payment payment
      CROSS JOIN LATERAL (SELECT coalesce(sum(entry.amount), 0) AS amount
                            FROM billing_transfer transfer
                            JOIN billing_entry entry ON entry.transfer_id = transfer.id AND entry.account_id = -4
                           WHERE transfer.cause = 'payment:' || payment.id
                             AND transfer.kind IN ('take_back', 'restore')) taken
     WHERE taken.amount < 0 OR taken.amount > payment.credits
    """,
    # What was set aside, spent or given back belongs to a hold that knows of it.
    """
    SELECT 'transfer ' || transfer.id || ' (' || transfer.key || ')', 'is a ' || transfer.kind || ' that no hold knows'
      FROM billing_transfer transfer
     WHERE transfer.kind IN ('hold', 'capture', 'release')
       AND NOT EXISTS (SELECT FROM billing_hold hold
                        WHERE transfer.id IN (hold.opened_by_id, hold.closed_by_id) AND hold.cause = transfer.cause)
    """,
)


def differences() -> Iterator[Difference]:
    """Every place where the ledger contradicts itself; none when it is whole. Reads every row: takes its time.

    Each check sees one moment, and its rows are fetched by and by, so that memory stays flat however many there are.
    """
    for check in CHECKS:
        with reading():
            with connection.cursor() as cursor:
                # All rows will be asked for: not the plan that has the first ones soonest.
                cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
            with connection.chunked_cursor() as cursor:
                cursor.execute(check)
                while rows := cursor.fetchmany(AT_ONCE):
                    for place, what in rows:
                        yield Difference(place, what)
