"""What admins do through the pages: once, with a reason, and above a limit never alone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts import roles
from accounts.models import User
from billing import ledger
from billing.console import acts
from billing.models import Act, ActDecision, Finding, Lot, Payment, Transfer
from billing.sale import reconcile
from journal.models import Line
from journal.transactions import step
from tests.billing.shop import Shop, whole
from tests.people import People, cast, hashed
from tests.web.test_pages import assert_is_a_page

WHY = "They wrote that a picture never came."
ABOVE = configured.SECOND_PERSON_CREDITS + 1


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


@pytest.fixture
def bianca(people: People) -> User:
    """The second billing admin."""
    bianca = User.objects.create(email="bianca@example.org", password=hashed())
    roles.give(bianca, "billing_admin")
    return bianca


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(User.objects.get(pk=person.pk))
    return client


def correct(client: Client, person: User, amount: str, *, key: str = "a-form-of-its-own", reason: str = WHY) -> Any:
    form = {"kind": "correction", "person": person.pk, "amount": amount, "reason": reason, "key": key}
    return client.post(reverse("console_acts"), form)


def refund(client: Client, payment: Payment, amount: str, *, goes: str = "unspent", key: str = "a-form") -> Any:
    form = {"kind": "refund", "payment": payment.pk, "amount": amount, "goes": goes, "reason": WHY, "key": key + "-8"}
    return client.post(reverse("console_acts"), form)


def decide(client: Client, act: Act, answer: str, reason: str = "") -> Any:
    return client.post(reverse("console_decision", args=[act.pk]), {"decision": answer, "reason": reason})


def said(answer: Any, client: Client) -> str:
    """The page that the form leads to, or is again."""
    html = (client.get(answer["Location"]) if answer.status_code == 302 else answer).content.decode()
    assert_is_a_page(html)
    return " ".join(html.split())


def credits(person: User) -> int:
    return ledger.balance(ledger.wallet_of(person)).available


@pytest.mark.parametrize(("typed", "gives"), [("500", 500), ("−500", -500), ("1,000", 1000), ("-1000", -1000)])
def test_a_small_correction_is_done_at_once_and_audited(people: People, typed: str, gives: int) -> None:
    bruno = signed_in(people.bruno)
    answer = correct(bruno, people.alice, typed)
    assert answer["Location"] == reverse("console_person", args=[people.alice.pk])
    page = said(answer, bruno)
    assert ": done." in page
    assert WHY in page
    assert credits(people.alice) == 1000 + gives
    act = Act.objects.get()
    moved = Transfer.objects.get(key=f"act:{act.pk}")
    assert (moved.actor, moved.reason) == (people.bruno, WHY)
    for row in (act, act.decision, act.outcome):
        assert Line.objects.filter(source=row._meta.db_table, source_id=str(row.pk)).exists()
    assert whole() == []


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("", "Type a whole number"),
        ("much", "Type a whole number"),
        ("1.5", "Type a whole number"),
        ("NaN", "Type a whole number"),
        ("Infinity", "Type a whole number"),
        ("1e400", "Type a whole number"),
        ("9" * 5000, "Type a whole number"),
        ("0", "Give or take from 1 to 10,000,000"),
        ("10000001", "Give or take from 1 to 10,000,000"),
        ("-1001", "a correction makes no debt"),
    ],
)
def test_an_odd_amount_gets_a_sentence_and_loses_nothing(people: People, amount: str, says: str) -> None:
    answer = correct(signed_in(people.bruno), people.alice, amount)
    assert answer.status_code == 422
    page = said(answer, Client())
    assert says in page
    assert WHY in page, "the reason need not be typed again"
    assert not Act.objects.exists()
    assert credits(people.alice) == 1000


def test_nothing_is_done_without_a_reason_or_to_oneself(people: People) -> None:
    bruno = signed_in(people.bruno)
    answer = correct(bruno, people.alice, "10", reason="  because ")
    assert answer.status_code == 422
    assert "Say why, in a sentence" in said(answer, bruno)
    answer = correct(bruno, people.bruno, "10")
    assert answer.status_code == 422
    assert "your own account" in said(answer, bruno)
    assert not Act.objects.exists()


def test_the_same_form_twice_gives_once(people: People) -> None:
    bruno = signed_in(people.bruno)
    for _ in range(3):
        assert correct(bruno, people.alice, "500").status_code == 302
    assert credits(people.alice) == 1500
    assert Act.objects.count() == 1


def test_a_form_that_was_used_for_something_else_does_not_do_it_silently(people: People) -> None:
    bruno = signed_in(people.bruno)
    correct(bruno, people.alice, "500")
    answer = correct(bruno, people.carol, "700")
    assert answer.status_code == 422
    assert "sent before" in said(answer, bruno)
    assert (credits(people.alice), credits(people.carol)) == (1500, 1000)


def test_a_form_without_a_key_is_not_ours(people: People) -> None:
    for key in ("", "short", "x" * 65, "odd\nkey-of-ours"):
        assert correct(signed_in(people.bruno), people.alice, "500", key=key).status_code == 404
    assert not Act.objects.exists()


def test_two_clicks_at_the_same_moment_give_once(fresh_database: str) -> None:
    people = cast()
    clients = [signed_in(people.bruno) for _ in range(4)]

    def click(client: Client) -> int:
        try:
            return int(correct(client, people.alice, "500").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(click, clients)) == [302] * 4
    assert credits(people.alice) == 1500
    assert Act.objects.count() == 1


def test_above_the_limit_another_person_decides(people: People, bianca: User) -> None:
    bruno, second = signed_in(people.bruno), signed_in(bianca)
    answer = correct(bruno, people.alice, str(ABOVE))
    assert "Another billing admin has to grant it" in said(answer, bruno)
    assert credits(people.alice) == 1000
    act = Act.objects.get()
    page = said(second.get(reverse("console_acts")), second)
    assert WHY in page
    assert 'value="grant"' in page
    answer = decide(second, act, "grant")
    assert ": done." in said(answer, second)
    assert credits(people.alice) == 1000 + ABOVE
    assert act.decision.decided_by == bianca
    assert "Somebody decided this first" in said(decide(second, act, "decline", WHY), second)
    assert credits(people.alice) == 1000 + ABOVE


def test_the_same_person_in_two_sessions_is_no_second_person(people: People) -> None:
    first, other = signed_in(people.bruno), signed_in(people.bruno)
    assert first.session.session_key != other.session.session_key
    correct(first, people.alice, str(ABOVE))
    act = Act.objects.get()
    assert 'value="grant"' not in other.get(reverse("console_acts")).content.decode()
    for client in (first, other):
        answer = decide(client, act, "grant")
        assert answer.status_code == 422
        assert "another billing admin has to decide" in said(answer, client)
    # The same form once more grants nothing either.
    correct(other, people.alice, str(ABOVE))
    assert not ActDecision.objects.exists()
    assert credits(people.alice) == 1000
    assert decide(other, act, "decline", "I mistyped the amount.").status_code == 302
    assert not Act.objects.get().decision.is_granted


def test_many_small_ones_are_no_way_around_the_second_person(people: People, bianca: User, shop_clock: Any) -> None:
    bruno = signed_in(people.bruno)
    half = configured.SECOND_PERSON_CREDITS // 2
    for number in range(2):
        assert ": done." in said(correct(bruno, people.alice, str(half), key=f"small-form-{number}"), bruno)
    answer = correct(bruno, people.alice, "1", key="one-more-form")
    assert "Another billing admin has to grant it" in said(answer, bruno)
    # Nor is taking what was given, and giving it again.
    correct(bruno, people.alice, f"-{half}", key="and-back-form")
    assert Act.objects.filter(needs_second=True).count() == 2
    # It is what one admin does with one person's credits: others are others.
    assert ": done." in said(correct(bruno, people.carol, str(half), key="carols-form"), bruno)
    second = signed_in(bianca)
    assert ": done." in said(correct(second, people.alice, str(half), key="biancas-form"), second)
    shop_clock(timedelta(days=acts.LATELY.days + 1))
    bruno = signed_in(people.bruno)
    assert ": done." in said(correct(bruno, people.alice, str(half), key="next-month-form"), bruno)


@pytest.fixture
def shop_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let time pass."""
    from django.utils import timezone

    real, passed = timezone.now, [timedelta()]
    monkeypatch.setattr(timezone, "now", lambda: real() + passed[0])
    return lambda span: passed.__setitem__(0, passed[0] + span)


