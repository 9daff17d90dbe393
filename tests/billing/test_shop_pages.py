"""The subscriber's side: buy, change, end, and come back to what could not be paid."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.allowances import grant_due
from billing.models import Allowance, Checkout, Lot, Notice, Operation, Payment, Price, Subscription, Wallet
from billing.sale import notices
from billing.sale.plans import plan_of, price_of
from generation.models import Job, Turn
from journal.transactions import step
from tests import path
from tests.billing.lives import FAILS, pay_with, stripe
from tests.billing.shop import Shop


@pytest.fixture
def browser(shop: Shop) -> Client:
    return signed_in(shop)


def signed_in(shop: Shop) -> Client:
    """Alice's browser. It forgets her after two weeks."""
    browser = Client()
    browser.force_login(shop.alice)
    return browser


def press(browser: Client, offer: str, interval: str = "once", **more: str) -> Any:
    price = price_of(offer, interval)
    assert price is not None
    return browser.post("/wallet/checkouts/", {"price": price.pk, "key": "a-form-of-hers", **more})


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_she_buys_a_plan_and_comes_back_to_her_wallet(shop: Shop, browser: Client) -> None:
    assert "$15 a month" in text(browser.get("/wallet/plans/"))
    answer = press(browser, "creator", "month")
    assert answer.status_code == 303
    assert answer["Location"].startswith(shop.fake.url)
    back = shop.fake.pay(answer["Location"])
    assert urlsplit(back).path == f"/wallet/checkouts/{Checkout.objects.get().pk}/"
    answer = browser.get(urlsplit(back).path)
    assert (answer.status_code, answer["Location"]) == (302, "/wallet/")
    page = text(browser.get("/wallet/"))
    assert "Creator: paid, and the credits are yours." in page
    assert "on trial" in page
    assert "60 credits granted." in page


def test_a_double_click_makes_one_purchase(shop: Shop, browser: Client) -> None:
    first, second = press(browser, "pack-500"), press(browser, "pack-500")
    assert first["Location"] == second["Location"]
    assert (Checkout.objects.count(), len(shop.fake.objects("checkout.session"))) == (1, 1)


def test_who_comes_back_without_buying_is_told_that_nothing_was_charged(shop: Shop, browser: Client) -> None:
    press(browser, "pack-500")
    visit = Checkout.objects.get()
    answer = browser.get(f"/wallet/checkouts/{visit.pk}/?left", follow=True)
    assert "Nothing was charged." in text(answer)
    assert visit.state == "open"


def test_out_of_credits_leads_to_the_top_up_and_back_to_the_unsent_prompt(shop: Shop, browser: Client) -> None:
    words = "a lighthouse, «in the rain» & a cat"
    answer = browser.post("/studio/jobs/", {"prompt": words, "n": "8", "seed": "7", "model": "fake"})
    assert answer.status_code == 402
    link = next(part for part in text(answer).split('"') if part.startswith("/wallet/plans/?back="))
    assert words not in link
    page = browser.get(link)
    assert "What you were about to draw is kept" in text(page)
    back = parse_qs(urlsplit(link).query)["back"][0]
    there = press(browser, "pack-500", back=back)["Location"]
    landing = browser.get(urlsplit(shop.fake.pay(there)).path)
    assert landing["Location"] == back == "/studio/?unsent"
    studio = browser.get(back)
    assert studio.context["values"]["prompt"] == words
    assert (studio.context["values"]["seed"], studio.context["n"]) == ("7", 8)
    assert browser.post("/studio/jobs/", {"prompt": words, "n": "8"}).status_code == 302
    assert "unsent" not in browser.session


@pytest.mark.parametrize(
    "back", ["//evil.example/", "https://evil.example/", "javascript:alert(1)", "/\\evil.example", "x" * 3000]
)
def test_the_way_back_stays_in_the_house(shop: Shop, browser: Client, back: str) -> None:
    there = press(browser, "pack-500", back=back)["Location"]
    assert browser.get(urlsplit(shop.fake.pay(there)).path)["Location"] == "/wallet/"


