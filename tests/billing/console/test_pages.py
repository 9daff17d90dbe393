"""Every page of the console: to admins alone, empty and full, and never anybody's words or pictures."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.console import tallies
from billing.models import Account, Dispute, Finding, Hold, Lot, Operation, Payment, Subscription, Transfer, Wallet
from generation.models import Job
from tests import path
from tests.billing.console.history import Clock, House
from tests.people import People, cast
from tests.web.test_pages import assert_is_a_page

PLAIN = ["console", "console_people", "console_acts", "console_findings", "console_exports"]


@pytest.fixture
def people(db: Any) -> People:
    return cast()


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def bruno(people: People) -> Client:
    return signed_in(people.bruno)


def page(client: Client, address: str, *, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, address
    html = answer.content.decode()
    if status == 200:
        assert_is_a_page(html)
        assert " style=" not in html
        assert "None" not in html, address
    return " ".join(html.split())


@pytest.mark.parametrize("name", PLAIN)
def test_only_billing_admins_come_in(people: People, name: str) -> None:
    address = reverse(name)
    assert Client().get(address).headers["Location"].startswith(reverse("account_login"))
    for person in (people.alice, people.bob, people.sofia, people.olga):
        assert signed_in(person).get(address).status_code == 403
    page(signed_in(people.bruno), address)


def test_the_console_is_in_the_bar_of_billing_admins_only(people: People) -> None:
    link = f'href="{reverse("console")}"'
    assert link in page(signed_in(people.bruno), reverse("studio"))
    assert link not in page(signed_in(people.bob), reverse("studio"))


def test_empty_pages_say_what_will_be_there(bruno: Client, people: People) -> None:
    assert "Nothing was counted yet" in page(bruno, reverse("console"))
    assert "Nothing waits for a second person" in page(bruno, reverse("console_acts"))
    assert "Stripe and the ledger agree" in page(bruno, reverse("console_findings"))
    assert "Nobody took one yet" in page(bruno, reverse("console_exports"))
    olga = page(bruno, reverse("console_person", args=[people.olga.pk]))
    assert "They never had any credits" in olga
    assert "They never bought anything" in olga
    assert not Wallet.objects.filter(person=people.olga).exists(), "looking opens no wallet"
    assert "No credit of theirs" in page(bruno, reverse("console_lines", args=[people.olga.pk]))


def test_the_figures_of_a_full_house(house: House, people: People) -> None:
    for _ in range(12):
        house.day()
    bruno = signed_in(people.bruno)
    tallies.count_days()
    for days in (30, 90, 365):
        html = page(bruno, reverse("console") + f"?days={days}")
        assert html.count('class="plot"') == 10
        marks = {30: 30, 90: 90, 365: 73}[days]
        assert html.count('<rect class="mark"') == 10 * marks
        assert html.count("<title>") == 10 * marks + 1
    assert "as of <time" in html
    assert '<strong id="credits">' in html, "the figures leave the bar of the page alone"
    assert "Row(" not in html
    assert "house-painter" in html
    euro = page(bruno, reverse("console") + "?days=30&currency=eur")
    assert "€" in euro
    for odd in ("?days=31", "?days=x&currency=xyz", "?days=٣٠"):
        page(bruno, reverse("console") + odd)


def test_a_day_with_more_refunded_than_sold_is_drawn(house: House, people: People, clock: Clock) -> None:
    payment = house.buy(person=house.people[0], amount=900, currency="usd", tax=0)
    tallies.count_days()
    clock.pass_by(days=45)
    Payment.objects.filter(pk=payment.pk).update(refunded=900)
    tallies.count_days()
    html = page(signed_in(people.bruno), reverse("console"))
    assert "$9" in html


@pytest.fixture
def full(house: House, people: People) -> House:
    """Ten days, and one of everything that may be found."""
    for _ in range(10):
        house.day()
    payment = Payment.objects.filter(amount__gt=0).order_by("id")[0]
    Payment.objects.filter(pk=payment.pk).update(
        number="A1B2-0003", card_last4="4242", card_brand="visa", stripe_invoice="in_1", stripe_charge="ch_1"
    )
    Finding.objects.create(kind="paid_not_granted", about="in_9", what="<b>odd</b>", remedy="Grant.", is_mendable=True)
    Operation.objects.create(kind="x", subject="y", params={}, begun_at=timezone.now() - timedelta(hours=1))
    Subscription.objects.filter(ended_at__isnull=True).update(status="past_due", failing_since=timezone.now())
    Dispute.objects.update(status="needs_response", answer_by=timezone.now() - timedelta(days=1))
    return house


def test_every_person_payment_and_transfer_has_its_page(full: House, people: People) -> None:
    bruno = signed_in(people.bruno)
    for person in [*full.people, people.alice]:
        page(bruno, reverse("console_person", args=[person.pk]))
        page(bruno, reverse("console_lines", args=[person.pk]))
        page(bruno, reverse("console_payments", args=[person.pk]))
    for payment in Payment.objects.all():
        page(bruno, reverse("console_payment", args=[payment.pk]))
    for kind in Transfer.Kind:
        for transfer in Transfer.objects.filter(kind=kind)[:3]:
            page(bruno, reverse("console_transfer", args=[transfer.pk]))
    html = page(bruno, reverse("console_findings"))
    assert "&lt;b&gt;odd" in html
    assert "missed" in html
    for name in ("console_person", "console_lines", "console_transfer", "console_payment"):
        assert bruno.get(reverse(name, args=[10**15])).status_code == 404


def test_lines_go_back_page_by_page_and_miss_nothing(full: House, people: People) -> None:
    bruno = signed_in(people.bruno)
    person = max(full.people, key=lambda each: Transfer.objects.filter(wallet__person=each).count())
    seen: list[int] = []
    address = reverse("console_lines", args=[person.pk])
    query = ""
    for _ in range(20):
        html = page(bruno, address + query)
        seen += [int(number) for number in re.findall(r"/console/transfers/(\d+)/", html)]
        older = re.search(r'rel="next" href="(\?before=\d+)"', html)
        if older is None:
            break
        query = older[1]
    assert seen == list(Transfer.objects.filter(wallet__person=person).order_by("-id").values_list("id", flat=True))


HITS = {
    "ALICE@example.org": "people",
    "lice@exam": "people",
    "A1B2-0003": "payments",
    "a1b2-0003": "payments",
    "in_1": "payments",
    "ch_1": "payments",
    "4242": "people",
    "  4242 ": "people",
    "payment:1": "payments",
    "transfer:1": "transfers",
}


def test_one_hit_is_gone_to_at_once(full: House, people: People) -> None:
    for wanted, leads_to in HITS.items():
        first = {"payment:1": Payment, "transfer:1": Transfer}.get(wanted)
        query = wanted.replace("1", str(first.objects.order_by("id")[0].pk)) if first else wanted
        answer = signed_in(people.bruno).get(reverse("console_people"), {"q": query})
        assert answer.status_code == 302, query
        assert f"/console/{leads_to}/" in answer["Location"], query


def test_whatever_is_searched_for_gets_a_page(full: House, people: People) -> None:
    for query in ("", "person", "nobody@nowhere", "%", "\\", "in_", "9" * 40, "'; --", "<b>", "a\0b"):
        answer = signed_in(people.bruno).get(reverse("console_people"), {"q": query})
        assert answer.status_code == 200, query
        assert "<b>" not in answer.content.decode().partition("<h1")[2].partition("</h1>")[0], query


def test_a_job_is_found_and_told_without_its_prompt(fresh_database: str) -> None:
    people = cast()
    job = path.submit(people.alice, "a red apple on blue")
    path.work()
    assert Job.objects.get(pk=job.pk).state == "done"
    bruno = signed_in(people.bruno)
    medium = job.media.get()
    for reference in (job.pk, medium.pk, str(job.pk).upper()):
        answer = bruno.get(reverse("console_people"), {"q": str(reference)})
        assert answer["Location"] == reverse("console_job", args=[job.pk])
    transfer = Transfer.objects.get(kind="capture")
    for address in (
        reverse("console_job", args=[job.pk]),
        reverse("console_transfer", args=[transfer.pk]),
        reverse("console_lines", args=[people.alice.pk]),
        reverse("console_person", args=[people.alice.pk]),
    ):
        html = page(bruno, address)
        assert "red apple" not in html, address
        assert "<img" not in html
        assert "A picture was released, 1 of 1 by fake" in html
    assert bruno.get(reverse("console_job", args=["00000000-0000-4000-8000-000000000000"])).status_code == 404
    tallies.count_days()
    html = page(bruno, reverse("console"))
    assert '<th scope="row">fake</th><td class="number">1</td>' in html


def test_an_admin_of_looks_alone_meets_no_form(people: People) -> None:
    from django.contrib.auth.models import Permission

    people.olga.user_permissions.add(Permission.objects.get(codename="view_console"))
    olga = signed_in(User.objects.get(pk=people.olga.pk))
    html = page(olga, reverse("console_person", args=[people.alice.pk]))
    assert 'name="kind"' not in html
    answer = olga.post(reverse("console_acts"), {"kind": "correction", "person": people.alice.pk, "key": "x" * 10})
    assert answer.status_code == 403


def test_debts_and_what_is_set_aside_are_told(people: People) -> None:
    wallet = ledger.wallet_of(people.alice)
    ledger.hold(wallet, {"medium:a": 7})
    html = page(signed_in(people.bruno), reverse("console_person", args=[people.alice.pk]))
    assert "<dt>Set aside</dt><dd>7</dd>" in html
    assert Hold.objects.count() == 1
    assert Lot.objects.count() == 2
    assert Account.objects.filter(kind="owed").count() == 0
