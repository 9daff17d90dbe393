"""A ledger with a year behind it, written straight into the tables by their owner, whole to the last balance."""

from typing import Any

WALLETS = 10_000
MONTHS = 12
PRICE = 4

TABLES = ("billing_account", "billing_wallet", "billing_payment", "billing_lot", "billing_transfer", "billing_entry",
          "billing_hold")  # fmt: skip

# Every id follows from a place: wallet p has accounts 2p+1 and 2p+2, its lot of month m is 12p+m+1, and so has its
# payment. The first person makes every tenth picture.
# One row for each transfer, in the order of time. A twentieth of the pictures is given back, the last are still open.
EVENTS = f"""
    CREATE UNLOGGED TABLE bench_picture AS
    SELECT n, CASE WHEN n %% 10 = 0 THEN 0 ELSE n %% {WALLETS} END AS p,
           (n - 1) * {MONTHS}::bigint / %(pictures)s AS m,
           now() - interval '365 days' + (n - 1) * (interval '365 days' / %(pictures)s) AS at,
           CASE WHEN n > %(pictures)s - 200 THEN 'open' WHEN n %% 20 = 0 THEN 'released' ELSE 'captured' END AS state
      FROM generate_series(1, %(pictures)s) n;

    CREATE UNLOGGED TABLE bench_lot AS
    SELECT p * {MONTHS} + m + 1 AS id, p, m, now() - interval '365 days' + m * (interval '365 days' / {MONTHS}) AS at,
           10 + {PRICE} * count(n) AS granted,
           {PRICE} * count(n) FILTER (WHERE state = 'captured') AS spent,
           {PRICE} * count(n) FILTER (WHERE state = 'open') AS held
      FROM generate_series(0, {WALLETS - 1}) p CROSS JOIN generate_series(0, {MONTHS - 1}) m
      LEFT JOIN bench_picture USING (p, m) GROUP BY p, m;
    ALTER TABLE bench_lot ADD taken bigint NOT NULL DEFAULT 0;
    UPDATE bench_lot SET taken = 5 WHERE m = {MONTHS - 1} AND p %% 300 = 0;

    CREATE UNLOGGED TABLE bench_event AS
    SELECT row_number() OVER (ORDER BY at, turn, p, n) AS id, *
      FROM (SELECT at, 1 AS turn, p, m, n, 'hold' AS kind, {PRICE}::bigint AS amount FROM bench_picture
            UNION ALL
            SELECT at + interval '30 seconds', 2, p, m, n,
                   CASE state WHEN 'captured' THEN 'capture' ELSE 'release' END, {PRICE}
              FROM bench_picture WHERE state <> 'open'
            UNION ALL SELECT at, 0, p, m, NULL, 'grant', granted FROM bench_lot
            UNION ALL SELECT at + interval '365 days' / {MONTHS} + interval '1 hour', 3, p, m, NULL, 'expire',
                             granted - spent FROM bench_lot WHERE m < {MONTHS - 1}
            UNION ALL SELECT now(), 4, p, m, NULL, 'take_back', taken FROM bench_lot WHERE taken > 0) one
"""

