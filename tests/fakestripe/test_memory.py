"""What survives: a restart, a kill, and what changes behind everybody's back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stripe

from billing.fakestripe import FakeStripe
from billing.fakestripe.web.server import listener
from tests.fakestripe.spec import Checked
from tests.fakestripe.till import JANUARY_31, LIVE_KEY, Offline, Till, client_for

pytestmark = pytest.mark.skipif(bool(LIVE_KEY), reason="The real Stripe is not restarted by tests.")
ROOT = Path(__file__).resolve().parents[2]


def test_a_restart_keeps_objects_clock_keys_and_what_is_due(folder: Path) -> None:
    checked = Checked()
    with FakeStripe(folder, frozen_at=JANUARY_31) as fake:
        till = Till(client_for(fake.url, fake.key, checked), Offline(fake))
        subscription = till.subscribed(till.plan(1500))
        made = till.v1.customers.create(params={"name": "A"}, options={"idempotency_key": "one"})
        fake.advance(days=1)
        told = [event["id"] for event in fake.events()]
        then = fake.now
    with FakeStripe(folder, frozen_at=JANUARY_31) as fake:
        till = Till(client_for(fake.url, fake.key, checked), Offline(fake))
        assert fake.now == then
        assert [event["id"] for event in fake.events()] == told
        assert till.v1.customers.create(params={"name": "A"}, options={"idempotency_key": "one"}).id != made.id
        fake.advance(days=28)
        assert len(till.v1.invoices.list(params={"subscription": subscription.id, "status": "paid"}).data) == 2
    checked.close()
    checked.verify()


def test_a_stopped_fake_comes_back_at_the_same_address(folder: Path) -> None:
    checked = Checked()
    with FakeStripe(folder, frozen_at=JANUARY_31) as fake:
        till = Till(client_for(fake.url, fake.key, checked), Offline(fake))
        session = till.session(till.top_up())
        fake.stop()
        with pytest.raises(stripe.APIConnectionError):
            till.v1.customers.list()
        fake.start()
        till.driver.pay(session)
        assert till.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    checked.close()
    checked.verify()


def test_a_kill_loses_nothing_that_was_answered(folder: Path) -> None:
    checked = Checked()
    for round in range(2):
        sock = listener()
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        program = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "billing.fakestripe",
                "--folder",
                str(folder),
                "--fd",
                str(sock.fileno()),
                "--key",
                "sk_test_k",
            ],
            pass_fds=[sock.fileno()],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        sock.close()
        client = client_for(url, "sk_test_k", checked)
        kept = client.v1.customers.list(params={"limit": 100}).data
        assert len(kept) == 5 * round
        for _ in range(5):
            client.v1.customers.create(params={"name": "kept"})
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    checked.close()


def test_no_other_address_is_served() -> None:
    program = subprocess.run(
        [sys.executable, "-m", "billing.fakestripe", "--host", "0.0.0.0", "--port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert program.returncode == 2
    assert "127.0.0.1 only" in program.stderr


def test_objects_change_and_vanish_without_a_word(till: Till, fake: FakeStripe) -> None:
    intent = till.bought(till.top_up()).payment_intent
    told = len(fake.events())
    fake.tamper(intent.latest_charge.id, amount_refunded=200)
    assert till.v1.charges.retrieve(intent.latest_charge.id).amount_refunded == 200
    fake.forget(intent.id)
    with pytest.raises(stripe.InvalidRequestError):
        till.v1.payment_intents.retrieve(intent.id)
    assert len(fake.events()) == told


def test_a_clock_that_runs_does_what_is_due_by_itself() -> None:
    checked = Checked()
    with FakeStripe() as fake:
        till = Till(client_for(fake.url, fake.key, checked), Offline(fake))
        session = till.session(till.top_up())
        fake.advance(days=2)
        assert till.v1.checkout.sessions.retrieve(session.id).status == "expired"
    checked.close()
    checked.verify()
