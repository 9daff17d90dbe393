"""The sums of days, against sums that are made another way: row by row, in fractions, from the beginning."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from math import floor

import pytest
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.console import counts, tallies
from billing.console.journal import DEFERRED, RECEIPTS, Posting, journal
from billing.models import (
    Checkout,
    Dispute,
    Event,
    Lot,
    Payment,
    Refund,
    Subscription,
    Tally,
    Transfer,
)
from tests.billing.console.history import Clock, House, Told
from tests.billing.shop import whole

Sums = dict[tuple[date, str, str], int]
FLOWS = {
    "grant": ("granted", 1),
    "restore": ("restored", 1),
    "capture": ("spent", -1),
    "expire": ("expired", -1),
    "take_back": ("taken_back", -1),
    "repay": ("repaid", -1),
    "correct": ("corrected", -1),
}


def in_the_tables() -> Sums:
    rows = Tally.objects.exclude(name="counted").values_list("day", "name", "label", "value")
    return {(day, name, label): value for day, name, label, value in rows}


def days() -> list[date]:
    first = min(Transfer.objects.order_by("id")[0].created_at, *User.objects.values_list("joined_at", flat=True)).date()
    return [first + timedelta(days=number) for number in range((timezone.now().date() - first).days + 1)]


def deferred(lot: Lot, used: int) -> int:
    """What a lot has still to earn, once so many of its credits are used."""
    assert lot.cost_basis is not None
    return lot.cost_basis - floor(Fraction(lot.cost_basis, lot.granted) * used)


def credits_slowly(told: Told) -> Sums:
    """From every entry, in the order in which they were written."""
    sums: Counter[tuple[date, str, str]] = Counter()
    open_now: Counter[int] = Counter()
    owed = 0
    lots = {lot.pk: lot for lot in Lot.objects.all()}
    transfers = list(Transfer.objects.order_by("id").prefetch_related("entries"))
    spent_before: set[int] = set()
    for day in days():
        first: set[int] = set()
        for transfer in (each for each in transfers if each.created_at.date() == day):
            for entry in transfer.entries.order_by("lot", "id"):
                if entry.account_id < 0:
                    continue
                if entry.lot_id is None:
                    owed -= entry.amount
                    sums[day, "owed_more", ""] -= entry.amount
                    continue
                lot = lots[entry.lot_id]
                if transfer.kind in FLOWS:
                    name, sign = FLOWS[transfer.kind]
                    sums[day, name, lot.source] += sign * entry.amount
                before = open_now[lot.pk]
                open_now[lot.pk] += entry.amount
                model = told.models_of([transfer.cause]).get(transfer.cause, "unknown") if transfer.cause else ""
                if transfer.kind == "capture":
                    sums[day, "used", model] -= entry.amount
                    first.add(transfer.wallet_id)
                if lot.cost_basis is not None and transfer.kind in FLOWS:
                    after = deferred(lot, lot.granted - before - entry.amount)
                    change = after - deferred(lot, lot.granted - before)
                    sums[day, "worth", f"{lot.currency}:{transfer.kind}"] += change
                    if transfer.kind == "capture":
                        sums[day, "earned", f"{lot.currency}:{model}"] -= change
        sums[day, "first_spent", ""] = len(first - spent_before)
        spent_before |= first
        for pk, amount in open_now.items():
            lot = lots[pk]
            sums[day, "outstanding", lot.source] += amount
            if lot.cost_basis is not None:
                sums[day, "deferred", lot.currency] += deferred(lot, lot.granted - amount)
        sums[day, "owed", ""] = owed
        start = datetime.combine(day, time(), UTC)
        for work in told.work(start, start + timedelta(days=1)):
            sums[day, "drawn", work.model] += work.media
            sums[day, "drawn_ms", work.model] += round(work.seconds * 1000)
    return dict(sums)


def money_slowly() -> Sums:
    """From every purchase, person and subscription."""
    sums: Counter[tuple[date, str, str]] = Counter()
    payments = list(Payment.objects.order_by("paid_at", "id").select_related("price"))
    bought: set[int] = set()
    for payment in payments:
        day, cur, net = payment.paid_at.date(), payment.currency, payment.amount - payment.tax
        assert payment.price is not None
        sums[day, "purchases", ""] += 1
        sums[day, "paid", cur] += payment.amount
        sums[day, "tax", cur] += payment.tax
        sums[day, "revenue", f"{cur}:{payment.price.offer}"] += net
        sums[day, "occasion", f"{cur}:{payment.occasion}"] += net
        sums[day, "at_once", cur] += net - sum(lot.cost_basis or 0 for lot in payment.lots.all())
        if payment.amount and payment.person_id not in bought:
            bought.add(payment.person_id)
            sums[day, "first_purchases", ""] += 1
    for person in User.objects.all():
        sums[person.joined_at.date(), "signups", ""] += 1
    for visit in Checkout.objects.all():
        sums[visit.created_at.date(), "checkouts", ""] += 1
        sums[visit.created_at.date(), "checkouts_paid", ""] += visit.state == "paid"
    for event in Event.objects.filter(type="invoice.payment_failed"):
        sums[event.received_at.date(), "failed_payments", ""] += 1
    subscriptions = list(Subscription.objects.select_related("paid_price"))
    for each in subscriptions:
        if each.ended_at and any(one.amount for one in payments if one.stripe_subscription == each.stripe_id):
            assert each.paid_price is not None
            sums[each.ended_at.date(), "churned", each.paid_price.offer] += 1
    for day in days():
        moment = min(datetime.combine(day, time(), UTC) + timedelta(days=1), timezone.now())
        brings = Fraction(0)
        for each in subscriptions:
            own = [one for one in payments if one.stripe_subscription == each.stripe_id and one.paid_at <= moment]
            own = [one for one in own if one.covers_until and one.covers_until > moment]
            own = [one for one in own if not one.amount or one.amount > one.refunded + one.disputed]
            if not own or (each.ended_at and each.ended_at <= moment):
                continue
            last = max(own, key=lambda one: (one.covers_until, one.paid_at, one.pk))
            assert last.price is not None
            sums[day, "active" if last.amount else "trials", last.price.offer] += 1
            if last.amount:
                brings += Fraction(last.price.amount, 12 if last.price.interval == "year" else 1)
        sums[day, "mrr", "usd"] = floor(brings + Fraction(1, 2))
    return dict(sums)


def gone_now() -> dict[tuple[str, str], int]:
    sums: Counter[tuple[str, str]] = Counter()
    for payment in Payment.objects.filter(amount__gt=0):
        sums["refunded_ever", payment.currency] += payment.refunded
        sums["refunded_tax_ever", payment.currency] += payment.tax * payment.refunded // payment.amount
        sums["disputed_ever", payment.currency] += payment.disputed
    return {key: value for key, value in sums.items() if value}


def expected(told: Told) -> Sums:
    return {key: value for key, value in {**credits_slowly(told), **money_slowly()}.items() if value}


def without_ever(sums: Sums) -> Sums:
    return {key: value for key, value in sums.items() if key[1] not in counts.EVER}


def of_what_happened(sums: Sums) -> Sums:
    """Without what is told of a day as it was known then: a purchase that goes back later counts until it does."""
    return {key: value for key, value in without_ever(sums).items() if key[1] not in {"active", "trials", "mrr"}}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_sum_is_what_a_slow_count_says(db: None, clock: Clock, told: Told, seed: int) -> None:
    house = House(clock, seed)
    for _ in range(9):
        house.day()
    assert tallies.count_days() == 10
    assert without_ever(in_the_tables()) == expected(told)
    today = timezone.now().date()
    assert {key[1:]: value for key, value in in_the_tables().items() if key[0] == today and key[1] in counts.EVER} == (
        gone_now()
    )
    assert whole() == []


@pytest.mark.parametrize("seed", [4, 5])
def test_counting_every_few_hours_comes_to_the_same_as_counting_once(
    db: None, clock: Clock, told: Told, seed: int
) -> None:
    house = House(clock, seed)
    for _ in range(24):
        house.day(operations=8)
        clock.pass_by(hours=-13)
        tallies.count_days()
    assert of_what_happened(in_the_tables()) == of_what_happened(expected(told))
    before = in_the_tables()
    tallies.count_days()
    assert in_the_tables() == before
    Tally.objects.all().delete()
    tallies.count_days()
    assert of_what_happened(in_the_tables()) == of_what_happened(before)


def test_days_without_a_till_are_counted_when_it_comes_back(house: House, told: Told) -> None:
    house.day()
    assert tallies.count_days() == 2
    for _ in range(4):
        house.day()
    assert tallies.count_days() == 6
    assert without_ever(in_the_tables()) == expected(told)


def test_an_older_day_stays_as_it_was_counted(house: House) -> None:
    house.day()
    house.day()
    house.day()
    tallies.count_days()
    old = Tally.objects.filter(name="spent").order_by("day").first()
    assert old is not None
    Tally.objects.filter(pk=old.pk).update(value=1_000_000)
    assert tallies.count_days() == 2
    old.refresh_from_db()
    assert old.value == 1_000_000


def test_a_purchase_that_becomes_known_late_is_counted_on_its_day(house: House, told: Told, clock: Clock) -> None:
    for _ in range(6):
        house.day()
    tallies.count_days()
    late = clock.now - timedelta(days=4)
    house.buy(paid_at=late, amount=5000, tax=0, currency="usd")
    assert tallies.count_days() > 2
    assert without_ever(in_the_tables()) == expected(told)


def test_an_empty_house_is_counted_too(db: None, clock: Clock, told: Told) -> None:
    assert tallies.counted_at() is None
    assert tallies.count_days() == 1
    assert tallies.counted_at() == clock.now.replace(microsecond=0)


@pytest.mark.parametrize("seed", [11, 12])
def test_the_journal_balances_and_defers_what_open_lots_were_bought_for(
    db: None, clock: Clock, told: Told, seed: int
) -> None:
    house = House(clock, seed)
    for _ in range(12):
        house.day()
        tallies.count_days()
    postings = list(journal(days()[0], days()[-1]))
    assert len(postings) > 100
    for day in days():
        for currency in ("usd", "eur"):
            own = [each for each in postings if (each.day, each.currency) == (day, currency)]
            assert sum(each.debit for each in own) == sum(each.credit for each in own)
    assert all((each.debit > 0) != (each.credit > 0) for each in postings)
    for currency in ("usd", "eur"):
        lots = Lot.objects.filter(currency=currency)
        left = sum(deferred(lot, lot.granted - lot.remaining - lot.held) for lot in lots)
        assert balance(postings, DEFERRED, currency) == left
        assert balance(postings, RECEIPTS, currency) == 0
        paid = Payment.objects.filter(currency=currency)
        cash = sum(each.amount - each.refunded - each.disputed for each in paid)
        assert -balance(postings, "1200 Stripe clearing", currency) == cash


def balance(postings: list[Posting], account: str, currency: str) -> int:
    own = [each for each in postings if (each.account, each.currency) == (account, currency)]
    return sum(each.credit - each.debit for each in own)


def test_a_lot_that_is_used_up_has_earned_exactly_what_was_paid(house: House, clock: Clock) -> None:
    payment = house.buy(person=house.people[0], amount=997, tax=0, credits=7, currency="usd")
    assert payment.lots.count() == 1
    for number in range(7):
        ledger.hold(ledger.wallet_of(house.people[0]), {f"medium:{900 + number}": 1})
        ledger.capture(f"medium:{900 + number}")
        tallies.count_days()
        clock.pass_by(days=1 if number % 2 else 0)
    earned = Tally.objects.filter(name="earned").values_list("value", flat=True)
    assert sum(earned) == 997
    assert Tally.objects.filter(name="deferred", day=timezone.now().date()).first() is None
    assert [value for value in earned if value < 0] == []


def test_what_a_part_is_worth_is_rounded_for_the_house_only_at_the_end() -> None:
    assert [counts.worth(left, of=7, cost=100) for left in (7, 6, 1, 0)] == [100, 86, 15, 0]


def test_a_refund_that_fails_and_a_dispute_that_is_won_come_back_on_their_day(house: House, clock: Clock) -> None:
    payment = house.buy(person=house.people[0], amount=900, tax=0, credits=20, currency="usd")
    Refund.objects.create(stripe_id="re_x", payment=payment, amount=300, status="pending", created_at=clock.now)
    Dispute.objects.create(
        stripe_id="du_x", payment=payment, amount=600, withdrawn=600, reason="?", status="x", created_at=clock.now
    )
    Payment.objects.update(refunded=300, disputed=600)
    tallies.count_days()
    clock.pass_by(days=3)
    Payment.objects.update(refunded=0, disputed=0)
    tallies.count_days()
    cash: Counter[date] = Counter()
    for each in journal(clock.now.date() - timedelta(days=3), clock.now.date()):
        if each.words in {"Refunds", "Disputed payments"} and each.account == "1200 Stripe clearing":
            cash[each.day] += each.debit - each.credit
    assert cash == {clock.now.date() - timedelta(days=3): -900, clock.now.date(): 900}