def test_an_upgrade_is_previewed_paid_and_granted_by_its_share(shop: Shop, browser: Client) -> None:
    shop.buy("creator", "month")
    shop.pass_by(days=7, hours=2)
    price = price_of("studio", "month")
    assert price
    page = browser.get(f"/wallet/subscription/change/?price={price.pk}")
    due = page.context["change"].due_now
    assert 0 < due < 4900
    answer = browser.post("/wallet/subscription/change/", {"price": price.pk, "key": "once"})
    assert answer["Location"] == "/wallet/"
    assert plan_of(shop.alice).code == "studio"
    assert Payment.objects.latest("pk").amount == pytest.approx(due, abs=5)
    before = shop.balance
    browser.post("/wallet/subscription/change/", {"price": price.pk, "key": "once"})
    shop.listen()
    assert shop.balance == before


def test_a_downgrade_waits_for_the_renewal(shop: Shop, browser: Client) -> None:
    shop.buy("studio", "month")
    price = price_of("creator", "month")
    assert price
    page = text(browser.get(f"/wallet/subscription/change/?price={price.pk}"))
    assert "5 February 2027</time> you pay $15 a month" in page
    browser.post("/wallet/subscription/change/", {"price": price.pk, "key": "once"})
    assert (plan_of(shop.alice).code, shop.balance[0]) == ("studio", 5016)
    shop.pass_by(days=31, hours=2)
    assert plan_of(shop.alice).code == "creator"
    assert Lot.objects.filter(granted=1200).count() == 1


def test_she_ends_it_changes_her_mind_pauses_and_resumes(shop: Shop, browser: Client) -> None:
    shop.buy("studio", "month")
    for act, state in (
        ("cancellation", "ending"),
        ("continuation", "active"),
        ("pause", "paused"),
        ("resumption", "active"),
    ):
        # Twice, as by a double click: the second changes nothing.
        for _ in range(2):
            assert browser.post(f"/wallet/subscription/{act}/").status_code == 302
        assert browser.get("/wallet/").context["standing"].state == state
    assert browser.get("/wallet/subscription/pause/").status_code == 405


def test_the_back_button_ends_it_again_after_she_changed_her_mind(shop: Shop, browser: Client) -> None:
    shop.buy("studio", "month")
    old = {"key": "a-page-from-before"}
    for act in ("cancellation", "continuation", "cancellation"):
        browser.post(f"/wallet/subscription/{act}/", old)
    assert browser.get("/wallet/").context["standing"].state == "ending"


def test_an_old_form_of_a_change_does_not_say_that_it_did_it(shop: Shop, browser: Client) -> None:
    shop.buy("studio", "month")
    creator, studio = price_of("creator", "month"), price_of("studio", "month")
    assert creator
    assert studio
    for price in (creator, studio):
        browser.post("/wallet/subscription/change/", {"price": price.pk, "key": f"for-{price.offer}"})
    answer = browser.post("/wallet/subscription/change/", {"price": creator.pk, "key": "for-creator"})
    assert answer.status_code == 409
    assert "This form was sent before" in text(answer)


def test_a_price_of_yesterday_cannot_be_bought(shop: Shop, browser: Client) -> None:
    """It still lies at Stripe for those who have it, and somebody could send its number."""
    cheap = price_of("pack-500", "once")
    assert cheap
    Price.objects.create(
        offer=cheap.offer,
        interval=cheap.interval,
        amount=cheap.amount,
        currency=cheap.currency,
        credits=cheap.credits,
        stripe_price="price_of_today",
        stripe_product=cheap.stripe_product,
    )
    answer = browser.post("/wallet/checkouts/", {"price": cheap.pk, "key": "a-form-of-hers"})
    assert answer.status_code == 409
    assert "This is not sold any more" in text(answer)
    assert not Checkout.objects.exists()


def test_a_failed_renewal_has_days_of_grace_a_letter_and_a_way_to_pay(shop: Shop) -> None:
    shop.buy("studio", "month")
    pay_with(shop, FAILS)
    shop.pass_by(days=31, hours=2)
    browser = signed_in(shop)
    standing = browser.get("/wallet/").context["standing"]
    assert (standing.state, plan_of(shop.alice).code) == ("grace", "studio")
    assert "12 February 2027" in standing.sentence
    notices.send_waiting()
    notices.send_waiting()
    (letter,) = mail.outbox
    assert letter.subject == "Your payment did not go through"
    assert "12 February 2027" in letter.body
    shop.fake.pay_invoice(standing.url)
    shop.listen()
    assert browser.get("/wallet/").context["standing"].state == "active"
    assert shop.balance[0] == 10001


