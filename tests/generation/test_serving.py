"""Every way for a released file to leave asks the gate at that moment, and sends what was cleared or nothing."""

import os
from pathlib import Path

import pytest

from generation.api.errors import ApiError
from generation.api.images import _answer, look
from generation.models import Job
from journal import files
from moderation.actions import withdraw
from tests import path
from tests.people import People, cast


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def released(people: People) -> Job:
    job = path.submit(people.alice)
    path.work()
    return job


@pytest.mark.parametrize("wanted", ["url", "b64_json"])
def test_what_was_withdrawn_after_the_last_look_is_in_no_answer(people: People, wanted: str) -> None:
    job = released(people)
    seen = look(job)
    assert _answer(seen, wanted)["data"]
    case = seen[1][0].case
    assert case is not None
    withdraw(case, moderator=people.sofia, reason="a knife after all", policy_code="weapon")
    if wanted == "b64_json":
        with pytest.raises(ApiError, match="taken back after its release") as caught:
            _answer(seen, wanted)
        assert caught.value.code == "withdrawn"
    with pytest.raises(ApiError, match="taken back after its release"):
        _answer(look(job), wanted)


def test_a_file_that_is_not_the_one_that_was_cleared_is_in_no_answer(people: People) -> None:
    job = released(people)
    seen = look(job)
    case = seen[1][0].case
    assert case is not None
    file = Path(files.released().path(case.derivative_key))
    os.chmod(file, 0o600)
    file.write_bytes(b"another picture")
    with pytest.raises(files.StoreBroken, match="not the file that was cleared"):
        _answer(seen, "b64_json")