def test_declining_needs_a_reason_and_an_answer(people: People, bianca: User) -> None:
    correct(signed_in(people.bruno), people.alice, str(ABOVE))
    act, second = Act.objects.get(), signed_in(bianca)
    for answer, says in (("decline", "Say why not"), ("perhaps", "Grant it or decline it"), ("", "Grant it or")):
        found = decide(second, act, answer)
        assert found.status_code == 422
        assert says in said(found, second)
    assert not ActDecision.objects.exists()
    assert "declined. Nothing was done." in said(decide(second, act, "decline", WHY), second)
    assert credits(people.alice) == 1000


def test_a_correction_that_no_longer_fits_is_not_decided(people: People, bianca: User) -> None:
    from tests.people import give_credits

    give_credits(people.olga, 2 * ABOVE)
    correct(signed_in(people.bruno), people.olga, str(-ABOVE))
    act, second = Act.objects.get(), signed_in(bianca)
    wallet = ledger.wallet_of(people.olga)
    with step("tests.hold"):
        ledger.hold(wallet, {"medium:a": 2 * ABOVE})
    answer = decide(second, act, "grant")
    assert answer.status_code == 422
    assert "They have 0 credits by now" in said(answer, second)
    assert not ActDecision.objects.exists()
    with step("tests.release"):
        ledger.release("medium:a", reason="refused")
    assert ": done." in said(decide(second, act, "grant"), second)


