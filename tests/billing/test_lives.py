"""The end is the same in every order in which Stripe's events come."""

import pytest

from tests.billing.lives import LIVES, lives_the_same_in_every_order
from tests.billing.shop import Shop


@pytest.mark.parametrize("name", LIVES)
def test_a_life_ends_the_same_whatever_is_heard_first(shop: Shop, name: str) -> None:
    assert lives_the_same_in_every_order(shop, name, most=4) >= 1
