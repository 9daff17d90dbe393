"""A request that comes twice takes effect once, with a key or without, and also when it was refused."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from generation.actions import jobs
from generation.models import Job, RefusedAttempt
from generation.offer import check
from journal.idempotency import KeyReused
from journal.transactions import step
from tests import path
from tests.people import People, cast

REFUSED = "a naked child"


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def someone_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("first_is_retry", [False, True], ids=["the first call", "a retry"])
def test_a_keyless_retry_waits_for_the_same_call_in_flight(people: People, first_is_retry: bool) -> None:
    ordered, may_commit = threading.Event(), threading.Event()

    def submit(is_retry: bool) -> Any:
        return jobs.submit(people.alice, check(prompt="a cat", seed=1), route="api", is_retry=is_retry).pk

    def slow() -> Any:
        try:
            with step("tests.slow"):
                made = submit(first_is_retry)
                ordered.set()
                may_commit.wait(30)
            return made
        finally:
            connections.close_all()

    def quick() -> Any:
        try:
            return submit(True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow)
        assert ordered.wait(30)
        second = pool.submit(quick)
        path.until(lambda: second.done() or someone_waits_for_a_lock(), what="the retry")
        may_commit.set()
        assert first.result() == second.result()
    assert Job.objects.count() == 1


def refusal_of(people: People, prompt: str, **how: Any) -> jobs.PromptRefused:
    with pytest.raises(jobs.PromptRefused) as caught:
        jobs.submit(people.alice, check(prompt=prompt, seed=1), route="api", **how)
    return caught.value


@pytest.mark.parametrize("again", [{"idempotency_key": "k"}, {"is_retry": True}], ids=["its key", "a keyless retry"])
def test_a_refused_request_that_comes_again_gets_the_same_refusal_once(people: People, again: dict[str, Any]) -> None:
    first = refusal_of(people, REFUSED, idempotency_key=again.get("idempotency_key"))
    second = refusal_of(people, REFUSED, **again)
    assert vars(first) == vars(second)
    assert str(first) == str(second)
    assert RefusedAttempt.objects.count() == 1


def test_the_key_of_a_refusal_is_used_up(people: People) -> None:
    refusal_of(people, REFUSED, idempotency_key="k")
    with pytest.raises(KeyReused):
        jobs.submit(people.alice, check(prompt="a red apple"), route="api", idempotency_key="k")
    assert not Job.objects.exists()


def test_a_refusal_stands_under_its_key_when_the_policies_were_loosened(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = refusal_of(people, REFUSED, idempotency_key="k")
    monkeypatch.setattr(jobs, "judge_prompt_now", lambda *words, **how: None)
    second = refusal_of(people, REFUSED, idempotency_key="k")
    assert (second.field, second.policy_code, str(second)) == (first.field, first.policy_code, str(first))


def test_a_request_without_a_key_that_is_no_retry_is_a_new_one(people: People) -> None:
    for _ in range(2):
        refusal_of(people, REFUSED)
        jobs.submit(people.alice, check(prompt="a cat", seed=1), route="api")
    assert (RefusedAttempt.objects.count(), Job.objects.count()) == (2, 2)
