"""What allauth asks us."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts.models import User


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
