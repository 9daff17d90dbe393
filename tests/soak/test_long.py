"""The long proofs, at full size: the house models, hundreds of kills, a broker away for a whole minute."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generation.actions import jobs
from generation.models import Job
from tests import path, places
from tests.invariants import assert_nothing_lost
from tests.path import until
from tests.people import cast
from tests.processes import Platform
from tests.shelf import read_anew

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 60
VICTIMS = ("draw", "screen", "relay", "sweep", "web")


@pytest.fixture(autouse=True)
def catalogue(settings: Any) -> Iterator[None]:
    """The orders of these tests are for the house model."""
    settings.CATALOGUE = ROOT / "generation" / "catalogue"
    read_anew()
    yield
    read_anew()


@pytest.fixture
def house(postgres: Any, fresh_database: str, tmp_path: Path, settings: Any) -> Any:
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
        VAGLIO_POLICIES=str(ROOT / "moderation" / "policies"),
        LEASE_SECONDS="10",
        AUDIT_HEAD_FILE=str(settings.AUDIT_HEAD_FILE),
    ) as platform:
        platform.people = people
        yield platform


# Which program comes past a place when plain orders are drawn.
PROGRAMS = {
    "outbox.": "relay",
    "screen.claim": "screen",
    "screen.record": "screen",
    "screen.before_gate": "screen",
    "screen.after_gate": "screen",
    "derivative.": "screen",
    "moderation.release": "screen",
    "draw.claim": "draw",
    "draw.renew": "draw",
    "draw.before_quarantine": "draw",
    "draw.store": "draw",
    "files.": "draw",
    "journal.seal": "sweep",
}


def places_of(program: str) -> list[str]:
    """The failpoints that a program comes past when plain orders are drawn."""
    return [
        place
        for place in sorted(places.failpoints())
        if next((by for start, by in PROGRAMS.items() if place.startswith(start)), "") == program
    ]


def ended() -> bool:
    return not Job.objects.open().exclude(state="in_review").exists()


@pytest.mark.parametrize("seed", [1, 2])
def test_random_kills_under_load_lose_nothing(house: Any, seed: int) -> None:
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
    for job in Job.objects.filter(state="in_review"):
        jobs.cancel(job, actor=job.person)
    assert_nothing_lost()


@pytest.mark.parametrize("program", sorted(set(PROGRAMS.values())))
def test_killed_at_every_place_with_the_house_models_and_nothing_is_lost(house: Any, program: str) -> None:
    """A pool starts a killed child again, and it is killed again, until a worker without the failpoint comes."""
    people = (house.people.alice, house.people.carol)
    assert places_of(program)
    for place in places_of(program):
        before = len(house.log(program))

        def struck(before: int = before) -> bool:
            said = house.log(program)[before:]
            return house.died(program) or "SIGKILL" in said or "signal 9" in said

        house.kill(program)
        house.start(program, VAGLIO_FAILPOINT=place)
        orders = {path.submit(person, "a red apple on blue", key=place).pk for person in people}
        until(struck, seconds=180, what=f"the death of {program} at {place}")
        house.kill(program)
        house.start(program)
        until(ended, seconds=240, what=f"the end of every job after {place}")
        for job in Job.objects.filter(state="in_review"):
            jobs.cancel(job, actor=job.person)
        assert set(Job.objects.filter(pk__in=orders).values_list("state", flat=True)) <= {"done", "cancelled"}
        assert_nothing_lost()


def test_a_broker_that_is_away_for_a_minute(house: Any) -> None:
    house.kill_broker()
    time.sleep(60)
    job = path.submit(house.people.alice, "a red apple on blue")
    house.valkey.start()
    began = time.monotonic()
    until(lambda: Job.objects.get(pk=job.pk).started_at, seconds=60)
    assert time.monotonic() - began < 10
