"""Wallets, lots, holds, and the double entries that move credits between accounts."""

from datetime import date, datetime, timedelta
from typing import ClassVar, Self

import pgtrigger
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from billing import triggers
from journal.models import AppendOnly

# Every legal arrow of a hold, once. A trigger refuses any other.
HOLD_ARROWS = [("open", "captured"), ("open", "released")]

NO_DELETE = pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)


class House(models.IntegerChoices):
    """The house's own accounts, by the ids that a migration gives them.

    They keep no running balance: everyone's transfers meet there, and one hot row would make them queue.
    """

    GRANTED = -1, "granted"  # where credits come from; its sum is the negative of all ever granted
    REVENUE = -2, "revenue"  # what was spent
    EXPIRED = -3, "expired"
    TAKEN_BACK = -4, "taken back"  # with money that was refunded or disputed
    CORRECTED = -5, "corrected"  # taken by a correction; what a correction gives comes from GRANTED


class Account(models.Model):
    """One side of an entry: what a wallet can spend, has set aside or owes, or one of the house's."""

    class Kind(models.TextChoices):
        AVAILABLE = "available", "available"
        HELD = "held", "held"
        OWED = "owed", "owed"  # the explicit debt state: never above zero, and the only one below
        HOUSE = "house", "house"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    # None for the house. Changed by the trigger of an entry, and by nothing else.
    balance = models.BigIntegerField(null=True)
    version = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind="house", balance__isnull=True, version__isnull=True)
                | Q(kind__in=["available", "held", "owed"], balance__isnull=False, version__isnull=False),
                name="account_house_has_no_balance",
            ),
            models.CheckConstraint(
                condition=Q(balance__isnull=True) | Q(kind="owed", balance__lte=0) | Q(balance__gte=0),
                name="account_not_below_zero",
            ),
            models.CheckConstraint(condition=~Q(kind="owed") | Q(balance__lte=0), name="account_owed_not_above_zero"),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.ReadOnly(name="keeps_kind", fields=["kind"]),
            triggers.moved_by_entries_only("balance", "version"),
            pgtrigger.Protect(
                name="opens_empty",
                operation=pgtrigger.Insert,
                condition=pgtrigger.Q(new__balance__isnull=False) & ~pgtrigger.Q(new__balance=0, new__version=0),
            ),
        ]


class Wallet(models.Model):
    """A person's credits. Whoever moves any of them locks this row first, then touches lots by id."""

    id = models.BigAutoField(primary_key=True)
    person = models.OneToOneField(User, on_delete=models.PROTECT, related_name="wallet")
    available = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="+")
    held = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="+")
    # Opened with the first debt. While it stands below zero the wallet is on billing hold: nothing can be set aside.
    owed = models.OneToOneField(Account, on_delete=models.PROTECT, null=True, related_name="+")
    # The most credits that the person wants to spend in a calendar month. None: no limit.
    spending_limit = models.PositiveIntegerField(null=True)

    class Meta:
        permissions: ClassVar = [
            ("view_console", "May see the billing console"),
            ("act_in_console", "May correct, refund and change plans, with a reason"),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.ReadOnly(name="keeps_accounts", fields=["person", "available", "held"]),
            pgtrigger.Protect(
                name="keeps_owed",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__owed__isnull=False) & pgtrigger.Q(new__owed__df=pgtrigger.F("old__owed")),
            ),
        ]


class LotQuerySet(models.QuerySet["Lot"]):
    def overdue(self, now: datetime) -> Self:
        """Lots that expired with credits in them. What is held of them may still be captured."""
        return self.filter(expires_at__lte=now, remaining__gt=0)


class Lot(models.Model):
    """Credits of one source with one expiry. `remaining` and `held` follow the entries that name the lot."""

    class Source(models.TextChoices):
        GRANT = "grant", "granted"
        PAID = "paid", "bought"
        PROMOTION = "promotion", "promotion"
        CORRECTION = "correction", "correction"

    id = models.BigAutoField(primary_key=True)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="lots", db_index=False)
    source = models.CharField(max_length=12, choices=Source.choices)
    priority = models.SmallIntegerField(default=50)
    granted = models.BigIntegerField()
    remaining = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    effective_at = models.DateTimeField(default=timezone.now)
    # None: never.
    expires_at = models.DateTimeField(null=True)
    # What was paid for the whole lot, in the smallest unit of `currency`. None: nothing was sold.
    cost_basis = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    # The purchase that it came with: where that is refunded or disputed, this lot is taken back first.
    payment = models.ForeignKey("billing.Payment", on_delete=models.PROTECT, null=True, related_name="lots")
    key = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = LotQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(granted__gt=0, remaining__gte=0, held__gte=0) & Q(granted__gte=F("remaining") + F("held")),
                name="lot_never_overdrawn",
            ),
            models.CheckConstraint(
                condition=Q(source__in=["grant", "paid", "promotion", "correction"]), name="lot_source_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["wallet"], name="lot_to_spend", condition=Q(remaining__gt=0)),
            models.Index(fields=["wallet", "id"], name="lot_of_wallet"),
            models.Index(fields=["expires_at"], name="lot_to_expire", condition=Q(remaining__gt=0)),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            triggers.moved_by_entries_only("remaining", "held"),
            pgtrigger.Protect(
                name="opens_empty",
                operation=pgtrigger.Insert,
                condition=~pgtrigger.Q(new__remaining=0, new__held=0),
            ),
            pgtrigger.ReadOnly(
                name="keeps_terms",
                fields=[
                    "wallet",
                    "source",
                    "granted",
                    "effective_at",
                    "expires_at",
                    "cost_basis",
                    "currency",
                    "payment",
                    "key",
                    "created_at",
                ],
            ),
        ]


