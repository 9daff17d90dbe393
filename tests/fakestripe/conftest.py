"""One offline Stripe per test, with a clock that stands still; every answer is held against Stripe's document."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.fakestripe import FakeStripe
from tests.fakestripe.receiver import Receiver
from tests.fakestripe.spec import Checked
from tests.fakestripe.till import JANUARY_31, LIVE_KEY, Live, Offline, Till, client_for


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """The offline Stripe by itself."""
    if LIVE_KEY:
        pytest.skip("This test looks inside the offline Stripe; STRIPE_LIVE_TEST_KEY asks for the real one.")
    with FakeStripe(frozen_at=JANUARY_31) as running:
        yield running


@pytest.fixture
def till(request: pytest.FixtureRequest) -> Iterator[Till]:
    """A shop at the offline Stripe, or at the real one if STRIPE_LIVE_TEST_KEY is set."""
    checked = Checked()
    if LIVE_KEY:
        yield Till(client_for("https://api.stripe.com", LIVE_KEY, checked), Live())
    else:
        running: FakeStripe = request.getfixturevalue("fake")
        yield Till(client_for(running.url, running.key, checked), Offline(running))
        from tests.fakestripe.spec import check_event

        for event in running.events():
            check_event(event)
    checked.close()
    checked.verify()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint that takes events."""
    with Receiver() as listening:
        yield listening


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a fake may keep everything."""
    return tmp_path / "stripe"
