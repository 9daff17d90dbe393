"""The life of a job: what is charged, what is refused, and what two at once can do to it."""

import errno
import itertools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
import pytest
from django.core.files.storage import InMemoryStorage
from django.db import connections
from django.test import Client

from accounts.models import User
from billing import ledger
from generation.actions import jobs
from generation.actions.drawing import draw
from generation.engine.fake import FakeEngine
from generation.models import JOB_ARROWS, Job, Medium, RefusedAttempt
from generation.tasks import draw_waiting
from generation.turns import Affinity, claim
from journal import files
from journal.idempotency import KeyReused
from journal.models import IdempotentCall, Wakeup
from tests import path
from tests.invariants import assert_money_is_exact, assert_nothing_lost
from tests.people import People, cast

Answer = TypeVar("Answer")


@pytest.fixture
def people(fresh_database: str) -> People:
    return cast()


def at_once(count: int, act: Callable[[int], Answer]) -> list[Answer | Exception]:
    """Run `act` in as many threads, each with its own connection."""

    def run(number: int) -> Answer | Exception:
        try:
            return act(number)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def balance(person: User) -> tuple[int, int]:
    found = ledger.balance(ledger.wallet_of(person))
    return found.available, found.held


def test_a_released_picture_is_paid_and_the_rest_costs_nothing(people: People) -> None:
    job = path.submit(people.alice, "a red apple on blue", n=2)
    assert balance(people.alice) == (1000 - job.price, job.price)
    path.work()
    job.refresh_from_db()
    assert job.state == "done"
    assert balance(people.alice) == (1000 - job.price, 0)
    refused = path.submit(people.alice, "verdict:block a forbidden apple")
    path.work()
    refused.refresh_from_db()
    assert (refused.state, [medium.word for medium in refused.media.all()]) == ("done", ["refused"])
    assert balance(people.alice) == (1000 - job.price, 0)
    assert_nothing_lost()


def test_nothing_of_a_medium_is_shown_before_its_case_is_cleared(people: People) -> None:
    path.submit(people.alice, "verdict:review a doubtful apple")
    path.work()
    assert Medium.objects.filter(state="drawn").count() == 1
    assert not Medium.objects.shown().exists()


def test_one_bad_medium_costs_its_neighbours_nothing(people: People) -> None:
    bad = path.submit(people.alice, "fault:nan a ghost")
    good = path.submit(people.carol, "a red apple on blue")
    path.work()
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, good.state) == ("failed", "done")
    assert "not charged" in bad.failure
    assert balance(people.alice) == (1000, 0)


def test_a_prompt_the_lexicon_refuses_makes_no_job_and_no_hold(people: People) -> None:
    with pytest.raises(jobs.PromptRefused) as caught:
        path.submit(people.alice, "a naked child")
    assert caught.value.field == "prompt"
    assert caught.value.policy_code.startswith("sexual")
    assert not Job.objects.exists()
    assert balance(people.alice) == (1000, 0)
    attempt = RefusedAttempt.objects.get()
    assert attempt.policy_code == caught.value.policy_code
    assert "child" not in repr(attempt.__dict__)


def test_the_same_key_with_the_same_order_is_the_same_job(people: People) -> None:
    first = path.submit(people.alice, key="k")
    assert path.submit(people.alice, key="k") == first
    assert path.submit(people.carol, key="k") != first
    with pytest.raises(KeyReused):
        path.submit(people.alice, "something else", key="k")
    assert Job.objects.count() == 2
    assert balance(people.alice)[1] == first.price


def test_a_key_is_forgotten_after_a_day(people: People) -> None:
    first = path.submit(people.alice, key="k")
    IdempotentCall.objects.update(created_at="2020-01-01T00:00:00Z")
    assert path.submit(people.alice, "something else", key="k") != first


