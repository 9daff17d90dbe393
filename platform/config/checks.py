"""Deployment checks of our own, run by `manage.py check --deploy`."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import OperationalError, connections


@register(Tags.security, deploy=True)
def mail_leaves_the_house(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Whoever signs up confirms an address by mail, so mail must go out."""
    if not settings.TLS or "filebased" not in settings.EMAIL_BACKEND:
        return []
    return [
        Warning(
            "Mail is written to files, so nobody can sign up or reset a password.",
            hint="Set EMAIL_BACKEND=django.core.mail.backends.smtp.EmailBackend, and EMAIL_HOST and the rest.",
            id="vaglio.W002",
        )
    ]


@register(Tags.security, deploy=True)
def application_role_owns_nothing(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The application's database role must not own a table, or no trigger could hold it."""
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE tableowner = current_user AND schemaname = 'public'")
            owned = [row[0] for row in cursor.fetchall()]
    except OperationalError as error:
        return [
            Warning(
                f"The database could not be asked who owns its tables: {str(error).splitlines()[0]}",
                hint="Run `manage.py check --deploy` again where DATABASE_URL can be reached.",
                id="vaglio.W001",
            )
        ]
    if not owned:
        return []
    return [
        Error(
            f"The application role owns {len(owned)} tables, among them {owned[0]}.",
            hint="Migrate as DATABASE_OWNER_URL (`manage.py prepare_database`) and run as another role.",
            id="vaglio.E001",
        )
    ]
