"""Whatever is done to two wallets, in whatever order and at whatever hour, the ledger does what a plain model does."""

import copy
import itertools
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, configuration, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing import ledger, reversals
from billing.models import House, Payment, Wallet
from billing.verify import differences
from journal.transactions import step
from tests.billing import sums
from tests.billing.plain import PlainLot, PlainPayment, PlainWallet, Refusal
from tests.billing.test_ledger import wallet_with
from tests.environment import DATA

# Otherwise hypothesis keeps notes in a folder of the checkout.
configuration.set_hypothesis_home_dir(DATA / "hypothesis")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# The leap day of 2028 lies within reach of a few jumps.
BEGINNING = datetime(2027, 12, 30, 22, 30, tzinfo=UTC)
REFUSALS = (
    ledger.NotEnoughCredits,
    ledger.OnBillingHold,
    ledger.SpendingLimitReached,
    ledger.KeyReused,
    ledger.HoldClosed,
    ledger.NoSuchHold,
)

which = st.integers(0, 1)
few = st.integers(1, 9)
some = st.integers(1, 30)
picks = st.integers(0, 99)
# None: never. Below zero: it came late, and its time has passed.
lives = st.one_of(st.none(), st.sampled_from([DAY, 3 * DAY, 28 * DAY, 31 * DAY, 365 * DAY, -HOUR]), st.integers(29, 31))


def day_of_next_month(now: datetime, day: int) -> datetime:
    """That day of the month after this, or the last that it has."""
    first = (now.replace(day=1) + 32 * DAY).replace(day=1)
    last = (first + 32 * DAY).replace(day=1) - DAY
    return min(first + (day - 1) * DAY, last)