def test_a_hundred_submits_with_one_key_make_one_job_and_one_hold(people: People) -> None:
    made = at_once(16, lambda _: path.submit(people.alice, key="storm"))
    made += at_once(16, lambda _: path.submit(people.alice, key="storm"))
    assert {job.pk for job in made if isinstance(job, Job)} == {Job.objects.get().pk}, made
    assert not [error for error in made if isinstance(error, Exception)]
    assert balance(people.alice) == (1000 - 4, 4)


def test_sixteen_threads_spend_from_a_wallet_that_affords_three(fresh_database: str) -> None:
    people = cast(credits=3 * 4)
    made = at_once(16, lambda number: path.submit(people.alice, key=f"k{number}"))
    assert sum(isinstance(job, Job) for job in made) == 3
    assert {type(error) for error in made if isinstance(error, Exception)} == {ledger.NotEnoughCredits}
    assert balance(people.alice) == (0, 12)
    assert_money_is_exact()


def test_eight_workers_claim_one_job_and_one_gets_it(people: People) -> None:
    path.submit(people.alice)
    path.work_prompts()
    claims = at_once(8, lambda n: claim(worker=f"w{n}", affinity=Affinity(), batch_sizes={"fake": 8}))
    assert sum(batch is not None for batch in claims) == 1, claims


def test_the_same_wakeup_three_times_draws_once(people: People) -> None:
    job = path.submit(people.alice)
    path.work_prompts()
    at_once(3, lambda n: draw_waiting(FakeEngine(), worker=f"w{n}"))
    path.work()
    assert job.media.count() == 1
    assert job.history.filter(to_state="running").count() == 1
    assert_nothing_lost()


@pytest.mark.parametrize("when", ["checking", "queued", "running", "screening", "in_review"])
def test_a_job_is_cancelled_exactly_wherever_it_is(people: People, when: str) -> None:
    job = path.submit(people.alice, "verdict:review a doubtful apple")
    other = path.submit(people.alice, "a boat")
    if when != "checking":
        path.work_prompts()
    batch = None
    if when == "running":
        batch = claim(worker="tests", affinity=Affinity(), batch_sizes={"fake": 1})
        assert batch is not None
        assert batch.jobs[0] == job
    if when in {"screening", "in_review"}:
        draw_waiting(FakeEngine(), worker="tests")
    if when == "in_review":
        path.work_prompts()
    job.refresh_from_db()
    assert job.state == when
    assert jobs.cancel(job, actor=people.alice)
    assert not jobs.cancel(job, actor=people.alice), "a second click changes nothing"
    if batch is not None:
        draw(batch, FakeEngine())
    path.work()
    job.refresh_from_db()
    other.refresh_from_db()
    assert (job.state, other.state) == ("cancelled", "done")
    assert not Medium.objects.shown().filter(job=job).exists()
    assert balance(people.alice) == (1000 - other.price, 0)
    assert_nothing_lost()


def test_a_cancel_and_a_release_at_once_end_in_one_of_the_two(people: People) -> None:
    for round_ in range(6):
        job = path.submit(people.alice, key=f"round {round_}")
        path.work_prompts()
        draw_waiting(FakeEngine(), worker="tests")

        def act(number: int, job: Job = job) -> Any:
            return jobs.cancel(job, actor=people.alice) if number else path.work_prompts()

        errors = [error for error in at_once(2, act) if isinstance(error, Exception)]
        assert errors == []
        path.work()
        job.refresh_from_db()
        assert job.state in {"done", "cancelled"}
    assert_nothing_lost()


def test_a_worker_that_lost_its_lease_writes_nothing(people: People, settings: Any) -> None:
    job = path.submit(people.alice)
    path.work_prompts()
    late = claim(worker="late", affinity=Affinity(), batch_sizes={"fake": 8})
    assert late is not None
    Job.objects.filter(pk=job.pk).update(lease_until="2020-01-01T00:00:00Z")
    path.sweep()
    path.work()
    before = list(Medium.objects.values_list("original_key", flat=True))
    draw(late, FakeEngine())
    assert list(Medium.objects.values_list("original_key", flat=True)) == before
    assert_nothing_lost()


