"""Refunds and disputes: the six mistakes that others made, by their numbers, and every order in which news may come.

The numbers are of elizaOS's issues, where each was found in the field (references/billing.md names them).
"""

import itertools

import pytest

from billing import ledger, reversals
from billing.console import acts
from billing.models import Act, ActOutcome, Dispute, Payment, Transfer
from billing.sale import events
from billing.sale.standing import standing_of
from tests.billing.shop import Shop, picture, whole

REASON = "They asked for it, and it was ours to give."


def bought(shop: Shop, offer: str = "pack-500") -> Payment:
    shop.buy(offer)
    shop.listen()
    return Payment.objects.latest("pk")


def refund(shop: Shop, payment: Payment, amount: int, *, beyond: bool = True, keeps_credits: bool = False) -> Act:
    return acts.ask_refund(
        payment,
        amount,
        reason=REASON,
        asked_by=shop.people.bruno,
        key=f"refund-{Act.objects.count()}",
        beyond=beyond,
        keeps_credits=keeps_credits,
    )


def test_10920_a_dispute_takes_the_money_and_so_the_credits(shop: Shop) -> None:
    payment = bought(shop)
    shop.dispute(payment)
    shop.listen()
    assert shop.balance == (16, 0, 0)
    assert Dispute.objects.get().withdrawn == 900


def test_10938_what_is_taken_at_the_opening_comes_back_when_it_is_won_and_stays_away_when_it_is_lost(
    shop: Shop,
) -> None:
    won, lost = bought(shop), bought(shop)
    first, second = shop.dispute(won), shop.dispute(lost)
    shop.listen()
    assert shop.balance == (16, 0, 0)
    shop.fake.move_dispute(first, "won")
    shop.fake.move_dispute(second, "lost")
    shop.listen()
    assert shop.balance == (516, 0, 0)
    assert reversals.taken_of(won).total == 0
    assert reversals.taken_of(lost).total == 500
    assert whole() == []


def test_10997_reinstated_funds_bring_the_credits_back_even_after_a_lost_dispute(shop: Shop) -> None:
    payment = bought(shop)
    shop.spend(400)
    dispute = shop.dispute(payment)
    shop.listen()
    # Fifteen of the four hundred were free ones, which end sooner.
    assert shop.balance == (1, 0, 385)
    shop.fake.move_dispute(dispute, "lost")
    shop.listen()
    shop.fake.move_dispute(dispute, reinstate=900)
    shop.listen()
    assert shop.balance == (116, 0, 0)
    assert whole() == []


def test_11155_a_refund_after_a_reinstatement_takes_its_own_part_and_no_less(shop: Shop) -> None:
    payment = bought(shop)
    dispute = shop.dispute(payment)
    shop.listen()
    shop.fake.move_dispute(dispute, "won")
    shop.listen()
    payment.refresh_from_db()
    assert acts.refundable(payment) == 900
    refund(shop, payment, 450)
    shop.listen()
    assert shop.balance == (16 + 250, 0, 0)


def test_31449_credits_are_taken_in_proportion_and_never_as_if_they_were_cents(shop: Shop) -> None:
    payment = bought(shop, "pack-2000")
    refund(shop, payment, 1450)
    assert reversals.taken_of(payment).total == 1000
    assert shop.balance == (1016, 0, 0)


def test_10963_a_debt_is_written_down_where_a_negative_balance_would_be_refused(shop: Shop) -> None:
    payment = bought(shop)
    shop.spend(510)
    shop.dispute(payment)
    shop.listen()
    # Fifteen free credits were spent first: of this purchase five are left.
    assert shop.balance == (1, 0, 495)
    assert whole() == []


def test_22930_an_account_that_owes_is_on_hold_until_it_is_settled(shop: Shop) -> None:
    payment = bought(shop)
    shop.spend(516)
    shop.dispute(payment)
    shop.listen()
    with pytest.raises(ledger.OnBillingHold, match="owes 500 credits"):
        shop.spend(1)
    shop.buy("pack-2000")
    assert shop.balance == (1500, 0, 0)
    shop.spend(1)


def test_a_helicone_4728_refund_of_more_than_is_unspent_is_refused_unless_it_is_said(shop: Shop) -> None:
    payment = bought(shop)
    shop.spend(265)
    assert acts.unspent_worth(payment) == 450
    with pytest.raises(acts.NotAllowed, match=r"Only \$4\.50 of it is unspent") as refusal:
        refund(shop, payment, 451, beyond=False)
    assert refusal.value.field == "beyond"
    refund(shop, payment, 450, beyond=False)
    assert shop.balance == (1, 0, 0)
    payment.refresh_from_db()
    with pytest.raises(acts.NotAllowed, match=r"to \$4\.50"):
        refund(shop, payment, 451)
    refund(shop, payment, 450)
    assert shop.balance == (1, 0, 250)


