from collections.abc import Iterator
from typing import Any

import pytest

from tests.billing.shop import Shop, open_shop


@pytest.fixture
def shop(fresh_database: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop with an offline Stripe; Alice has 15 free credits and one of the tests'."""
    with open_shop(settings, monkeypatch) as shop:
        yield shop
