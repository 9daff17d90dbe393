import json
from typing import Any
from urllib.parse import urlsplit

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import keys, roles
from accounts.models import ApiKey, User
from billing import ledger
from billing.allowances import allow_monthly
from journal.transactions import step

PASSWORD = "sieve-the-day"  # noqa: S105  (the demo's, on loopback only, and printed at every start)
CAST = {
    "subscriber": ("alice@demo.example", None),
    "second subscriber": ("carol@demo.example", None),
    "moderator": ("bob@demo.example", "moderator"),
    "senior moderator": ("sofia@demo.example", "senior_moderator"),
    "billing admin": ("bruno@demo.example", "billing_admin"),
    "second billing admin": ("bianca@demo.example", "billing_admin"),
    "operator": ("olga@demo.example", "operator"),
}
CREDITS_A_MONTH = 400


class Command(BaseCommand):
    """Make the demo's cast with known passwords, and print them as JSON. Safe to run again; loopback only."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        if urlsplit(settings.BASE_URL).hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise CommandError(
                f"The demo's cast has a known password and is made on loopback only, not for {settings.BASE_URL}."
            )
        accounts = []
        with step("demo.seed"):
            for role, (email, group) in CAST.items():
                person = self.person(email)
                if group:
                    roles.give(person, group)
                else:
                    allow_monthly(ledger.wallet_of(person), CREDITS_A_MONTH)
                accounts.append({"role": role, "email": email, "password": PASSWORD})
            secret = self.api_key(User.objects.get(email=CAST["subscriber"][0]))
        self.stdout.write(json.dumps({"accounts": accounts, "api_key": secret}))

    @staticmethod
    def person(email: str) -> User:
        person = User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD)
        EmailAddress.objects.get_or_create(user=person, email=email, defaults={"verified": True, "primary": True})
        return person

    @staticmethod
    def api_key(person: User) -> str:
        """The demo subscriber's key. Its secret is kept in a private file beside the data, to print it again."""
        path = settings.DATA / "demo-api-key"
        if path.exists() and (secret := path.read_text().strip()) and keys.person_for(secret) == person:
            return secret
        for old in ApiKey.objects.usable().filter(person=person, name="demo"):
            old.revoke()
        _, secret = keys.create(person, "demo")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secret)
        return secret
