"""What an operator is told before anything runs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from config.checks import mail_leaves_the_house

ROOT = Path(__file__).resolve().parent.parent


def test_an_application_role_that_owns_a_table_is_refused(fresh_database: str, as_owner: Any) -> None:
    call_command("check", deploy=True, tags=["security"], databases=["default"], fail_level="ERROR")
    # Only a superuser could hand a table over; one that the application made itself is as bad.
    from django.db import connections

    owner = connections["owner"].settings_dict | {}
    before = connections["default"].settings_dict["USER"], connections["default"].settings_dict["PASSWORD"]
    connections["default"].close()
    connections["default"].settings_dict.update(USER=owner["USER"], PASSWORD=owner["PASSWORD"])
    try:
        with pytest.raises(SystemCheckError, match="owns"):
            call_command("check", deploy=True, tags=["security"], databases=["default"], fail_level="ERROR")
    finally:
        connections["default"].close()
        connections["default"].settings_dict.update(USER=before[0], PASSWORD=before[1])


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SECRET_KEY", None, "SECRET_KEY is not set"),
        ("DATABASE_URL", "mysql://x/y", "DATABASE_URL must look like"),
        ("LEASE_SECONDS", "soon", "LEASE_SECONDS must be a number"),
        ("MOST_ATTEMPTS", "0", "MOST_ATTEMPTS must be at least 1"),
        ("VAGLIO_ENGINE", "magic", "VAGLIO_ENGINE must be one of"),
        ("DEBUG", "perhaps", "DEBUG must be yes or no"),
        ("SECRET_KEY_FILE", "/nowhere", "SECRET_KEY_FILE names /nowhere"),
    ],
)
def test_a_wrong_setting_stops_the_program_and_is_named(variable: str, value: str | None, said: str) -> None:
    env = dict(os.environ)
    env.pop("SECRET_KEY" if variable.startswith("SECRET") else variable, None)
    if value is not None:
        env[variable] = value
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings"], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert said in done.stderr


def test_mail_that_only_goes_into_files_is_told(settings: Any) -> None:
    settings.TLS, settings.EMAIL_BACKEND = True, "django.core.mail.backends.filebased.EmailBackend"
    assert [one.id for one in mail_leaves_the_house(None)] == ["vaglio.W002"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert mail_leaves_the_house(None) == []


def test_behind_a_proxy_one_address_is_trusted_and_subdomains_stay_free() -> None:
    env = os.environ | {"BEHIND_PROXY": "yes", "BASE_URL": "https://vaglio.example", "EMAIL_HOST": "mail.example"}
    names = ("ALLAUTH_TRUSTED_PROXY_COUNT", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD", "EMAIL_HOST")
    code = f"from config import settings; print([getattr(settings, name) for name in {names}])"
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[1, False, False, 'mail.example']", done.stderr


def test_the_web_process_loads_neither_torch_nor_onnxruntime(fresh_database: str) -> None:
    code = """
import sys, config.asgi
from django.urls import get_resolver
get_resolver().url_patterns
heavy = {"torch", "onnxruntime", "diffusers", "open_clip", "transformers", "numpy", "PIL", "av"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
