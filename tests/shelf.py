"""What is sold is read once a process; tests that sell something else have it read anew."""

from generation import offer


def read_anew() -> None:
    for known in (offer.catalogue, offer.cards, offer.sold_modes):
        known.cache_clear()