@pytest.mark.parametrize("who", ["alice", "carol", "bob", "sofia", "olga"])
def test_nobody_else_does_anything(people: People, bianca: User, who: str) -> None:
    correct(signed_in(people.bruno), people.alice, str(ABOVE))
    finding = Finding.objects.create(kind="odd", about="x", what="x", remedy="x", is_mendable=True)
    client = signed_in(getattr(people, who))
    assert correct(client, people.carol, "500").status_code == 403
    assert decide(client, Act.objects.get(), "grant").status_code == 403
    assert client.post(reverse("console_mending", args=[finding.pk])).status_code == 403
    assert client.post(reverse("console_exports"), {"sheet": "journal"}).status_code == 403
    assert Act.objects.count() == 1


def test_forms_need_their_token(people: People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.bruno)
    assert correct(client, people.alice, "500").status_code == 403
    assert not Act.objects.exists()


def test_what_does_not_exist_is_not_found(people: People) -> None:
    bruno = signed_in(people.bruno)
    for form in (
        {"kind": "gift", "key": "12345678"},
        {"kind": "correction", "person": "999999", "key": "12345678"},
        {"kind": "correction", "person": "x", "key": "12345678"},
        {"kind": "refund", "payment": "9" * 30, "key": "12345678"},
        {"kind": "plan", "subscription": "", "key": "12345678"},
    ):
        assert bruno.post(reverse("console_acts"), form).status_code == 404, form


def buy(shop: Shop, offer: str = "pack-500", interval: str = "once") -> Payment:
    shop.buy(offer, interval)
    shop.listen()
    return Payment.objects.of(shop.alice).get()


def test_a_refund_of_what_is_unspent_comes_with_what_it_is_worth(shop: Shop) -> None:
    payment = buy(shop)
    shop.spend(115)
    bruno = signed_in(shop.people.bruno)
    page = bruno.get(reverse("console_payment", args=[payment.pk])).content.decode()
    assert 'value="7.20"' in page, "400 of 500 credits for 9 dollars"
    answer = refund(bruno, payment, "7.20")
    assert ": done." in said(answer, bruno)
    assert shop.balance == (1, 0, 0)
    payment.refresh_from_db()
    assert payment.refunded == 720
    assert whole() == []


def test_more_than_is_unspent_has_to_be_said(shop: Shop) -> None:
    payment = buy(shop)
    shop.spend(415)
    bruno = signed_in(shop.people.bruno)
    for amount, says in (
        ("9.00", "Only $1.80 of it is unspent"),
        ("9.01", "Up to $9 can be given back"),
        ("0", "Up to $9 can be given back"),
        ("-1", "Up to $9 can be given back"),
        ("1.001", "Type an amount in USD"),
        ("x", "Type an amount in USD"),
        ("1e400", "Type an amount in USD"),
    ):
        answer = refund(bruno, payment, amount)
        assert answer.status_code == 422
        assert says in said(answer, bruno)
    assert not Act.objects.exists()
    assert ": done." in said(refund(bruno, payment, "9.00", goes="debt"), bruno)
    assert shop.balance == (1, 0, 400)
    page = bruno.get(reverse("console_person", args=[shop.alice.pk])).content.decode()
    assert 'class="is-owed"' in page


