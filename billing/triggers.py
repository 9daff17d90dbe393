"""What PostgreSQL itself refuses about money. The migration carries these; `models` says where they apply."""

import pgtrigger

# The only place where a balance changes: an entry posts itself. The database numbers it and knows the balance
# after it, so entries of one account are continuous by construction; CHECKs stop what would fall below zero.
POST = pgtrigger.Trigger(
    name="post",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    declare=[("posted", "billing_account%ROWTYPE")],
    func="""
        UPDATE billing_account SET balance = balance + NEW.amount, version = version + 1
         WHERE id = NEW.account_id AND balance IS NOT NULL
         RETURNING * INTO posted;
        IF NOT FOUND THEN
            IF NOT EXISTS (SELECT FROM billing_account WHERE id = NEW.account_id) THEN
                RAISE EXCEPTION 'entry names account %, which does not exist', NEW.account_id;
            END IF;
            IF NEW.balance_after IS NOT NULL OR NEW.version IS NOT NULL THEN
                RAISE EXCEPTION 'house account % has no running balance', NEW.account_id;
            END IF;
            RETURN NEW;
        END IF;
        IF NEW.balance_after <> posted.balance OR NEW.version <> posted.version THEN
            RAISE EXCEPTION 'account % stands at % in version %, not at % in version %',
                NEW.account_id, posted.balance, posted.version, NEW.balance_after, NEW.version;
        END IF;
        NEW.balance_after := posted.balance;
        NEW.version := posted.version;
        IF posted.kind = 'owed' THEN
            IF NEW.lot_id IS NOT NULL THEN
                RAISE EXCEPTION 'entry on account % names a lot, and what is owed is of none', NEW.account_id;
            END IF;
            IF NEW.amount < 0 AND NOT EXISTS (
                SELECT FROM billing_transfer WHERE id = NEW.transfer_id AND kind = 'take_back') THEN
                RAISE EXCEPTION 'account % comes to owe only by a transfer that takes back', NEW.account_id;
            END IF;
            RETURN NEW;
        END IF;
        IF NEW.lot_id IS NULL THEN
            RAISE EXCEPTION 'entry on account % names no lot', NEW.account_id;
        END IF;
        UPDATE billing_lot lot
           SET remaining = remaining + CASE posted.kind WHEN 'available' THEN NEW.amount ELSE 0 END,
               held = held + CASE posted.kind WHEN 'held' THEN NEW.amount ELSE 0 END
          FROM billing_wallet wallet
         WHERE lot.id = NEW.lot_id AND wallet.id = lot.wallet_id
           AND NEW.account_id IN (wallet.available_id, wallet.held_id);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'lot % is not of the wallet of account %', NEW.lot_id, NEW.account_id;
        END IF;
        RETURN NEW;
    """,
)

# Looked at when the transaction commits, so that the entries of a transfer may come in any order.
BALANCED = pgtrigger.Trigger(
    name="balanced",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    timing=pgtrigger.Deferred,
    func="""
        IF (SELECT sum(amount) FROM billing_entry WHERE transfer_id = NEW.transfer_id) <> 0 THEN
            RAISE EXCEPTION 'the entries of transfer % do not sum to zero', NEW.transfer_id;
        END IF;
        RETURN NULL;
    """,
)

# Depth 1 is this trigger called by a statement of the application; depth 2 is the trigger of an entry.
MOVED_BY_ENTRIES_ONLY = """
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION '% % is moved by entries only', TG_TABLE_NAME, OLD.id;
    END IF;
    RETURN NEW;
"""


def moved_by_entries_only(*columns: str) -> pgtrigger.Trigger:
    """Refuse to change these columns by any statement but an insert into the entries."""
    return pgtrigger.Trigger(
        name="moved_by_entries",
        operation=pgtrigger.UpdateOf(*columns),
        when=pgtrigger.Before,
        func=MOVED_BY_ENTRIES_ONLY,
    )


# A hold is as large as what its transfer set aside, and it ends with the transfer that takes exactly that away.
FITS_ITS_TRANSFERS = pgtrigger.Trigger(
    name="fits_its_transfers",
    operation=pgtrigger.Insert | pgtrigger.Update,
    when=pgtrigger.After,
    timing=pgtrigger.Deferred,
    declare=[("moved", "bigint")],
    func="""
        SELECT sum(entry.amount) INTO moved
          FROM billing_wallet wallet
          JOIN billing_entry entry ON entry.account_id = wallet.held_id
          JOIN billing_transfer transfer ON transfer.id = entry.transfer_id
         WHERE wallet.id = NEW.wallet_id
           AND transfer.id = CASE NEW.state WHEN 'open' THEN NEW.opened_by_id ELSE NEW.closed_by_id END
           AND transfer.cause = NEW.cause
           AND transfer.kind = CASE NEW.state
                 WHEN 'open' THEN 'hold' WHEN 'captured' THEN 'capture' WHEN 'released' THEN 'release' END;
        IF moved IS DISTINCT FROM (CASE NEW.state WHEN 'open' THEN NEW.amount ELSE -NEW.amount END) THEN
            RAISE EXCEPTION 'hold % became % without the transfer that says so', NEW.cause, NEW.state;
        END IF;
        RETURN NULL;
    """,
)
