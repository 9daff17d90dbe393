"""Every order, or two hundred shuffles, of the events of each life of a purchase."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.billing.lives import LIVES, lives_the_same_in_every_order
from tests.billing.shop import Shop, open_shop


@pytest.fixture
def shop(fresh_database: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with open_shop(settings, monkeypatch) as shop:
        yield shop


@pytest.mark.parametrize("name", LIVES)
def test_a_life_ends_the_same_in_every_order(shop: Shop, name: str) -> None:
    lives_the_same_in_every_order(shop, name, most=200, seed=2)
