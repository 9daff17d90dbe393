"""The real sweeper: its turns go on while a chore of the hour waits."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from billing.models import Lot, Wallet
from journal.models import Line
from tests import path
from tests.billing.test_ledger import wallet_with

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def wallet(fresh_database: str) -> Wallet:
    """Ten credits that are overdue."""
    return wallet_with((10, timedelta(seconds=-1)))


@pytest.fixture
def holder(wallet: Wallet, as_app: Any) -> Any:
    """Somebody who has locked that wallet, and does not let go."""
    as_app.autocommit = False
    as_app.execute("SELECT FROM billing_wallet WHERE id = %s FOR UPDATE", [wallet.pk])
    return as_app


@pytest.fixture
def sweeper(holder: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = os.environ | {
        "AUDIT_HEAD_FILE": str(settings.AUDIT_HEAD_FILE),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
    }
    with (
        (tmp_path / "sweep.log").open("wb") as log,
        subprocess.Popen([sys.executable, "manage.py", "sweep"], cwd=ROOT, env=env, stdout=log, stderr=log) as process,
    ):
        yield process
        process.kill()


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def test_a_chore_of_the_hour_that_waits_holds_up_no_seal(
    wallet: Wallet, holder: Any, sweeper: subprocess.Popen[bytes]
) -> None:
    path.until(waits_for_a_lock, what="the wait for the wallet")
    wallet_with((5, None), email="carol@example.org")
    path.until(lambda: not Line.objects.filter(seq__isnull=True).exists(), what="the seal")
    assert Lot.objects.filter(wallet=wallet, remaining__gt=0).exists()
    holder.rollback()
    path.until(lambda: not Lot.objects.filter(wallet=wallet, remaining__gt=0).exists(), what="the expiry")
    sweeper.send_signal(signal.SIGTERM)
    assert sweeper.wait(30) == 0