def test_after_the_grace_the_plan_is_the_free_one_and_the_credits_stay(shop: Shop) -> None:
    shop.buy("studio", "month")
    pay_with(shop, FAILS)
    shop.pass_by(days=40)
    browser = signed_in(shop)
    assert plan_of(shop.alice).code == "free"
    assert browser.get("/wallet/").context["standing"].state in {"unpaid", "over"}
    # A studio's credits last two months longer than their own.
    assert shop.balance[0] == 5001


def test_a_card_that_asks_the_bank_at_renewal_is_told_and_can_be_confirmed(shop: Shop) -> None:
    shop.buy("studio", "month")
    pay_with(shop, "pm_card_authenticationRequired")
    shop.pass_by(days=31, hours=2)
    browser = signed_in(shop)
    standing = browser.get("/wallet/").context["standing"]
    assert standing.url
    notices.send_waiting()
    assert "Your bank wants you to confirm a payment" in [letter.subject for letter in mail.outbox]
    shop.fake.pay_invoice(standing.url)
    shop.listen()
    assert browser.get("/wallet/").context["standing"].state == "active"


def test_stripe_down_for_an_hour_loses_nothing_and_says_so(shop: Shop, browser: Client) -> None:
    there = press(browser, "pack-500")["Location"]
    shop.fake.pay(there)
    shop.fake.faults(next=1000, kind="down")
    visit = Checkout.objects.get()
    page = browser.get(f"/wallet/checkouts/{visit.pk}/")
    assert "your credits come by themselves" in text(page)
    assert page["Refresh"] == "5"
    price = price_of("pack-2000", "once")
    assert price
    answer = browser.post("/wallet/checkouts/", {"price": price.pk, "key": "another-form"})
    assert answer.status_code == 503
    assert "Payments cannot be reached at the moment. Nothing was charged" in text(answer)
    assert browser.get("/wallet/").status_code == 200
    shop.fake.faults(clear=True)
    assert browser.get(f"/wallet/checkouts/{visit.pk}/").status_code == 302
    assert shop.balance[0] == 516
    assert browser.post("/wallet/checkouts/", {"price": price.pk, "key": "another-form"}).status_code == 303


def test_a_price_that_was_removed_at_stripe_is_told_in_a_sentence(shop: Shop, browser: Client) -> None:
    price = price_of("pack-500", "once")
    assert price
    shop.fake.tamper(price.stripe_price, active=False)
    answer = press(browser, "pack-500")
    assert answer.status_code == 409
    assert "This cannot be bought at the moment, and nothing was charged" in text(answer)
    assert Operation.objects.filter(state="failed").count() == 1


def test_a_price_of_another_currency_is_granted_and_named(shop: Shop) -> None:
    from billing.sale import reconcile

    price = price_of("pack-500", "once")
    assert price
    shop.fake.tamper(price.stripe_price, currency="eur")
    shop.buy("pack-500")
    assert shop.balance[0] == 516
    assert Payment.objects.get().currency == "eur"
    assert {each.kind for each in reconcile.differences()} == {"other_currency", "price_differs"}


@pytest.mark.parametrize("limit", ["-5", "1.5", "many", "99999999999", "１０"])
def test_a_limit_that_is_no_number_is_refused_in_a_sentence(shop: Shop, browser: Client, limit: str) -> None:
    answer = browser.post("/wallet/limit/", {"limit": limit})
    assert answer.status_code == 400
    assert "A limit is a whole number of credits" in text(answer)


def test_her_limit_holds_in_the_studio_and_by_the_api(shop: Shop, browser: Client) -> None:
    shop.buy("pack-500")
    browser.post("/wallet/limit/", {"limit": "0"})
    answer = browser.post("/studio/jobs/", {"prompt": "a red apple", "n": "1"})
    assert answer.status_code == 402
    assert "You set a limit of 0 credits a month" in text(answer)
    browser.post("/wallet/limit/", {"limit": ""})
    assert browser.post("/studio/jobs/", {"prompt": "a red apple", "n": "1"}).status_code == 302


