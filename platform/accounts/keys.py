"""Make and open API keys."""

import secrets

from accounts.models import ApiKey, User

MARK = "vg_"


def create(person: User, name: str) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret, which is not kept and cannot be shown again."""
    secret = MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        person=person, name=name.strip()[:80] or "key", prefix=secret[:8], digest=ApiKey.digest_of(secret)
    )
    return key, secret


def person_for(secret: str) -> User | None:
    """The active person whose unrevoked key this is, or None."""
    if not secret.startswith(MARK) or "\x00" in secret:
        return None
    key = ApiKey.objects.usable().select_related("person").filter(digest=ApiKey.digest_of(secret)).first()
    if key is None or not key.opens_with(secret):
        return None
    key.note_use()
    return key.person