def test_goodwill_leaves_the_credits(shop: Shop) -> None:
    payment = buy(shop)
    bruno = signed_in(shop.people.bruno)
    assert "credits kept: done." in said(refund(bruno, payment, "$9", goes="keep"), bruno)
    assert shop.balance == (516, 0, 0)
    page = said(bruno.get(reverse("console_payment", args=[payment.pk])), bruno)
    assert "All of it went back already" in page


def test_a_refund_sent_twice_goes_back_once(shop: Shop) -> None:
    payment = buy(shop)
    bruno = signed_in(shop.people.bruno)
    for _ in range(2):
        refund(bruno, payment, "4.50")
    assert len(shop.fake.objects("refund")) == 1
    assert shop.balance == (266, 0, 0)


def test_small_refunds_of_one_person_add_up_to_a_large_one(shop: Shop, settings: Any) -> None:
    settings.SECOND_PERSON_MONEY = 600
    payment = buy(shop)
    bruno = signed_in(shop.people.bruno)
    assert ": done." in said(refund(bruno, payment, "5", key="form-1"), bruno)
    assert "Another billing admin" in said(refund(bruno, payment, "3", key="form-2"), bruno)
    assert len(shop.fake.objects("refund")) == 1


def test_while_stripe_is_away_it_is_granted_and_done_later(shop: Shop, settings: Any) -> None:
    payment = buy(shop)
    bruno = signed_in(shop.people.bruno)
    there, settings.STRIPE_API_BASE = settings.STRIPE_API_BASE, "http://127.0.0.1:9"
    page = said(refund(bruno, payment, "4.50"), bruno)
    assert "Stripe does not answer; it is tried again until it is done." in page
    assert shop.balance == (516, 0, 0)
    settings.STRIPE_API_BASE = there
    assert acts.carry_out_granted() == 1
    assert shop.balance == (266, 0, 0)


def test_what_stripe_refuses_is_said(shop: Shop) -> None:
    payment = buy(shop)
    shop.fake.tamper(payment.stripe_charge, amount_refunded=900, refunded=True)
    bruno = signed_in(shop.people.bruno)
    page = said(refund(bruno, payment, "4.50"), bruno)
    assert "granted, but it could not be done" in page
    assert not Act.objects.get().outcome.is_done
    assert shop.balance == (516, 0, 0)


@pytest.mark.parametrize(("to", "ends_now"), [(acts.END_LATER, False), (acts.END_NOW, True)])
def test_a_plan_is_ended_by_hand(shop: Shop, to: str, ends_now: bool) -> None:
    buy(shop, "creator", "month")
    bruno = signed_in(shop.people.bruno)
    form = {"kind": "plan", "subscription": shop.subscription.pk, "plan": to, "reason": WHY, "key": "plan-form"}
    assert ": done." in said(bruno.post(reverse("console_acts"), form), bruno)
    shop.listen()
    subscription = shop.alice.subscriptions.get()
    assert (subscription.ended_at is not None, subscription.ends_at is not None)[0 if ends_now else 1]


def test_a_plan_is_changed_to_plans_of_the_list_only(shop: Shop) -> None:
    buy(shop, "creator", "month")
    bruno = signed_in(shop.people.bruno)
    form = {"kind": "plan", "subscription": shop.subscription.pk, "reason": WHY, "key": "plan-form"}
    for plan in ("", "x", "99999", "٣", "9" * 30):
        answer = bruno.post(reverse("console_acts"), form | {"plan": plan})
        assert answer.status_code == 422, plan
        assert "Choose a plan of the list" in said(answer, bruno)
    assert not Act.objects.exists()


def test_a_difference_is_mended_from_its_page(shop: Shop) -> None:
    visit = shop.buy("pack-500", look=False)
    reconcile.reconcile(mend=False)
    finding = Finding.objects.get(kind="paid_not_granted")
    bruno = signed_in(shop.people.bruno)
    page = said(bruno.get(reverse("console_findings")), bruno)
    assert finding.what in page
    answer = bruno.post(reverse("console_mending", args=[finding.pk]))
    assert "Done. The next" in said(answer, bruno)
    assert shop.balance == (516, 0, 0)
    assert Payment.objects.get().key == f"checkout:{visit.stripe_id}"
    answer = bruno.post(reverse("console_mending", args=[finding.pk]))
    assert "It is gone already" in said(answer, bruno)
    assert Lot.objects.filter(payment__isnull=False).count() == 1
