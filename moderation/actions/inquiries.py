"""Take a file that somebody asks about: whether it came from here."""

import hashlib
import hmac
from datetime import timedelta

from django.conf import settings
from django.core.files.base import File
from django.utils import timezone

from accounts.models import User
from journal import files, outbox
from journal.transactions import step
from moderation.formats import limits
from moderation.models import Inquiry


class InquiryRefused(Exception):
    """What was brought is not looked at. The message says why."""


class TooManyInquiries(Exception):
    """More files within an hour than are looked at for one asker."""

    def __init__(self, most: int) -> None:
        super().__init__(f"You asked about {most} files within an hour, as many as are looked at. Come back later.")


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
    hour = Inquiry.objects.filter(asker=asker, asked_at__gt=timezone.now() - timedelta(hours=1))
    if hour[: settings.MOST_INQUIRIES_AN_HOUR].count() >= settings.MOST_INQUIRIES_AN_HOUR:
        raise TooManyInquiries(settings.MOST_INQUIRIES_AN_HOUR)
    inquiry = Inquiry(person=person, asker=asker)
    name = f"{Inquiry.FOLDER}/{inquiry.asked_at:%Y-%m-%d}/{inquiry.pk}"
    inquiry.file_key = files.write_once(files.quarantine(), name, file)
    with step("verify.ask"):
        inquiry.save(force_insert=True)
        outbox.wake("screen")
    return inquiry


def _asker(person: User | None, address: str) -> str:
    """Who asks, as a digest under the house's own key: nobody can read an address off it."""
    said = f"person:{person.pk}" if person else f"address:{address}"
    return hmac.new(settings.SECRET_KEY.encode(), f"inquiry:{said}".encode(), hashlib.sha256).hexdigest()
