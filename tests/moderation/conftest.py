"""Cases without jobs: this room knows nothing of generation, and is tested without it."""

import io
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from PIL import Image

from accounts import roles
from accounts.models import User
from journal import files
from journal.transactions import step
from moderation import outcomes
from moderation.actions import open_case
from moderation.models import Case, Decision


class Moderators(NamedTuple):
    alice: User
    carol: User
    bob: User
    bea: User
    sofia: User


class Recorder:
    """A CaseOutcome that remembers what it was told, and can be made to fail."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.fails_at = ""

    def _tell(self, what: str, subject: Any) -> None:
        if what == self.fails_at:
            raise RuntimeError(f"{what} failed")
        self.told.append((what, subject))

    def cleared(self, case: Case, decision: Decision) -> None:
        self._tell("cleared", case.pk)

    def refused(self, case: Case, decision: Decision) -> None:
        self._tell("refused", case.pk)

    def withdrawn(self, case: Case, decision: Decision) -> None:
        self._tell("withdrawn", case.pk)

    def held(self, case: Case, decision: Decision) -> None:
        self._tell("held", case.pk)

    def frozen(self, person: User, frozen: bool) -> None:
        self._tell("frozen" if frozen else "thawed", person.pk)

    def of(self, case: Case) -> list[str]:
        """What was told of one case."""
        return [what for what, subject in self.told if subject == case.pk and what not in {"frozen", "thawed"}]


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """The recording outcome in the place of generation's."""
    recorder = Recorder()
    monkeypatch.setattr(outcomes, "_registered", recorder)
    return recorder


def _people() -> Moderators:
    with step("tests.people"):
        people = Moderators(
            # Without passwords: hashing five for each test would take longer than the test.
            *[User.objects.create_user(f"{name}@example.org") for name in Moderators._fields]
        )
        for person, role in ((people.bob, "moderator"), (people.bea, "moderator"), (people.sofia, "senior_moderator")):
            roles.give(person, role)
    return people


@pytest.fixture
def people(db: None) -> Moderators:
    return _people()


@pytest.fixture
def fresh_people(fresh_database: str) -> Moderators:
    """The same in a database of the test's own, which threads can commit to."""
    return _people()


def picture(seed: int = 1, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A coarse pattern: not flat, and not like another seed's."""
    small = Image.new("RGB", (4, 4))
    for index in range(16):
        value = (seed * 97 + index * index * 53 + index * 31) % 256
        small.putpixel((index % 4, index // 4), (value, (value * 3) % 256, 255 - value))
    return small.resize(size, Image.Resampling.BICUBIC)


def png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, format="PNG")
    return written.getvalue()


def open_medium(person: User, data: bytes | None = None, *, prompt: str = "a red apple", **changes: Any) -> Case:
    """A pending case of a drawn picture, its original in quarantine; always the same picture but for `data`."""
    key = uuid.uuid4()
    data = png(picture(11)) if data is None else data
    name = files.write_once(files.quarantine(), f"{key}/{files.digest(data)}.png", data)
    evidence = {
        "original_key": name,
        "original_sha256": files.digest(data),
        "width": 64,
        "height": 64,
        "release_width": 128,
        "release_height": 128,
        "prompt": prompt,
        "negative_prompt": "",
        "model": "fake",
        "seed": 1,
        **changes,
    }
    with step("tests.open"):
        return open_case(subject="medium", key=key, person=person, evidence=evidence)


def open_prompt(person: User, prompt: str = "a red apple on blue") -> Case:
    evidence = {"prompt": prompt, "negative_prompt": "", "model": "fake"}
    with step("tests.open"):
        return open_case(subject="prompt", key=uuid.uuid4(), person=person, evidence=evidence)


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act` in as many threads, started together, each with a connection of its own."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connections

    together = threading.Barrier(count)

    def run(number: int) -> Any:
        together.wait()
        try:
            return act(number)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