class Walk(RuleBasedStateMachine):
    """One transaction, rolled back at its end, in which two wallets are moved by the ledger and by the model."""

    def __init__(self, people: tuple[Wallet, Wallet]) -> None:
        super().__init__()
        # Copies: what an example learns of them is not so in the next.
        self.people = tuple(copy.copy(wallet) for wallet in people)
        self.plain = (PlainWallet(), PlainWallet())
        self.now = BEGINNING
        self.count = 0
        self.turns = itertools.cycle((0, 1))
        self.grants: tuple[list[Any], list[Any]] = ([], [])
        self.patch = mock.patch.object(timezone, "now", side_effect=lambda: self.now)
        self.patch.start()
        self.open = transaction.atomic()
        self.open.__enter__()

    def teardown(self) -> None:
        try:
            # After a failure, only what failed first is worth telling.
            if sys.exc_info()[0] is None:
                assert [str(difference) for difference in differences()] == []
                assert sums.wrong_sums() == []
        finally:
            transaction.set_rollback(True)
            self.open.__exit__(None, None, None)
            self.patch.stop()

    def number(self) -> int:
        self.count += 1
        return self.count

    def both(self, act: Callable[[], object], expected: Refusal) -> None:
        """Act, and be refused exactly where the model refuses."""
        refused: Refusal = None
        try:
            with step("tests.property"):
                act()
        except REFUSALS as refusal:
            refused = type(refusal)
        assert refused is expected

    def ends(self, life: timedelta | int | None) -> datetime | None:
        """When a lot of that life expires: after so long, or on a day of the next month."""
        if life is None:
            return None
        return day_of_next_month(self.now, life) if isinstance(life, int) else self.now + life

    def give(
        self, who: int, amount: int, *, source: str, payment: tuple[Payment, PlainPayment] | None = None, **terms: Any
    ) -> None:
        terms = {"key": f"lot:{self.number()}", "priority": 50, "effective_at": self.now, "source": source} | terms
        real, plain = payment or (None, None)
        with step("tests.property"):
            ledger.grant(self.people[who], amount, reason="", payment=real, **terms)
        lot = PlainLot(
            terms["key"], source, terms["priority"], amount, terms["effective_at"], terms["expires_at"], plain, amount
        )
        self.plain[who].grant(lot, self.now)
        self.grants[who].append((amount, terms))

    @initialize(credits=some, amount=some, life=lives, spare=st.none() | st.integers(5, 40))
    def begin(self, credits: int, amount: int, life: timedelta | int | None, spare: int | None) -> None:
        """Both have bought and been given something, and one has set a limit."""
        self.limit(1, spare)
        for who in (0, 1):
            self.buy(who, 10, 99, None, parts=0)
            self.buy(who, credits + 20, 1000, None, parts=who)
            self.give(who, amount, source="promotion", expires_at=self.ends(life))

    @rule(
        who=which,
        amount=some,
        source=st.sampled_from(["grant", "paid", "promotion", "correction"]),
        priority=st.sampled_from([50, 50, 50, 10, 90]),
        life=lives,
        begins=st.sampled_from([timedelta(0), timedelta(0), -HOUR, 5 * HOUR, 40 * DAY]),
    )
    def grant(
        self, who: int, amount: int, source: str, priority: int, life: timedelta | int | None, begins: timedelta
    ) -> None:
        begin = self.now + begins
        self.give(who, amount, source=source, priority=priority, expires_at=self.ends(life), effective_at=begin)

    @rule(who=which, pick=picks, more=st.integers(0, 1))
    def grant_again(self, who: int, pick: int, more: int) -> None:
        """A key that is known, for the same or for something else."""
        amount, terms = self.grants[who][pick % len(self.grants[who])]
        again = partial(ledger.grant, self.people[who], amount + more, reason="", **terms)
        self.both(again, ledger.KeyReused if more else None)

    @rule(who=which, credits=st.integers(2, 30), amount=st.sampled_from([0, 99, 100, 1000]), life=lives, parts=which)
    def buy(self, who: int, credits: int, amount: int, life: timedelta | int | None, parts: int) -> None:
        person = self.people[who].person
        key = f"checkout:{self.number()}"
        payment = Payment.objects.create(
            person=person, key=key, occasion="once", amount=amount, currency="usd", credits=credits, paid_at=self.now
        )
        plain = PlainPayment(payment.pk, amount, credits)
        self.plain[who].payments.append(plain)
        for n, part in enumerate([credits // 2, credits - credits // 2] if parts else [credits]):
            terms = {"key": f"{key}:{n}", "expires_at": self.ends(life), "cost_basis": amount, "currency": "usd"}
            self.give(who, part, source="paid", payment=(payment, plain), **terms)

    def hold(self, who: int, asked: dict[str, int]) -> None:
        others = asked.keys() & self.plain[1 - who].holds.keys()
        expected = ledger.KeyReused if others else self.plain[who].hold(asked, self.now)
        self.both(partial(ledger.hold, self.people[who], asked), expected)

    @rule(who=which, amount=few)
    def hold_one(self, who: int, amount: int) -> None:
        self.hold(who, {f"medium:{self.number()}": amount})

    @rule(who=which, amounts=st.lists(st.integers(1, 14), min_size=2, max_size=4))
    def hold_several(self, who: int, amounts: list[int]) -> None:
        self.hold(who, {f"medium:{self.number()}": amount for amount in amounts})

    @precondition(lambda self: any(plain.holds for plain in self.plain))
    @rule(who=which, pick=picks, more=st.sampled_from([0, 0, 1]), beside=st.booleans())
    def hold_again(self, who: int, pick: int, more: int, beside: bool) -> None:
        """A cause that is known, for the same or for more, by its wallet or the other, alone or beside another."""
        known = [(cause, hold) for plain in self.plain for cause, hold in plain.holds.items()]
        cause, hold = known[pick % len(known)]
        asked = {cause: hold.amount + more}
        if beside:
            asked[f"medium:{self.number()}"] = 2
        self.hold(who, asked)

    @rule(who=which)
    def spend_all(self, who: int) -> None:
        """So that what is taken back afterwards becomes a debt."""
        if amount := self.plain[who].available(self.now):
            cause = f"medium:{self.number()}"
            self.hold(who, {cause: amount})
            self.both(partial(ledger.capture, cause), self.plain[who].end(cause, "captured", self.now))

    @precondition(lambda self: any(plain.holds for plain in self.plain))
    @rule(who=which, pick=picks)
    def capture(self, who: int, pick: int) -> None:
        self.end(who, pick, "captured", ledger.capture)

    @precondition(lambda self: any(plain.holds for plain in self.plain))
    @rule(who=which, pick=picks)
    def release(self, who: int, pick: int) -> None:
        self.end(who, pick, "released", partial(ledger.release, reason="by chance"))

    def end(self, who: int, pick: int, how: str, act: Callable[[str], object]) -> None:
        """Mostly one that is open, at times one that ended or never was."""
        plain = self.plain[who]
        still_open = [cause for cause, hold in plain.holds.items() if hold.state == "open"]
        choice = still_open if pick % 5 and still_open else [*plain.holds, "medium:unknown"]
        cause = choice[pick // 5 % len(choice)]
        self.both(partial(act, cause), plain.end(cause, how, self.now))

    @rule(who=which, pick=picks, share=st.sampled_from([0.0, 0.7, 1.0]))
    def dispute(self, who: int, pick: int, share: float) -> None:
        """A dispute takes so much of the money, or gives it back."""
        known = self.plain[who].payments[pick % len(self.plain[who].payments)]
        known.disputed = round(known.amount * share)
        self.settle(who, known)

    @rule(who=which, pick=picks, share=st.sampled_from([0.3, 1.0, 0.0]), forgiven=st.sampled_from([0.0, 0.0, 0.2, 1.0]))
    def refund(self, who: int, pick: int, share: float, forgiven: float) -> None:
        """So much goes back, or did not arrive; of that the person keeps the credits for some."""
        known = self.plain[who].payments[pick % len(self.plain[who].payments)]
        known.refunded = round(known.amount * share)
        known.forgiven = round(known.refunded * forgiven)
        self.settle(who, known)

    def settle(self, who: int, known: PlainPayment) -> None:
        """The credits follow the money; the same told twice moves nothing."""
        with step("tests.property"):
            payment = Payment.objects.select_for_update(no_key=True).get(pk=known.pk)
            payment.refunded, payment.forgiven, payment.disputed = known.refunded, known.forgiven, known.disputed
            payment.save()
            moved = [reversals.settle(payment), reversals.settle(payment)]
        assert moved == [self.plain[who].settle(known, self.now), 0]
        left = [lot.remaining for lot in self.plain[who].lots.values() if lot.payment is known]
        assert reversals.taken_of(payment).total == known.due <= known.credits
        assert reversals.unspent_of(payment) <= sum(left)

    @rule(who=which, number=st.integers(0, 3), amount=few)
    def correct(self, who: int, number: int, amount: int) -> None:
        key = f"act:{who}:{number}"
        wallet = self.people[who]
        act = partial(reversals.correct, wallet, amount, key=key, reason="a mistake", actor=wallet.person)
        self.both(act, self.plain[who].correct(key, amount, self.now))

    @rule(who=which, spare=st.none() | st.integers(0, 20))
    def limit(self, who: int, spare: int | None) -> None:
        """A limit that leaves so much of this month."""
        plain = self.plain[who]
        plain.limit = None if spare is None else plain.spent_in_month(self.now) + spare
        Wallet.objects.filter(pk=self.people[who].pk).update(spending_limit=plain.limit)

    @rule(by=st.sampled_from([HOUR, 7 * HOUR, DAY, 3 * DAY, 10 * DAY, 365 * DAY]) | st.integers(28, 31), swept=which)
    def wait(self, by: timedelta | int, swept: int) -> None:
        """Let time pass: so much of it, or up to the last moment of a day of the next month."""
        if isinstance(by, timedelta):
            self.now += by
        else:
            self.now = day_of_next_month(self.now, by).replace(hour=23, minute=59, second=59, microsecond=999_999)
        for who in range(2 * swept):
            with step("tests.property"):
                count = ledger.expire(self.people[who], self.now)
            assert count == self.plain[who].sweep(self.now)

    @invariant()
    def agrees(self) -> None:
        """Both count the same, and a commit would refuse nothing."""
        sums.fire_constraints()
        found = sums.standing([wallet.pk for wallet in self.people])
        for wallet, plain in zip(self.people, self.plain, strict=True):
            wallet.owed_id, *stands = found[wallet.pk]
            assert stands == [
                plain.owed,
                {key: [lot.remaining, lot.held] for key, lot in plain.lots.items()},
                {cause: [hold.amount, hold.state] for cause, hold in plain.holds.items()},
            ]
        # One of them each time: it is the slowest question here.
        who = next(self.turns)
        plain = self.plain[who]
        told = ledger.Balance(plain.available(self.now), plain.held, plain.owed)
        assert ledger.balance(self.people[who]) == told
        house = {place: sum(plain.house[place.label] for plain in self.plain) for place in House}
        assert sums.house_sums() == {place: amount for place, amount in house.items() if amount}


def walk(*, sequences: int, steps: int, derandomize: bool) -> None:
    """So many random sequences of so many steps, on two fresh wallets each."""
    people = wallet_with(), wallet_with(email="carol@example.org")
    run_state_machine_as_test(
        partial(Walk, people),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            derandomize=derandomize,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_ledger_does_what_a_plain_model_does(fresh_database: str) -> None:
    walk(sequences=100, steps=30, derandomize=True)
