"""What allauth asks us, and the credits that whoever signs up begins with."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts.models import User
from billing import ledger
from billing.allowances import allow_monthly
from billing.sale.plans import FREE, shop
from journal.transactions import step


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up is open; the waiting list comes with a later version."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return True

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """People have no user names here."""

    def get_user_display(self, user: User) -> str:
        return user.email

    def clean_email(self, email: str) -> str:
        return str(super().clean_email(email)).lower()

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Make the person and their monthly credits together."""
        with step("accounts.sign_up"):
            person: User = super().save_user(request, user, form, commit)
            if commit:
                allow_monthly(ledger.wallet_of(person), shop().offers[FREE].credits)
        return person