def test_a_job_that_kills_its_worker_is_given_up_and_its_neighbours_are_drawn(people: People, settings: Any) -> None:
    poison, good = path.submit(people.alice, "poison"), path.submit(people.carol, "a red apple")
    path.work_prompts()
    deaths = 0
    while batch := claim(worker="tests", affinity=Affinity(), batch_sizes={"fake": 8}):
        if poison in batch.jobs:
            deaths += 1
            Job.objects.filter(lease_token=batch.token).update(lease_until="2020-01-01T00:00:00Z")
            path.sweep()
        else:
            assert batch.jobs == [good], "whoever was in the batch that died is drawn alone"
            draw(batch, FakeEngine())
    path.work()
    poison.refresh_from_db()
    good.refresh_from_db()
    assert (poison.state, good.state) == ("failed", "done")
    assert deaths == settings.MOST_ATTEMPTS
    assert balance(people.alice) == (1000, 0)
    assert_nothing_lost()


def test_a_severe_block_freezes_the_persons_other_work(people: People) -> None:
    severe = path.submit(people.alice, "verdict:severe the worst")
    waiting = path.submit(people.alice, "a boat")
    others = path.submit(people.carol, "a red apple")
    path.work_prompts()
    batch = claim(worker="tests", affinity=Affinity(), batch_sizes={"fake": 1})
    assert batch is not None
    draw(batch, FakeEngine())
    path.work()
    for job in (severe, waiting, others):
        job.refresh_from_db()
    assert (severe.state, waiting.state, others.state) == ("done", "queued", "done")
    with pytest.raises(jobs.AccountOnHold):
        path.submit(people.alice, "one more")


def test_intake_closes_when_the_oldest_pending_case_is_too_old(people: People, settings: Any) -> None:
    path.submit(people.alice)
    settings.MOST_PENDING_SECONDS = 0
    with pytest.raises(jobs.IntakeClosed) as caught:
        path.submit(people.carol)
    assert caught.value.retry_after > 0
    assert balance(people.carol) == (1000, 0)


def test_intake_closes_while_nobody_can_say_who_is_protected(people: People, as_owner: Any) -> None:
    browser = Client()
    browser.force_login(people.carol)
    order = {"prompt": "a red apple on blue", "n": "1"}
    as_owner.execute("ALTER TABLE moderation_registrystate RENAME TO gone")
    with pytest.raises(jobs.IntakeClosed, match="No prompt can be checked"):
        path.submit(people.carol)
    answer = browser.post("/studio/jobs/", order | {"key": str(uuid.uuid4())})
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "No prompt can be checked just now" in answer.content.decode()
    assert order["prompt"] in answer.content.decode(), "what was typed is kept"
    assert balance(people.carol) == (1000, 0)
    as_owner.execute("ALTER TABLE gone RENAME TO moderation_registrystate")
    path.submit(people.carol)


def test_a_cap_on_unfinished_jobs(people: People, settings: Any) -> None:
    settings.MOST_OUTSTANDING_JOBS = 2
    path.submit(people.alice)
    path.submit(people.alice)
    with pytest.raises(jobs.TooManyJobs):
        path.submit(people.alice)


def test_whoever_tries_the_policies_out_is_asked_to_wait(people: People, settings: Any) -> None:
    settings.MOST_REFUSALS_AN_HOUR = 2
    for number in range(2):
        with pytest.raises(jobs.PromptRefused):
            path.submit(people.alice, f"a naked child {number}")
    with pytest.raises(jobs.TooManyRefusals, match="2 prompts of yours were refused"):
        path.submit(people.alice, "a naked child again")
    assert RefusedAttempt.objects.count() == 2
    with pytest.raises(jobs.PromptRefused):
        path.submit(people.carol, "a naked child")
    assert path.submit(people.alice, "a red apple").state == "checking"


