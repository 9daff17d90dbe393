"""Signed addresses of released media: they end after five minutes, and the gate is asked again when they are used."""

from uuid import UUID

from django.core import signing
from django.urls import reverse

from generation.models import Medium

TERM_SECONDS = 300
_SIGNER = signing.TimestampSigner(salt="generation.released-medium")


class AddressEnded(Exception):
    """The address was signed more than five minutes ago, or was changed."""


def signed_path(medium: Medium) -> str:
    """A path that shows this medium to whoever holds it, for five minutes. Raises ValueError if it is not shown."""
    if not medium.is_shown:
        raise ValueError(f"Medium {medium.pk} is not released; it has no address.")
    return reverse("signed_medium", args=[_SIGNER.sign(medium.pk.hex)])


def medium_key(token: str) -> UUID:
    """The medium that a signed address names. Raises AddressEnded."""
    try:
        return UUID(_SIGNER.unsign(token, max_age=TERM_SECONDS))
    except (signing.BadSignature, ValueError) as error:
        raise AddressEnded("This address has ended. Ask for the job again to get a new one.") from error
