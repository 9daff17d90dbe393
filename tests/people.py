"""The cast: Alice owns it, Carol may do nothing with it, Bob may review, and the others have their own doors."""

from functools import lru_cache
from typing import NamedTuple

from django.contrib.auth.hashers import make_password

from accounts import roles
from accounts.models import User
from billing import ledger
from journal.transactions import step

PASSWORD = "a-password-for-tests"


class People(NamedTuple):
    alice: User
    carol: User
    bob: User
    sofia: User
    bruno: User
    olga: User


@lru_cache
def hashed() -> str:
    """The one password, hashed once: a good hash takes half a second."""
    return make_password(PASSWORD)


def cast(*, credits: int = 1000) -> People:
    """Make everybody. Alice and Carol have credits."""
    with step("tests.cast"):
        people = People(
            *[
                User.objects.create(email=f"{name}@example.org", password=hashed())
                for name in ("alice", "carol", "bob", "sofia", "bruno", "olga")
            ]
        )
        for person, role in (
            (people.bob, "moderator"),
            (people.sofia, "senior_moderator"),
            (people.bruno, "billing_admin"),
            (people.olga, "operator"),
        ):
            roles.give(person, role)
        for person in (people.alice, people.carol):
            give_credits(person, credits)
    return people


def give_credits(person: User, amount: int) -> None:
    """A grant that does not expire."""
    with step("tests.credits"):
        ledger.grant(
            ledger.wallet_of(person),
            amount,
            source="grant",
            key=f"tests:{person.pk}",
            expires_at=None,
            reason="for the tests",
        )
