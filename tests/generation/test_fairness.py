"""One person's backlog does not make others wait."""

import pytest
from django.db import connection

from accounts.models import User
from generation.actions import jobs
from generation.models import Job, Medium, Turn
from generation.offer import BadOrder, check
from generation.outcomes import MediaOutcome
from generation.turns import Affinity, claim, line_up, lock_turn
from journal.transactions import step
from tests import path
from tests.people import cast

HEAVY = 10_000


@pytest.fixture
def crowd(fresh_database: str) -> list[User]:
    """Fifty people with three queued jobs each; the first has ten thousand."""
    people = User.objects.bulk_create([User(email=f"p{number}@example.org") for number in range(50)])
    queue(people[0], HEAVY)
    for person in people[1:]:
        queue(person, 3)
    return people


def queue(person: User, count: int, *, model: str = "fake", price: int = 4) -> None:
    """Queued jobs, put straight into the table: only the line is tested here."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO generation_job (id, person_id, state, mode, model, prompt, negative_prompt, width, height,
                steps, guidance_scale, n, unit_price, price, batch_key, created_at, queued_at, attempts, worker,
                progress_step, failure)
            SELECT gen_random_uuid(), %s, 'queued', 'text_to_image', %s, 'p', '', 512, 512, 20, 4, 1, %s, %s,
                   %s || number, now(), now() + number * interval '1 microsecond', 0, '', 0, ''
              FROM generate_series(1, %s) number
            """,
            [person.pk, model, price, price, f"{model}|", count],
        )
    with step("tests.queue"):
        line_up(lock_turn(person.pk))


def order_of_service(count: int, *, batch: int = 1) -> list[int]:
    affinity, served = Affinity(), []
    for _ in range(count):
        batch_of = claim(worker="tests", affinity=affinity, batch_sizes={"fake": batch, "other": batch})
        assert batch_of is not None
        served += [job.person_id for job in batch_of.jobs]
    return served


def test_fifty_people_are_served_in_turn_though_one_queued_ten_thousand(crowd: list[User]) -> None:
    served = order_of_service(150)
    for turn in range(3):
        assert len(set(served[turn * 50 : turn * 50 + 50])) == 50
    assert served.count(crowd[0].pk) == 3


def test_a_newcomer_is_next_whatever_the_backlog(crowd: list[User]) -> None:
    """Law 7: at most the batches now running, plus the bounded turn of model affinity."""
    order_of_service(60)
    newcomer = User.objects.create(email="new@example.org")
    queue(newcomer, 1)
    assert newcomer.pk in order_of_service(2)


def test_affinity_prefers_the_loaded_model_for_a_bounded_number_of_turns(fresh_database: str, settings: object) -> None:
    settings.AFFINITY_TURNS = 2
    heavy, other = User.objects.bulk_create([User(email="h@example.org"), User(email="o@example.org")])
    queue(heavy, 20)
    order_of_service(1)
    queue(other, 1, model="other")
    assert order_of_service_from(heavy, Affinity(loaded="fake", turns=0), 4).index(other.pk) <= 2


def order_of_service_from(heavy: User, affinity: Affinity, count: int) -> list[int]:
    served = []
    for _ in range(count):
        batch = claim(worker="tests", affinity=affinity, batch_sizes={"fake": 1, "other": 1})
        assert batch is not None
        served += [job.person_id for job in batch.jobs]
    return served


def test_a_heavier_plan_weighs_more_and_starves_nobody(fresh_database: str) -> None:
    light, heavy = User.objects.bulk_create([User(email="l@example.org"), User(email="w@example.org")])
    for person in (light, heavy):
        queue(person, 100)
    Turn.objects.filter(person=heavy).update(weight=3)
    served = order_of_service(80)
    assert served.count(heavy.pk) == pytest.approx(60, abs=2)


def test_whoever_idled_saved_up_no_turns(fresh_database: str) -> None:
    busy, idle = User.objects.bulk_create([User(email="b@example.org"), User(email="i@example.org")])
    queue(busy, 200)
    order_of_service(100)
    queue(idle, 100)
    served = order_of_service(20)
    assert abs(served.count(busy.pk) - served.count(idle.pk)) <= 1


def test_a_batch_takes_compatible_jobs_of_different_people(fresh_database: str) -> None:
    people = cast()
    for person in (people.alice, people.carol):
        path.submit(person, "a red apple on blue", n=2)
        path.submit(person, "a green pear", n=2, steps=10)
    path.work_prompts()
    batch = claim(worker="tests", affinity=Affinity(), batch_sizes={"fake": 8})
    assert batch is not None
    assert {job.person_id for job in batch.jobs} == {people.alice.pk, people.carol.pk}
    assert {job.steps for job in batch.jobs} == {batch.jobs[0].steps}
    assert len({job.lease_token for job in batch.jobs}) == 1


def test_a_frozen_person_is_passed_over(fresh_database: str) -> None:
    people = cast()
    path.submit(people.alice)
    path.work_prompts()
    Turn.objects.filter(person=people.alice).update(frozen=True)
    assert claim(worker="tests", affinity=Affinity(), batch_sizes={"fake": 8}) is None


def test_cancelling_the_next_job_brings_up_the_one_behind_it(fresh_database: str) -> None:
    people = cast()
    first, second = path.submit(people.alice), path.submit(people.alice)
    path.work_prompts()
    assert jobs.cancel(first, actor=people.alice)
    assert Turn.objects.get(person=people.alice).next_job_id == second.pk
    assert Medium.objects.filter(job=first, state="cancelled").count() == 1
    assert Job.objects.get(pk=first.pk).state == "cancelled"


def test_an_empty_line_forgets_nothing_that_was_served(fresh_database: str) -> None:
    """Whoever was served a lot yesterday is no worse off than a newcomer who fills an empty line today."""
    old, new = User.objects.bulk_create([User(email="old@example.org"), User(email="new@example.org")])
    queue(old, 100)
    order_of_service(100)
    queue(new, 50)
    order_of_service(1)
    queue(old, 1)
    assert old.pk in order_of_service(2)


def test_nobody_saves_up_turns_while_frozen(fresh_database: str) -> None:
    frozen, other = User.objects.bulk_create([User(email="f@example.org"), User(email="o@example.org")])
    queue(frozen, 50)
    with step("tests.freeze"):
        MediaOutcome().frozen(frozen, True)
    queue(other, 100)
    order_of_service(50)
    with step("tests.thaw"):
        MediaOutcome().frozen(frozen, False)
    served = order_of_service(10)
    assert abs(served.count(frozen.pk) - served.count(other.pk)) <= 1


@pytest.mark.django_db
def test_priority_goes_only_downwards() -> None:
    people = cast()
    patient = path.submit(people.alice, "a green pear on white", priority="low")
    hasty = path.submit(people.alice, "a red apple on blue")
    path.work_prompts()
    assert (hasty.priority, patient.priority) == (0, 1)
    patient.refresh_from_db()
    assert patient.queue_place() == 2
    batch = claim(worker="w", affinity=Affinity(), batch_sizes={"fake": 1})
    assert batch is not None
    assert [job.pk for job in batch.jobs] == [hasty.pk]
    for value in ("high", "urgent", 1, ["low"]):
        with pytest.raises(BadOrder, match="priority is normal or low"):
            check(prompt="a red apple", priority=value)
