"""The long proofs, at full size: the house models, hundreds of kills, a broker away for a whole minute."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from generation.models import Job
from tests import path
from tests.invariants import assert_nothing_lost
from tests.path import until
from tests.people import cast
from tests.processes import Platform

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 60
VICTIMS = ("draw", "screen", "relay", "sweep", "web")


@pytest.fixture
def house(postgres: Any, fresh_database: str, tmp_path: Path) -> Any:
    """All processes with the house models."""
    urls = {
        "DATABASE_URL": postgres.app_url(fresh_database),
        "DATABASE_OWNER_URL": postgres.owner_url(fresh_database),
    }
    people = cast(credits=1_000_000)
    with Platform(
        tmp_path / "platform",
        urls,
        VAGLIO_ENGINE="diffusers",
        VAGLIO_CLASSIFIERS="house",
        VAGLIO_CATALOGUE=str(ROOT / "generation" / "catalogue"),
    ) as platform:
        platform.people = people  # type: ignore[attr-defined]
        yield platform


def ended() -> bool:
    return not Job.objects.open().exclude(state="in_review").exists()


@pytest.mark.parametrize("seed", [1, 2])
def test_random_kills_under_load_lose_nothing(house: Any, seed: int, settings: Any) -> None:
    settings.CATALOGUE = ROOT / "generation" / "catalogue"
    from generation import offer

    offer.cards.cache_clear()
    chance = random.Random(seed)
    for kill in range(KILLS):
        for person in (house.people.alice, house.people.carol):
            path.submit(person, chance.choice(["a red apple on blue", "a green car on white"]), key=f"{seed}/{kill}")
        victim = chance.choice(VICTIMS)
        house.kill(victim)
        house.start(victim)
        time.sleep(chance.uniform(0, 2))
    until(ended, seconds=600, what="the end of every job")
    assert Job.objects.count() == 2 * KILLS
    from generation.actions import jobs

    for job in Job.objects.filter(state="in_review"):
        jobs.cancel(job, actor=job.person)
    assert_nothing_lost()
    offer.cards.cache_clear()


def test_a_broker_that_is_away_for_a_minute(house: Any, settings: Any) -> None:
    settings.CATALOGUE = ROOT / "generation" / "catalogue"
    from generation import offer

    offer.cards.cache_clear()
    house.kill_broker()
    time.sleep(60)
    job = path.submit(house.people.alice, "a red apple on blue")
    house.valkey.start()
    began = time.monotonic()
    until(lambda: Job.objects.get(pk=job.pk).started_at, seconds=60)
    assert time.monotonic() - began < 10
    offer.cards.cache_clear()
