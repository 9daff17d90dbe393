from typing import Any

import pytest

from billing import causes
from tests.billing.console.history import Clock, House, Told, at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until the test moves it."""
    clock = Clock()
    at(clock, monkeypatch)
    return clock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Media have models, by their numbers."""
    told = Told()
    monkeypatch.setattr(causes, "_registered", [told])
    return told


@pytest.fixture
def house(db: Any, clock: Clock, told: Told) -> House:
    """Six people, four prices, and no day yet."""
    return House(clock, seed=7)
