"""Take what somebody asks the sieve: whether a file came from here, or what the policies say of texts and pictures."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.core.files.base import File
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from journal import files, outbox
from journal.transactions import step
from moderation.formats import limits
from moderation.models import Inquiry, Metered


class InquiryRefused(Exception):
    """What was brought is not looked at. The message says why."""


class TooManyInquiries(Exception):
    """More than is looked at for one asker."""

    def __init__(self, most: int, what: str = "files within an hour") -> None:
        super().__init__(f"You asked about {most} {what}, as many as are looked at. Come back later.")


def ask(file: "File[bytes]", *, person: User | None, address: str) -> Inquiry:
    """Keep a file until it was looked at, and wake the sieve. Nothing of it is opened here.

    Raises InquiryRefused for an empty or too large file, TooManyInquiries.
    """
    most = max(limits.MOST_BYTES.values())
    if not file.size:
        raise InquiryRefused("The file is empty. Choose another.")
    if file.size > most:
        raise InquiryRefused(f"The file is larger than {most // 1_000_000} MB. Choose a smaller one.")
    asker = _asker(person, address)
    hour = Inquiry.objects.filter(
        asker=asker, kind=Inquiry.Kind.ORIGIN, asked_at__gt=timezone.now() - timedelta(hours=1)
    )
    if hour[: settings.MOST_INQUIRIES_AN_HOUR].count() >= settings.MOST_INQUIRIES_AN_HOUR:
        raise TooManyInquiries(settings.MOST_INQUIRIES_AN_HOUR)
    inquiry = Inquiry(person=person, asker=asker)
    inquiry.file_key = files.write_once(files.quarantine(), _name(inquiry), file)
    with step("verify.ask"):
        inquiry.save(force_insert=True)
        outbox.wake("screen")
    return inquiry


def ask_moderation(person: User, inputs: Sequence[str | bytes]) -> Inquiry:
    """Have the policies judge texts and pictures, in order. Nothing of a picture is opened here.

    What is asked is metered, once it is taken. Raises InquiryRefused, TooManyInquiries.
    """
    asker = _asker(person, "")
    minute = Inquiry.objects.filter(
        asker=asker, kind=Inquiry.Kind.MODERATION, asked_at__gt=timezone.now() - timedelta(minutes=1)
    )
    most = settings.MOST_MODERATIONS_A_MINUTE
    if minute[:most].count() >= most:
        raise TooManyInquiries(most, "lists of texts and pictures within a minute")
    inquiry = Inquiry(kind=Inquiry.Kind.MODERATION, person=person, asker=asker)
    for number, one in enumerate(inputs):
        if isinstance(one, str):
            inquiry.question.append({"text": one})
            continue
        if len(one) > limits.MOST_BYTES["picture"]:
            raise InquiryRefused(f"A picture is larger than {limits.MOST_BYTES['picture'] // 1_000_000} MB.")
        name = f"{_name(inquiry)}-{number}"
        inquiry.question.append({"file": files.write_once(files.quarantine(), name, one)})
    pictures = sum("file" in one for one in inquiry.question)
    with step("moderations.ask"):
        inquiry.save(force_insert=True)
        Metered.objects.bulk_create([Metered(person=person, day=inquiry.asked_at.date())], ignore_conflicts=True)
        Metered.objects.filter(person=person, day=inquiry.asked_at.date()).update(
            texts=F("texts") + len(inputs) - pictures, pictures=F("pictures") + pictures
        )
        outbox.wake("screen")
    return inquiry


def _name(inquiry: Inquiry) -> str:
    return f"{Inquiry.FOLDER}/{inquiry.asked_at:%Y-%m-%d}/{inquiry.pk}"


def _asker(person: User | None, address: str) -> str:
    """Who asks, as a digest under the house's own key: nobody can read an address off it."""
    said = f"person:{person.pk}" if person else f"address:{address}"
    return hmac.new(settings.SECRET_KEY.encode(), f"inquiry:{said}".encode(), hashlib.sha256).hexdigest()