class FullStore(InMemoryStorage):
    """A store without room."""

    def _save(self, name: str, content: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_quarantine_store_costs_nothing_and_work_goes_on_when_there_is_room(
    people: People, settings: Any
) -> None:
    job = path.submit(people.alice)
    path.work_prompts()
    usual = settings.STORAGES
    settings.STORAGES = usual | {"quarantine": {"BACKEND": "tests.generation.test_jobs.FullStore"}}
    for _ in range(settings.MOST_ATTEMPTS + 1):
        with pytest.raises(files.StoreFull, match="No room left"):
            draw_waiting(FakeEngine(), worker="tests")
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("queued", 0)
    said = set(job.history.filter(from_state="running").values_list("reason", flat=True))
    assert said == {"the machinery is being mended"}, "the person reads this: no name of a file, no hash of an original"
    settings.STORAGES = usual
    path.work()
    job.refresh_from_db()
    assert job.state == "done"
    assert_nothing_lost()


def test_a_clock_that_jumps_forward_gives_no_job_two_pictures(people: People) -> None:
    """Every lease looks ended at once, while their workers go on drawing."""
    jobs_ = [path.submit(person) for person in (people.alice, people.carol)]
    path.work_prompts()
    drawing = [claim(worker=f"w{n}", affinity=Affinity(), batch_sizes={"fake": 1}) for n in range(2)]
    Job.objects.filter(state="running").update(lease_until="2020-01-01T00:00:00Z")
    path.sweep()
    path.work()
    for batch in drawing:
        assert batch is not None
        draw(batch, FakeEngine())
    path.work()
    assert [job.media.filter(state="drawn").count() for job in jobs_] == [1, 1]
    assert_nothing_lost()


STATES = [state.value for state in Job.State]


@pytest.mark.parametrize(
    ("source", "to"), [pair for pair in itertools.permutations(STATES, 2) if pair not in JOB_ARROWS]
)
def test_sql_refuses_every_arrow_that_is_not_named(forbidden: Any, source: str, to: str) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="Invalid transition"):
        forbidden(source, to)


@pytest.fixture(scope="module")
def forbidden(postgres: Any, template: str) -> Any:
    """Try an arrow past all Python, as the application's role, on a job brought to `source` by the owner."""
    postgres.clone(template, "vaglio_arrows")
    owner = psycopg.connect(postgres.owner_url("vaglio_arrows"), autocommit=True)
    app = psycopg.connect(postgres.app_url("vaglio_arrows"), autocommit=True)
    person = owner.execute(
        "INSERT INTO accounts_user (password, is_superuser, email, is_active, joined_at) "
        "VALUES ('', false, 'x@example.org', true, now()) RETURNING id"
    ).fetchone()

    def attempt(source: str, to: str) -> None:
        job, lease = uuid.uuid4(), "gen_random_uuid(), now()" if source == "running" else "NULL, NULL"
        owner.execute(
            f"""
            INSERT INTO generation_job (id, person_id, state, mode, model, prompt, negative_prompt, width, height,
                steps, guidance_scale, n, unit_price, price, batch_key, created_at, attempts, worker,
                progress_step, failure, lease_token, lease_until)
            VALUES (%s, %s, %s, 'text_to_image', 'fake', 'p', '', 512, 512, 20, 4, 1, 4, 4, 'k', now(), 0, '', 0, '',
                    {lease})
            """,
            [job, person[0], source],
        )
        app.execute("UPDATE generation_job SET state = %s WHERE id = %s", [to, job])

    yield attempt
    owner.close()
    app.close()
    postgres.drop("vaglio_arrows")


def test_an_order_that_is_not_taken_leaves_nothing_behind(people: People) -> None:
    before = Wakeup.objects.count()
    with pytest.raises(ledger.NotEnoughCredits):
        path.submit(people.bob)
    assert (Wakeup.objects.count(), Job.objects.count(), Medium.objects.count()) == (before, 0, 0)