def test_goodwill_pays_back_and_leaves_the_credits(shop: Shop) -> None:
    payment = bought(shop)
    refund(shop, payment, 900, keeps_credits=True)
    shop.listen()
    assert shop.balance == (516, 0, 0)
    payment.refresh_from_db()
    assert (payment.refunded, payment.forgiven) == (900, 900)


def test_a_refund_that_fails_at_the_bank_gives_the_credits_back(shop: Shop) -> None:
    shop.buy("pack-500", card="4000000000005126")
    shop.listen()
    refund(shop, Payment.objects.get(), 900)
    assert shop.balance == (16, 0, 0)
    shop.pass_by(days=3)
    assert shop.balance == (516, 0, 0)


def test_an_inquiry_takes_nothing_until_it_becomes_a_dispute(shop: Shop) -> None:
    payment = bought(shop)
    inquiry = shop.dispute(payment, inquiry=True)
    shop.listen()
    assert shop.balance == (516, 0, 0)
    shop.fake.move_dispute(inquiry, "needs_response")
    shop.listen()
    assert shop.balance == (16, 0, 0)


def test_a_part_that_is_disputed_after_a_part_was_refunded_takes_both(shop: Shop) -> None:
    payment = bought(shop)
    refund(shop, payment, 300)
    shop.dispute(payment, amount=600)
    shop.listen()
    assert shop.balance == (16, 0, 0)
    assert whole() == []


def test_a_plan_whose_payment_was_taken_back_is_a_free_one(shop: Shop) -> None:
    shop.buy("studio", "month")
    shop.listen()
    assert shop.plan == "studio"
    dispute = shop.dispute(Payment.objects.get())
    shop.listen()
    assert shop.plan == "free"
    stands = standing_of(shop.subscription)
    assert (stands.state, stands.acts) == ("taken_back", ("cancellation",))
    assert "It is asked for again on 5 February 2027." in stands.sentence
    shop.fake.move_dispute(dispute, "won")
    shop.listen()
    assert shop.plan == "studio"
    assert standing_of(shop.subscription).state == "active"


def test_a_refund_asked_for_twice_is_made_once_whatever_stripe_answers(shop: Shop) -> None:
    payment = bought(shop)
    shop.fake.faults(next=1, match="POST /v1/refunds", kind="timeout_after_commit")
    act = refund(shop, payment, 900)
    assert not ActOutcome.objects.exists()
    assert len(shop.fake.objects("refund")) == 1
    assert acts.carry_out_granted() == 1
    assert acts.carry_out_granted() == 0
    assert len(shop.fake.objects("refund")) == 1
    assert ActOutcome.objects.get().act == act
    assert shop.balance == (16, 0, 0)


LIVES: dict[str, tuple[str, ...]] = {
    "won": ("won",),
    "lost": ("lost",),
    "lost and reinstated": ("lost", "reinstate"),
    "reviewed and won": ("under_review", "won"),
}


@pytest.mark.parametrize("life", LIVES)
def test_the_news_of_a_dispute_may_come_in_any_order(shop: Shop, life: str) -> None:
    """Each event is told as it came, but worked on in every order, beside what the person does meanwhile."""
    payment = bought(shop)
    shop.spend(300)
    dispute = shop.dispute(payment)
    for to in LIVES[life]:
        if to == "reinstate":
            shop.fake.move_dispute(dispute, reinstate=900)
        else:
            shop.fake.move_dispute(dispute, to)
    told = [event for event in shop.news() if events.SUBJECTS.get(f"{event['type'].split('.')[0]}.")]
    ends = []
    for number, order in enumerate(list(itertools.permutations(told))[:24]):
        for event in order:
            events.keep({**event, "id": f"{event['id']}_{number}"})
            shop.work()
        ends.append(picture(shop.alice))
    assert all(end == ends[0] for end in ends)
    gone = 0 if life != "lost" else 500
    assert reversals.taken_of(payment).total == gone
    assert whole() == []


def test_every_word_of_a_reversal_is_in_the_wallet(shop: Shop) -> None:
    payment = bought(shop)
    dispute = shop.dispute(payment)
    shop.listen()
    shop.fake.move_dispute(dispute, "won")
    shop.listen()
    told = Transfer.objects.filter(cause=payment.cause).order_by("id").values_list("kind", "reason")
    assert list(told) == [
        ("take_back", "The payment for them is disputed."),
        ("restore", "The money for them came back."),
    ]
