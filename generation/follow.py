"""Follow a job live: one LISTEN for each web process, fanned out; polling where a notification was lost."""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg
from django.conf import settings
from django.db import connection

from generation.models import Job
from journal.events import CHANNEL

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# Reads for streams share these threads and give their connection back at once: two hundred people who follow
# their jobs hold no connection while nothing happens.
_READERS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="follow")


async def read(question: Callable[[], Answer]) -> Answer:
    """Ask the database from a stream, without keeping a connection afterwards."""

    def ask() -> Answer:
        try:
            return question()
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(_READERS, ask)


class Hub:
    """One listener for a running event loop; whoever follows a key is woken when it changes."""

    # Without a notification a follower looks again after this time.
    POLL_SECONDS = 2.0

    def __init__(self) -> None:
        self._followers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._of: Counter[int] = Counter()
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    def has_room(self, person: int) -> bool:
        """Whether a person may follow one thing more: each costs a look every POLL_SECONDS."""
        return self._of[person] < settings.MOST_STREAMS

    @contextlib.asynccontextmanager
    async def following(self, kind: str, key: str, person: int) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever `kind` `key` changes. Clear it before each look."""
        name, event = f"{kind}:{key}", asyncio.Event()
        self._followers[name].add(event)
        self._of[person] += 1
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="listen")
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._listening.wait(), self.POLL_SECONDS)
            yield event
        finally:
            self._followers[name].discard(event)
            if not self._followers[name]:
                del self._followers[name]
            self._of[person] -= 1
            if not self._of[person]:
                del self._of[person]

    async def changed(self, event: asyncio.Event, *, within: float) -> bool:
        """Wait for a change, at most `within` seconds and at most until the next poll. False: time to poll."""
        try:
            await asyncio.wait_for(event.wait(), min(within, self.POLL_SECONDS))
        except TimeoutError:
            return False
        return True

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as listener:
                    await listener.execute(f"LISTEN {CHANNEL}")
                    self._listening.set()
                    async for notification in listener.notifies():
                        for event in self._followers.get(notification.payload, ()):
                            event.set()
                    raise ConnectionError("the listening connection was closed")
            except (psycopg.Error, OSError) as error:
                self._listening.clear()
                log.warning("events are polled until the database can be listened to again: %s", error)
                await asyncio.sleep(1)


def conninfo() -> str:
    """The application role's connection, as libpq wants it."""
    database = settings.DATABASES["default"]
    # What the address says of TLS and the like holds here too; the pool is Django's own.
    options = {name: value for name, value in database["OPTIONS"].items() if name != "pool"}
    return psycopg.conninfo.make_conninfo(
        dbname=str(connection.settings_dict["NAME"]),
        user=str(database["USER"]),
        password=str(database["PASSWORD"]),
        host=str(database["HOST"]),
        port=str(database["PORT"]) or None,
        # A partition says nothing by itself: without these a listener would wait for it for ever.
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        **options,
    )


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of this event loop. A server has one loop; tests have many."""
    loop = asyncio.get_running_loop()
    for old in [known for known in _hubs if known.is_closed()]:
        del _hubs[old]
    return _hubs.setdefault(loop, Hub())


async def until(job: Job, look: Callable[[], Answer], enough: Callable[[Answer], bool], *, seconds: float) -> Answer:
    """Look at a job whenever it changes until it is `enough`, or until the time is up; returns the last look.

    A person who waits for too much already gets the first look.
    """
    if not hub().has_room(job.person_id):
        return await read(look)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with hub().following("job", str(job.pk), job.person_id) as event:
        while True:
            event.clear()
            seen = await read(look)
            if enough(seen) or loop.time() >= end:
                return seen
            await hub().changed(event, within=max(end - loop.time(), 0.001))