def test_a_portal_change_while_a_job_runs_leaves_the_job_alone(shop: Shop) -> None:
    shop.buy("studio", "month")
    job = path.submit(shop.alice, "a red apple on blue", n=2)
    subscription = Subscription.objects.get()
    stripe().subscriptions.cancel(subscription.stripe_id)
    shop.listen()
    assert plan_of(shop.alice).code == "free"
    path.work()
    job.refresh_from_db()
    assert job.state == "done"
    assert shop.balance[0] == 5016 - job.price


def test_the_plan_weighs_in_the_line(shop: Shop) -> None:
    shop.buy("studio", "month")
    path.submit(shop.alice, "a red apple on blue")
    path.work_prompts()
    assert Turn.objects.get(person=shop.alice).weight == 10
    assert Job.objects.get().state == "queued"


def test_while_a_plan_is_paid_for_the_free_credits_rest(shop: Shop) -> None:
    shop.buy("studio", "month")
    shop.pass_by(days=28)
    allowance = Allowance.objects.get(wallet=shop.wallet)
    Allowance.objects.filter(pk=allowance.pk).update(due_at=timezone.now())
    with step("tests.free"):
        grant_due(allowance, timezone.now())
    assert Lot.objects.filter(source="grant", granted=15).count() == 1
    stripe().subscriptions.cancel(Subscription.objects.get().stripe_id)
    shop.pass_by(days=35)
    with step("tests.free"):
        grant_due(Allowance.objects.get(wallet=shop.wallet), timezone.now())
    assert Lot.objects.filter(source="grant", granted=15).count() == 2


def test_a_person_with_credits_is_not_deleted_but_closed(shop: Shop) -> None:
    from django.db.models import ProtectedError

    shop.buy("pack-500")
    with pytest.raises(ProtectedError):
        shop.alice.delete()
    User.objects.filter(pk=shop.alice.pk).update(is_active=False)
    notices.tell(shop.alice, "runs_low", "2027-01")
    assert notices.send_waiting() == 1
    assert mail.outbox == []


def test_letters_about_credits_that_end_and_run_low_are_sent_once(shop: Shop) -> None:
    shop.buy("pack-500")
    shop.fake.advance(days=360)
    assert notices.find_due() == 1
    assert notices.find_due() == 0
    shop.spend(500)
    assert notices.find_due() == 1
    assert notices.find_due() == 0
    notices.send_waiting()
    # Spent since: nothing is left that could expire.
    assert [letter.subject for letter in mail.outbox] == ["1 credit left"]
    assert not Notice.objects.filter(sent_at__isnull=True).exists()


def test_a_debt_is_told_and_settled_from_the_wallet(shop: Shop, browser: Client) -> None:
    shop.buy("pack-500")
    shop.spend(510)
    shop.dispute(Payment.objects.get())
    shop.listen()
    with step("tests.gift"):
        ledger.grant(shop.wallet, 100, source="grant", key="gift", expires_at=None, reason="")
    page = text(browser.get("/wallet/"))
    assert "395 credits owed." in page
    assert "Use the 1 I have" in page
    assert "394" in text(browser.post("/wallet/repayment/", follow=True))
    answer = browser.post("/studio/jobs/", {"prompt": "a red apple", "n": "1"})
    assert answer.status_code == 402
    assert "owes 394 credits" in text(answer)


def test_nobody_sees_or_finishes_anothers_purchase(shop: Shop, browser: Client) -> None:
    visit = shop.begin("pack-500", person=shop.people.carol)
    assert browser.get(f"/wallet/checkouts/{visit.pk}/").status_code == 404
    assert Client().get(f"/wallet/checkouts/{visit.pk}/").status_code == 302


def test_prices_that_are_not_sold_buy_nothing(shop: Shop, browser: Client) -> None:
    for price in ("", "0", "999999", "x", "９", str(2**80)):
        answer = browser.post("/wallet/checkouts/", {"price": price, "key": "a-form-of-hers"})
        assert answer.status_code == 409
        assert "not sold any more" in text(answer)
    assert not Checkout.objects.exists()
    assert Wallet.objects.get(person=shop.alice).spending_limit is None


def test_who_is_away_longer_than_the_page_lasts_begins_again(shop: Shop, browser: Client) -> None:
    press(browser, "pack-500")
    shop.fake.advance(days=2)
    visit = Checkout.objects.get()
    page = browser.get(f"/wallet/checkouts/{visit.pk}/")
    assert "This payment was not finished" in text(page)
    assert timezone.now() - visit.created_at >= timedelta(days=2)
