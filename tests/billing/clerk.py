"""One clerk of the bank test, who moves credits of a few wallets at random, as told by a seed."""

import random
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from billing import ledger, reversals
from billing.models import Hold, Payment, Wallet
from journal.transactions import step

# What a clerk may be told because another was quicker, or because there is too little. Anything else is a fault.
REFUSALS = {"NotEnoughCredits", "OnBillingHold", "SpendingLimitReached", "KeyReused", "HoldClosed", "NoSuchHold"}

# How often each is done.
ACTS = {
    "grant": 3, "buy": 1, "hold": 12, "capture": 8, "release": 5, "expire": 2, "settle": 5, "repay": 1, "correct": 2,
    "limit": 1,
}  # fmt: skip


class Clerk:
    """What can be done at the counter. Keys and causes are few, so that clerks meet over them."""

    def __init__(self, seed: int, wallets: list[int]) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.wallets = list(Wallet.objects.select_related("person").filter(pk__in=wallets).order_by("pk"))
        self.number = 0

    def act(self, number: int) -> tuple[str, str]:
        """One operation in a transaction of its own: its name, and `done`, a refusal or a fault."""
        self.number = number
        (name,) = self.chance.choices(list(ACTS), list(ACTS.values()))
        act: Callable[[Wallet], object] = getattr(self, name)
        try:
            with step("tests.teller"):
                act(self.chance.choice(self.wallets))
        except Exception as error:
            kind = type(error).__name__
            return name, kind if kind in REFUSALS else f"{kind}: {error}"
        return name, "done"

    def shared(self, wallet: Wallet, kind: str) -> str:
        """A key that other clerks use at about the same time, for the same wallet."""
        return f"{kind}:{wallet.pk}:{self.number // 4 + self.chance.randrange(3)}"

    def grant(self, wallet: Wallet) -> None:
        key = self.shared(wallet, "gift")
        # One key, one gift; now and then somebody means another by it.
        terms = random.Random(key)
        amount = terms.randint(1, 15) + (self.chance.random() < 0.1)
        source, priority = terms.choice(["grant", "paid", "promotion"]), terms.choice([50, 50, 10])
        ledger.grant(wallet, amount, source=source, key=key, expires_at=None, reason="", priority=priority)
        soon = timezone.now() + timedelta(milliseconds=self.chance.randint(1, 1500))
        own = f"soon:{self.seed}:{self.number}"
        ledger.grant(wallet, self.chance.randint(1, 20), source="promotion", key=own, expires_at=soon, reason="")

    def buy(self, wallet: Wallet) -> None:
        key = f"checkout:{self.seed}:{self.number}"
        payment = Payment.objects.create(
            person=wallet.person,
            key=key,
            occasion="once",
            amount=1000,
            currency="usd",
            credits=50,
            paid_at=timezone.now(),
        )
        ledger.grant(wallet, 50, source="paid", key=key, expires_at=None, reason="", cost_basis=1000, payment=payment)

    def hold(self, wallet: Wallet) -> None:
        causes = [self.shared(wallet, "medium") for _ in range(self.chance.choice([1, 1, 2, 4]))]
        more = self.chance.random() < 0.05
        ledger.hold(wallet, {cause: random.Random(cause).randint(1, 40) + more for cause in causes})

    def capture(self, wallet: Wallet) -> None:
        ledger.capture(self.some_hold(wallet))

    def release(self, wallet: Wallet) -> None:
        ledger.release(self.some_hold(wallet), reason="by chance")

    def some_hold(self, wallet: Wallet) -> str:
        """The oldest that is open, or one that others may be ending now, or one that was never made."""
        oldest = Hold.objects.open().filter(wallet=wallet).order_by("pk").first()
        return oldest.cause if oldest and self.chance.random() < 0.7 else self.shared(wallet, "medium")

    def expire(self, wallet: Wallet) -> None:
        ledger.expire(wallet, timezone.now())

    def settle(self, wallet: Wallet) -> None:
        """Money of one of the last purchases goes back, is disputed, or comes again."""
        last = list(Payment.objects.filter(person=wallet.person).order_by("-pk").values_list("pk", flat=True)[:4])
        payment = Payment.objects.select_for_update(no_key=True).get(pk=self.chance.choice(last))
        payment.disputed = self.chance.choice([0, 0, 700, 1000])
        payment.refunded = self.chance.choice([0, 0, 333, 1000])
        payment.forgiven = self.chance.choice([0, payment.refunded // 2])
        payment.save(update_fields=["refunded", "forgiven", "disputed"])
        reversals.settle(payment)

    def repay(self, wallet: Wallet) -> None:
        ledger.lock(wallet)
        ledger.repay(wallet)

    def correct(self, wallet: Wallet) -> None:
        key = self.shared(wallet, "act")
        amount = random.Random(key).randint(1, 12)
        reversals.correct(wallet, amount, key=key, reason="a mistake", actor=wallet.person)

    def limit(self, wallet: Wallet) -> None:
        """A limit for a moment, under which nothing more can be set aside; mostly none."""
        Wallet.objects.filter(pk=wallet.pk).update(spending_limit=self.chance.choice([None, None, 1]))
