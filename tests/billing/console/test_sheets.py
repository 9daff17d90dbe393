"""Sheets that are taken along: complete, exact, harmless to open, and written down."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.console import sheets, tallies
from billing.models import Entry, Export, Lot, Payment
from journal.models import Line
from tests.billing.console.history import House
from tests.people import People, cast


@pytest.fixture
def people(db: Any) -> People:
    return cast()


@pytest.fixture
def bruno(people: People) -> Client:
    client = Client()
    client.force_login(people.bruno)
    return client


def take(client: Client, sheet: str, since: str = "2000-01-01", until: str = "2100-01-01") -> Any:
    return client.post(reverse("console_exports"), {"sheet": sheet, "since": since, "until": until})


def rows(client: Client, sheet: str, **days: str) -> list[dict[str, str]]:
    answer = take(client, sheet, **days)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "no-store" in answer["Cache-Control"]
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.fixture
def lived(house: House, people: People) -> House:
    for _ in range(15):
        house.day()
    tallies.count_days()
    return house


def test_the_sheet_of_entries_has_each_once_however_it_is_cut(
    lived: House, bruno: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at_once in (1, 7, 2000):
        monkeypatch.setattr(sheets, "AT_ONCE", at_once)
        told = rows(bruno, "entries")
        assert len(told) == Entry.objects.count()
        assert sum(int(row["amount"]) for row in told) == 0
        by_transfer: dict[str, int] = {}
        for row in told:
            by_transfer[row["transfer"]] = by_transfer.get(row["transfer"], 0) + int(row["amount"])
        assert set(by_transfer.values()) == {0}
        assert len(rows(bruno, "payments")) == Payment.objects.count()


def test_the_journal_balances_and_ends_at_what_open_lots_were_bought_for(lived: House, bruno: Client) -> None:
    told = rows(bruno, "journal")
    assert told
    sums: dict[tuple[str, str], Decimal] = {}
    for row in told:
        key = (row["day"], row["currency"])
        sums[key] = sums.get(key, Decimal()) + Decimal(row["debit"] or "0") - Decimal(row["credit"] or "0")
        assert bool(row["debit"]) != bool(row["credit"])
    assert set(sums.values()) == {Decimal()}
    lots = rows(bruno, "lots")
    for currency in ("USD", "EUR"):
        deferred = sum(
            Decimal(row["credit"] or "0") - Decimal(row["debit"] or "0")
            for row in told
            if row["account"] == "2400 Deferred revenue" and row["currency"] == currency
        )
        to_earn = sum(Decimal(row["deferred"] or "0") for row in lots if row["currency"].upper() == currency)
        assert deferred == to_earn


def test_a_day_of_the_past_is_told_as_it_was(lived: House, bruno: Client) -> None:
    today = timezone.now().date()
    then = (today - timedelta(days=5)).isoformat()
    before = rows(bruno, "lots", since=then, until=then)
    lived.day()
    assert rows(bruno, "lots", since=then, until=then) == before
    known = rows(bruno, "entries", since=then, until=then)
    assert known
    assert {row["at"][:10] for row in known} == {then}


def test_a_cell_that_begins_like_a_formula_is_text(people: People, bruno: Client) -> None:
    for number, odd in enumerate(("=1+1", "+1+cmd", "-2+3+cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1")):
        ledger.grant(
            ledger.wallet_of(people.alice), 5, source="grant", key=f"odd-{number}", expires_at=None, reason=odd
        )
    User.objects.filter(pk=people.carol.pk).update(email="=cmd@example.org")
    told = rows(bruno, "entries")
    reasons = {row["reason"] for row in told} | {row["person"] for row in told}
    assert not [reason for reason in reasons if reason.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert "'=1+1" in reasons
    assert "'=cmd@example.org" in reasons
    assert {"-5", "5"} <= {row["amount"] for row in told}, "numbers stay numbers"


def test_who_took_what_is_written_down_for_good(bruno: Client, people: People) -> None:
    rows(bruno, "journal", since="2026-01-01", until="2026-01-31")
    taken = Export.objects.get()
    assert (taken.sheet, taken.by, taken.since) == ("journal", people.bruno, date(2026, 1, 1))
    assert Line.objects.filter(source="billing_export", source_id=str(taken.pk)).exists()
    page = bruno.get(reverse("console_exports")).content.decode()
    assert people.bruno.email in page


@pytest.mark.parametrize(
    ("sheet", "since", "until", "says"),
    [
        ("secrets", "2026-01-01", "2026-01-31", "Choose one of the sheets"),
        ("", "2026-01-01", "2026-01-31", "Choose one of the sheets"),
        ("journal", "2026-01-31", "2026-01-01", "Give two days"),
        ("journal", "yesterday", "2026-01-01", "Give two days"),
        ("journal", "", "", "Give two days"),
        ("entries", "0001-01-01", "9999-12-31", "Give two days"),
    ],
)
def test_an_odd_wish_gets_a_sentence(bruno: Client, sheet: str, since: str, until: str, says: str) -> None:
    answer = take(bruno, sheet, since, until)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Export.objects.exists()


def test_an_empty_house_has_empty_sheets(bruno: Client) -> None:
    assert not Lot.objects.filter(payment__isnull=False).exists()
    for sheet in ("journal", "payments"):
        assert rows(bruno, sheet) == []