ROWS = f"""
    INSERT INTO billing_account (id, kind, balance, version)
    SELECT 2 * p + side, CASE side WHEN 1 THEN 'available' ELSE 'held' END, 0, 0
      FROM generate_series(0, {WALLETS - 1}) p, generate_series(1, 2) side;
    INSERT INTO billing_wallet (id, person_id, available_id, held_id)
    SELECT p + 1, p + 1, 2 * p + 1, 2 * p + 2 FROM generate_series(0, {WALLETS - 1}) p;
    INSERT INTO billing_payment (id, person_id, key, occasion, amount, tax, currency, credits, stripe_invoice,
           stripe_intent, stripe_charge, stripe_subscription, number, page_url, card_brand, card_last4, paid_at,
           refunded, forgiven, disputed)
    SELECT id, p + 1, 'invoice:' || id, 'subscription_cycle', 900, 0, 'usd', granted, 'in_' || id,
           'pi_' || id, 'ch_' || id, 'sub_' || p, 'V-' || id, '', 'visa', '4242', at, 0, 0, 0
      FROM bench_lot WHERE p %% 3 = 0;
    INSERT INTO billing_lot (id, wallet_id, source, priority, granted, remaining, held, effective_at, expires_at,
           cost_basis, currency, payment_id, key, created_at)
    SELECT id, p + 1, CASE p %% 3 WHEN 0 THEN 'paid' ELSE 'grant' END, 50, granted,
           CASE WHEN m < {MONTHS - 1} THEN 0 ELSE granted - spent - held - taken END, held, at,
           at + interval '365 days' / {MONTHS} + interval '1 hour',
           CASE p %% 3 WHEN 0 THEN 900 END, CASE p %% 3 WHEN 0 THEN 'usd' ELSE '' END,
           CASE p %% 3 WHEN 0 THEN id END, 'lot:' || id, at
      FROM bench_lot;
    INSERT INTO billing_transfer (id, key, digest, kind, wallet_id, cause, reason, created_at, effective_at)
    SELECT id,
           CASE kind WHEN 'grant' THEN 'lot:' || p * {MONTHS} + m + 1
                     WHEN 'expire' THEN 'lot:' || p * {MONTHS} + m + 1 || ':expired:1'
                     WHEN 'take_back' THEN 'payment:' || p * {MONTHS} + m + 1 || ':1'
                     ELSE 'picture:' || n || ':' || kind END,
           repeat('0', 64), kind, p + 1,
           CASE WHEN n IS NOT NULL THEN 'picture:' || n
                WHEN kind = 'take_back' THEN 'payment:' || p * {MONTHS} + m + 1 ELSE '' END,
           '', at, at
      FROM bench_event ORDER BY id;
    INSERT INTO billing_entry (id, transfer_id, account_id, lot_id, amount, balance_after, version)
    SELECT number, transfer, account, lot, amount,
           CASE WHEN account > 0 THEN sum(amount) OVER turn END,
           CASE WHEN account > 0 THEN row_number() OVER turn END
      FROM (SELECT 2 * id - 1 + side AS number, id AS transfer, p * {MONTHS} + m + 1 AS lot,
                   CASE side WHEN 0 THEN -amount ELSE amount END AS amount,
                   CASE side
                     WHEN 0 THEN CASE WHEN kind IN ('hold', 'expire', 'take_back') THEN 2 * p + 1
                                      WHEN kind = 'grant' THEN -1 ELSE 2 * p + 2 END
                     ELSE CASE kind WHEN 'hold' THEN 2 * p + 2 WHEN 'capture' THEN -2 WHEN 'expire' THEN -3
                                    WHEN 'take_back' THEN -4 ELSE 2 * p + 1 END END AS account
              FROM bench_event, generate_series(0, 1) side) leg
    WINDOW turn AS (PARTITION BY account ORDER BY number) ORDER BY number;
    INSERT INTO billing_hold (id, cause, wallet_id, amount, state, opened_at, closed_at, expires_at, opened_by_id,
           closed_by_id)
    SELECT picture.n, 'picture:' || picture.n, picture.p + 1, {PRICE}, state, picture.at, closed.at,
           picture.at + interval '14 days', opened.id, closed.id
      FROM bench_picture picture
      JOIN bench_event opened ON opened.n = picture.n AND opened.kind = 'hold'
      LEFT JOIN bench_event closed ON closed.n = picture.n AND closed.kind <> 'hold';
    UPDATE billing_account SET balance = amount, version = lines
      FROM (SELECT account_id, sum(amount) AS amount, count(*) AS lines FROM billing_entry GROUP BY account_id) posted
     WHERE id = account_id AND kind <> 'house';
    DROP TABLE bench_picture, bench_lot, bench_event
"""


def write(owner: Any, entries: int) -> None:
    """Replace the ledger by one of about so many entries. Indexes and foreign keys are made anew afterwards."""
    from accounts.models import User

    people = (User(id=place + 1, email=f"p{place}@bench.example", password="!") for place in range(WALLETS))
    User.objects.bulk_create(people, batch_size=5_000, ignore_conflicts=True)
    with owner.cursor() as cursor:
        cursor.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        again = _bare(cursor)
        for table in reversed(TABLES):
            # The house's accounts stay, and so does what a payment is named by elsewhere.
            cursor.execute(f"DELETE FROM {table} WHERE id > 0")
        # A picture has four entries; lots that are granted and expire have about as many for each wallet and month.
        pictures = (entries - 4 * WALLETS * MONTHS) // 4
        cursor.execute(EVENTS, {"pictures": pictures})
        cursor.execute("ANALYZE bench_picture, bench_lot, bench_event")
        cursor.execute(ROWS.replace("%%", "%"))
        for statement in again:
            cursor.execute(statement)
        for table in TABLES:
            cursor.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("VACUUM ANALYZE")


def _bare(cursor: Any) -> list[str]:
    """Drop what slows an insert down, and return the statements that make it again."""
    cursor.execute(
        """
        SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
               format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
          FROM pg_constraint
         WHERE conrelid = ANY(%s::regclass[]) AND contype IN ('f', 'u')
           AND NOT EXISTS (SELECT FROM pg_constraint other WHERE other.conindid = pg_constraint.conindid
                           AND other.contype = 'f' AND pg_constraint.contype = 'u')
         ORDER BY contype
        """,
        [list(TABLES)],
    )
    found = cursor.fetchall()
    cursor.execute(
        """
        SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
          FROM pg_index WHERE indrelid = ANY(%s::regclass[]) AND NOT indisprimary
           AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'p'))
        """,
        [list(TABLES)],
    )
    indexes = cursor.fetchall()
    for drop, _ in (*found, *indexes):
        cursor.execute(drop)
    return [make for _, make in (*indexes, *reversed(found))]
