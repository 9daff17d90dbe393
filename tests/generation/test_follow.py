"""Following a job: what one person may take of a web process."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.utils import timezone
from psycopg.conninfo import conninfo_to_dict

from accounts import keys
from accounts.models import ApiKey
from generation import follow
from tests import path
from tests.people import People, cast


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def test_one_person_follows_only_so_much_at_a_time(people: People, settings: Any) -> None:
    settings.MOST_STREAMS = 1
    job = path.submit(people.alice)
    _, secret = keys.create(people.alice, "tests")

    async def ask() -> int:
        answer = await AsyncClient().get(f"/v1/jobs/{job.pk}/events", headers={"Authorization": f"Bearer {secret}"})
        return answer.status_code

    async def try_it() -> None:
        assert await ask() == 200
        async with follow.hub().following("job", str(job.pk), people.alice.pk):
            assert await ask() == 429
            # A call that would wait is answered with how it stands now.
            looked = await asyncio.wait_for(follow.until(job, lambda: "now", lambda seen: False, seconds=60), 30)
            assert looked == "now"
            assert follow.hub().has_room(people.carol.pk)
        assert follow.hub().has_room(people.alice.pk)

    asyncio.run(try_it())


def test_a_stream_ends_so_that_a_revoked_key_is_noticed(people: People, settings: Any) -> None:
    settings.STREAM_SECONDS = 0.2
    job = path.submit(people.alice)
    key, secret = keys.create(people.alice, "tests")

    async def try_it() -> None:
        address, headers = f"/v1/jobs/{job.pk}/events", {"Authorization": f"Bearer {secret}"}
        answer = await AsyncClient().get(address, headers=headers)
        said = b"".join([part async for part in answer.streaming_content])
        assert b"event: job" in said
        assert b"event: end" not in said
        await sync_to_async(ApiKey.objects.filter(pk=key.pk).update)(revoked_at=timezone.now())
        assert (await AsyncClient().get(address, headers=headers)).status_code == 401

    asyncio.run(try_it())


def test_the_listening_connection_is_as_closed_as_the_others(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the address would ask for TLS, and this one connection would do without."""
    options = {"sslmode": "verify-full", "pool": {"max_size": 12}}
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", options)
    assert conninfo_to_dict(follow.conninfo())["sslmode"] == "verify-full"