class Transfer(AppendOnly):
    """One movement of credits. A mistake is undone by another transfer, never by a change."""

    class Kind(models.TextChoices):
        GRANT = "grant", "granted"
        HOLD = "hold", "set aside"
        CAPTURE = "capture", "spent"
        RELEASE = "release", "given back"
        EXPIRE = "expire", "expired"
        TAKE_BACK = "take_back", "taken back"  # the money for them was refunded or disputed
        RESTORE = "restore", "restored"  # the money came back after all
        REPAY = "repay", "set against what was owed"
        CORRECT = "correct", "corrected"

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=200, unique=True)
    # Of what moves. The same key with another digest is refused.
    digest = models.CharField(max_length=64)
    kind = models.CharField(max_length=12)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    # What it was for, as "medium:<uuid>"; empty for what came in or expired.
    cause = models.CharField(max_length=128, blank=True, default="")
    reason = models.CharField(max_length=200, blank=True, default="")
    # None: the machinery.
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)
    effective_at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        indexes: ClassVar = [
            models.Index(fields=["wallet", "-id"], name="transfer_of_wallet"),
            # What was taken back and restored of one purchase; a medium's transfers are found by its hold.
            models.Index(fields=["cause"], name="transfer_of_payment", condition=Q(kind__in=["take_back", "restore"])),
            # Rows are written in the order of time: a few pages tell where a day lies.
            BrinIndex(fields=["created_at"], name="transfer_by_time"),
        ]


class Entry(AppendOnly):
    """One line of a transfer: so much more or less on one account, from or to one lot."""

    id = models.BigAutoField(primary_key=True)
    transfer = models.ForeignKey(Transfer, on_delete=models.PROTECT, related_name="entries")
    # No foreign key in the database: each would lock the house's row and make everyone's transfers meet there.
    # The trigger that posts the entry refuses an account that does not exist, and accounts are never deleted.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # None for what is owed, and for the house's side of it.
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, null=True, related_name="entries")
    amount = models.BigIntegerField()
    # Written by the database; None on a house account.
    balance_after = models.BigIntegerField(null=True)
    version = models.BigIntegerField(null=True)

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "version"], name="entry_once_per_version"),
            models.CheckConstraint(condition=~Q(amount=0), name="entry_moves_something"),
        ]
        triggers: ClassVar = [*AppendOnly.Meta.triggers, triggers.POST, triggers.BALANCED]


class HoldQuerySet(models.QuerySet["Hold"]):
    def open(self) -> Self:
        """Holds that did not end yet."""
        return self.filter(state=Hold.State.OPEN)

    def stranded(self, now: datetime) -> Self:
        """Open holds whose term passed: whoever asked for them has probably forgotten them."""
        return self.open().filter(expires_at__lte=now)


class Hold(models.Model):
    """Credits set aside for one medium. It ends once; the entries of `opened_by` remember its lots."""

    class State(models.TextChoices):
        OPEN = "open", "set aside"
        CAPTURED = "captured", "spent"
        RELEASED = "released", "given back"

    ARROWS: ClassVar = HOLD_ARROWS
    # Longer than any review may take.
    TERM: ClassVar = timedelta(days=14)

    id = models.BigAutoField(primary_key=True)
    cause = models.CharField(max_length=128, unique=True)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="holds", db_index=False)
    amount = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    opened_by = models.OneToOneField(Transfer, on_delete=models.PROTECT, related_name="+")
    closed_by = models.OneToOneField(Transfer, on_delete=models.PROTECT, null=True, related_name="+")

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="hold_of_something"),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True, closed_by__isnull=True)
                | Q(state__in=["captured", "released"], closed_at__isnull=False, closed_by__isnull=False),
                name="hold_closed_by_a_transfer",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["wallet"], name="hold_open_of_wallet", condition=Q(state="open")),
            # For the spending limit of a month.
            models.Index(fields=["wallet", "opened_at"], name="hold_of_wallet"),
            models.Index(fields=["expires_at"], name="hold_to_expire", condition=Q(state="open")),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.FSM(name="arrows", field="state", transitions=HOLD_ARROWS),
            pgtrigger.Protect(name="opens_open", operation=pgtrigger.Insert, condition=~pgtrigger.Q(new__state="open")),
            # Who is closed stays closed by the same transfer: a closed hold is never written again.
            pgtrigger.Protect(name="ends_once", operation=pgtrigger.Update, condition=~pgtrigger.Q(old__state="open")),
            pgtrigger.ReadOnly(
                name="keeps_terms", fields=["cause", "wallet", "amount", "opened_at", "expires_at", "opened_by"]
            ),
            triggers.FITS_ITS_TRANSFERS,
        ]


class Allowance(models.Model):
    """Credits that a wallet gets every month without paying: the free plan's, or what the house gives."""

    wallet = models.OneToOneField(Wallet, on_delete=models.PROTECT, primary_key=True, related_name="allowance")
    credits = models.PositiveIntegerField()
    since = models.DateField()
    # When the next month's are due.
    due_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(credits__gt=0), name="allowance_of_something")]

    @property
    def refill_day(self) -> int:
        """The day of the month it is refilled. Whoever joined on the 29th or later is refilled on the 28th."""
        return min(self.since.day, 28)

    def refill_of(self, month: date) -> datetime:
        """The moment at which the credits of a month are due."""
        return datetime(month.year, month.month, self.refill_day, tzinfo=timezone.get_default_timezone())
