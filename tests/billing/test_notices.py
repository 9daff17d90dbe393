"""Letters reach everybody who should get one, once, whoever else cannot be reached."""

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Notice
from billing.sale import notices
from journal.transactions import step

pytestmark = pytest.mark.django_db


def people(many: int) -> list[User]:
    """People with bought credits that expire in two days."""
    found = []
    for number in range(many):
        person = User.objects.create(email=f"reader{number}@example.org")
        with step("tests.credits"):
            ledger.grant(
                ledger.wallet_of(person),
                50,
                source="paid",
                key=f"bought:{number}",
                expires_at=timezone.now() + timedelta(days=2),
                reason="bought",
            )
        found.append(person)
    return found


def test_nobody_waits_behind_those_who_were_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "AT_ONCE", 3)
    people(8)
    assert notices.find_due() == 8
    assert notices.find_due() == 0
    while notices.send_waiting():
        pass
    assert len(mail.outbox) == 8


def test_low_balances_are_told_once_a_month_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "AT_ONCE", 2)
    for person in people(5):
        with step("tests.hold"):
            ledger.hold(ledger.wallet_of(person), {f"medium:{person.pk}": 50})
    notices.find_due()
    assert Notice.objects.filter(kind="runs_low").count() == 5
    assert notices.find_due() == 0


class Fussy(EmailBackend):
    """Takes no letter for the second reader; for the fourth the line breaks."""

    away = True

    def send_messages(self, messages: Any) -> int:
        for message in messages:
            if "reader1@" in message.to[0]:
                raise smtplib.SMTPRecipientsRefused({message.to[0]: (550, b"no such user")})
            if "reader3@" in message.to[0] and Fussy.away:
                raise ConnectionResetError("the line broke")
        return super().send_messages(messages)


def test_an_address_that_takes_no_letters_holds_up_none(settings: Any) -> None:
    settings.EMAIL_BACKEND = "tests.billing.test_notices.Fussy"
    people(5)
    notices.find_due()
    notices.send_waiting()
    assert [letter.to[0] for letter in mail.outbox] == ["reader0@example.org", "reader2@example.org"]
    Fussy.away = False
    notices.send_waiting()
    assert [letter.to[0] for letter in mail.outbox][2:] == ["reader3@example.org", "reader4@example.org"]
    assert not Notice.objects.filter(sent_at__isnull=True).exists()


def test_a_letter_that_cannot_be_written_is_said_and_holds_up_none(caplog: pytest.LogCaptureFixture) -> None:
    first, second = people(2)
    notices.tell(first, "nonsense", "x")
    notices.tell(second, "runs_low", "2027-01")
    notices.send_waiting()
    assert [letter.to[0] for letter in mail.outbox] == [second.email]
    assert "could not be written" in caplog.text
