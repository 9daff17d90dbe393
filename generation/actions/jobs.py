"""Verbs on jobs: submit, start, cancel, fail, settle."""

import hashlib
import logging
import secrets
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.sale.plans import Limits, limits_of, plan_of
from generation.actions import inputs
from generation.models import Input, Job, JobHistory, Medium, RefusedAttempt
from generation.offer import Order, new_seed
from generation.turns import line_up, lock_turn, weigh
from journal import idempotency, outbox
from journal.events import announce
from journal.transactions import require_transaction, step
from moderation.actions import abandon, open_case
from moderation.models import Case, Freeze
from moderation.rules import in_words, policies
from moderation.screening import judge_prompt_now, oldest_pending_age
from moderation.signals import MachineryFault

log = logging.getLogger(__name__)

# An OpenAI client that lost an answer sends the same request again within this time.
RETRY_WINDOW_SECONDS = 15 * 60


class PromptRefused(Exception):
    """A policy refuses the words themselves. There is no job, and nothing was held or charged."""

    def __init__(
        self,
        *,
        field: str,
        policy_code: str,
        title: str,
        sentence: str,
        words: tuple[str, ...],
        acknowledge: str = "",
        instead: tuple[str, ...] = (),
    ) -> None:
        super().__init__(sentence)
        self.field = field
        self.policy_code = policy_code
        self.title = title
        self.words = words
        # What one may affirm to have it all the same; empty where nobody may. And other words for it.
        self.acknowledge = acknowledge
        self.instead = instead


class IntakeClosed(Exception):
    """Too much waits to be looked at, or nothing can be; new work is asked to come back."""

    def __init__(self, retry_after: int, why: str = "Pictures wait too long to be looked at just now.") -> None:
        super().__init__(f"{why} Nothing was charged; try again in {retry_after} seconds.")
        self.retry_after = retry_after


class AccountOnHold(Exception):
    """A severe block stands; a moderator has to look first."""

    def __init__(self) -> None:
        super().__init__("Your account is on hold until a moderator has looked at a blocked picture.")


class TooManyJobs(Exception):
    """The person's cap on unfinished jobs, by their plan."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"You have {most} jobs that are not finished, as many as your plan takes. Wait for one, or cancel one."
        )
        self.most = most


class BeyondPlan(Exception):
    """The person's plan does not reach so far. `field` names what asks for too much."""

    def __init__(self, field: str, plan: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.plan = plan


class TooManyRefusals(Exception):
    """Somebody tries the policies out, and this attempt was not looked at again."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} prompts of yours were refused within an hour. Wait a while, and ask for other things."
        )


def submit(
    person: User,
    order: Order,
    *,
    route: str,
    idempotency_key: str | None = None,
    is_retry: bool = False,
) -> Job:
    """Take an order: a job that is being checked, its media, its holds and a wake-up, in one transaction.

    The same key with the same order returns the job it made before; with another order it raises
    idempotency.KeyReused. `is_retry` attaches a keyless retry to the same person's identical order of the last
    15 minutes. An order that was refused before is refused again, and not counted again. Raises PromptRefused,
    IntakeClosed, AccountOnHold, BeyondPlan, TooManyJobs, TooManyRefusals or billing's NotEnoughCredits, OnBillingHold
    or SpendingLimitReached; then nothing was made and nothing is held.
    """
    digest = idempotency.digest_of(order.fields() | {"inputs": inputs.fingerprints(person, order)})
    refusal: PromptRefused | None = None
    with step("generation.submit"):
        before = _outcome_before(person, route, idempotency_key, digest, is_retry)
        kind, _, made = (before or "").partition(":")
        if kind == "refused":
            raise _refused_before(RefusedAttempt.objects.get(pk=made), order)
        if made:
            return Job.objects.of(person).get(pk=made)
        found = inputs.resolved(person, order)
        order = inputs.with_words(order, found)
        refusal = _refusal(order)
        if refusal is not None:
            _allow_attempt(person)
            outcome = f"refused:{_remember_attempt(person, order, refusal).pk}"
        else:
            job = _make(person, order, found)
            outcome = f"job:{job.pk}"
        idempotency.remember(
            person_id=person.pk,
            route=route,
            key=idempotency_key or f"none:{uuid.uuid4()}",
            digest=digest,
            outcome=outcome,
        )
    if refusal is not None:
        raise refusal
    return job


def _outcome_before(person: User, route: str, key: str | None, digest: str, is_retry: bool) -> str | None:
    """What the same call made before, as idempotency keeps it. None when it is new."""
    if key:
        return idempotency.earlier_outcome(person_id=person.pk, route=route, key=key, digest=digest)
    if is_retry:
        return idempotency.recent_same(
            person_id=person.pk, route=route, digest=digest, within_seconds=RETRY_WINDOW_SECONDS
        )
    idempotency.queue_behind_same(person_id=person.pk, route=route, digest=digest)
    return None


def _refused_before(attempt: RefusedAttempt, order: Order) -> PromptRefused:
    """The refusal that the same call got before, also where the policies have changed since."""
    judged = _refusal(order)
    if judged is not None and (judged.field, judged.policy_code) == (attempt.field, attempt.policy_code):
        return judged
    policy = policies().named(attempt.policy_code)
    return PromptRefused(
        field=attempt.field,
        policy_code=attempt.policy_code,
        title=in_words(policy.titles) if policy else attempt.policy_code,
        sentence=in_words(policy.statement) if policy else "These words were refused.",
        words=(),
    )


def _refusal(order: Order) -> PromptRefused | None:
    """What the web process can judge by itself: the lexicon and the protected names. Raises IntakeClosed."""
    try:
        judged = judge_prompt_now(order.prompt, order.negative_prompt, acknowledged=order.acknowledged)
    except MachineryFault as fault:
        log.error("no prompt can be judged: %s", fault)
        raise IntakeClosed(30, "No prompt can be checked just now.") from fault
    if judged is None:
        return None
    return PromptRefused(
        field=judged.field,
        policy_code=judged.policy_code,
        title=judged.title,
        sentence=judged.sentence,
        words=judged.words,
        acknowledge=judged.acknowledge,
        instead=judged.instead,
    )


def _allow_attempt(person: User) -> None:
    """Each refusal is a row that stays, and tells which words the policies know. Raises TooManyRefusals."""
    hour = RefusedAttempt.objects.filter(person=person, at__gt=timezone.now() - timedelta(hours=1))
    if hour[: settings.MOST_REFUSALS_AN_HOUR].count() >= settings.MOST_REFUSALS_AN_HOUR:
        raise TooManyRefusals(settings.MOST_REFUSALS_AN_HOUR)


def _remember_attempt(person: User, order: Order, refusal: PromptRefused) -> RefusedAttempt:
    salt = secrets.token_hex(16)
    return RefusedAttempt.objects.create(
        person=person,
        field=refusal.field,
        policy_code=refusal.policy_code,
        policy_version=policies().version,
        salt=salt,
        prompt_sha256=hashlib.sha256((salt + order.prompt).encode()).hexdigest(),
    )


def admit(person: User) -> None:
    """Raises IntakeClosed or AccountOnHold where nothing is taken from this person now."""
    waited = oldest_pending_age()
    if waited is not None and waited.total_seconds() > settings.MOST_PENDING_SECONDS:
        raise IntakeClosed(retry_after=60)
    if Freeze.objects.filter(person=person, lifted_at__isnull=True).exists():
        raise AccountOnHold


def _make(person: User, order: Order, found: Mapping[str, inputs.Found]) -> Job:
    admit(person)
    limits = _limits(person, order)
    most = min(limits.parallel_jobs, settings.MOST_OUTSTANDING_JOBS)
    if Job.objects.of(person).open()[:most].count() >= most:
        raise TooManyJobs(most)
    job = Job.objects.create(
        person=person,
        model=order.card.name,
        mode=order.way.mode.name,
        strength=order.strength,
        frames=order.frames,
        fps=order.fps,
        prompt=order.prompt,
        negative_prompt=order.negative_prompt,
        width=order.width,
        height=order.height,
        steps=order.steps,
        guidance_scale=order.guidance_scale,
        n=order.n,
        unit_price=order.unit_price,
        price=order.price,
        batch_key=order.batch_key,
        priority=order.priority,
    )
    JobHistory.objects.create(job=job, to_state=job.state, reason="submitted", actor=person)
    Input.objects.bulk_create([Input(job=job, role=role, **one.fields()) for role, one in found.items()])
    first = order.seed if order.seed is not None else new_seed()
    media = Medium.objects.bulk_create(
        [Medium(job=job, index=index, seed=(first + index) % 2**63) for index in range(order.n)]
    )
    ledger.hold(ledger.wallet_of(person), {medium.cause: order.unit_price for medium in media})
    open_case(
        subject="prompt",
        key=job.pk,
        person=person,
        evidence={
            "prompt": order.prompt,
            "negative_prompt": order.negative_prompt,
            "model": order.card.name,
            **({"acknowledged": list(order.acknowledged)} if order.acknowledged else {}),
        },
    )
    announce("job", str(job.pk))
    return job


def _limits(person: User, order: Order) -> Limits:
    """What the person's plan allows. Raises BeyondPlan where the order asks for more."""
    plan = plan_of(person)
    assert plan.limits is not None
    if (side := max(order.width, order.height)) > plan.limits.longest_side:
        sentence = (
            f"{plan.title} draws up to {plan.limits.longest_side} px, and this asks for {side}. Nothing was charged."
        )
        raise BeyondPlan("size", plan.code, sentence)
    if order.fps and (seconds := order.frames / order.fps) > plan.limits.film_seconds:
        sentence = (
            f"{plan.title} makes films of up to {plan.limits.film_seconds:g} s, and this asks for {seconds:g} s. "
            "Nothing was charged."
        )
        raise BeyondPlan("frames", plan.code, sentence)
    return plan.limits


def start(job: Job, *, reason: str) -> bool:
    """Put a job in line, if everything that goes in was cleared, and wake a worker. In the deciding transaction.

    Whoever decides the last of its inputs starts it: the person's turn is locked before the others are looked at.
    What was cleared one by one may still not fit together; then the job is refused, as where an upload was refused
    while the job was being made.
    """
    turn = lock_turn(job.person_id)
    match inputs.standing(job):
        case "waiting":
            return False
        case "in_review":
            job.move({Job.State.CHECKING}, Job.State.IN_REVIEW, reason="what goes in waits for a person")
            return False
        case "refused":
            refuse(
                job, reason="what goes in was refused", sentence="What you brought was refused. You were not charged."
            )
            return False
    if misfit := inputs.misfit(job):
        refuse(job, reason="its inputs do not fit together", sentence=misfit)
        return False
    # The plan's share in line counts from the next job on.
    weigh(turn, limits_of(job.person).weight)
    queued = Job.State.QUEUED
    moved = job.move({Job.State.CHECKING, Job.State.IN_REVIEW}, queued, reason=reason, queued_at=timezone.now())
    if moved:
        line_up(turn)
        outbox.wake("draw")
    return moved


def cancel(job: Job, *, actor: User) -> bool:
    """Stop a job wherever it is. False if it was final already, which harms nothing.

    What was released stays, and stays paid; the hold of everything else is given back. A worker that draws it
    finds out at its next step, and its late results are refused by the lease.
    """
    while True:
        with step("generation.cancel"):
            # Locks are taken in one order everywhere: cases, turn, job, wallet.
            locked = _lock_cases(job)
            turn = lock_turn(job.person_id)
            Job.objects.select_for_update().get(pk=job.pk)
            if locked != set(_cases(job).values_list("pk", flat=True)):
                continue  # a batch was stored in between, and its cases are not locked yet
            if not job.move(set(Job.State) - set(Job.FINAL), Job.State.CANCELLED, reason="cancelled", actor=actor):
                return False
            for medium in _undecided(job):
                _drop(medium, Medium.State.CANCELLED, reason="cancelled by you", actor=actor)
            abandon(subject="prompt", key=job.pk, reason="the job was cancelled", actor=actor)
            line_up(turn)
        return True


def _cases(job: Job) -> QuerySet[Case]:
    """The cases of a job: its prompt's and its media's."""
    return Case.objects.filter(key__in=[job.pk, *job.media.values_list("pk", flat=True)])


def _lock_cases(job: Job) -> set[int]:
    return set(_cases(job).select_for_update().order_by("pk").values_list("pk", flat=True))


def fail(job: Job, *, reason: str, was: Job.State = Job.State.RUNNING) -> bool:
    """Give a job up: the machinery failed. Nothing is charged. In the caller's transaction."""
    turn = lock_turn(job.person_id)
    sentence = f"It could not be drawn: {reason}. You were not charged."
    if not job.move({was}, Job.State.FAILED, reason=reason[:200], failure=sentence[:300]):
        return False
    for medium in _undecided(job):
        _drop(medium, Medium.State.FAILED, reason=reason)
    line_up(turn)
    return True


def refuse(job: Job, *, reason: str, sentence: str = "") -> bool:
    """An input of the job was refused: it ends, and its holds are given back. In the deciding transaction.

    `sentence` is for the person; the prompt's refusal has words of its own.
    """
    turn = lock_turn(job.person_id)
    early = {Job.State.CHECKING, Job.State.IN_REVIEW}
    if not job.move(early, Job.State.REFUSED, reason=reason[:200], failure=sentence[:300]):
        return False
    for medium in _undecided(job):
        _drop(medium, Medium.State.CANCELLED, reason=reason)
    line_up(turn)
    return True


def settle(job: Job) -> None:
    """Bring a job whose media were looked at into the state that they make it. Its row must be locked."""
    require_transaction()
    media = list(job.media.select_related("case"))
    words = [medium.word for medium in media]
    if "waiting" in words or job.state not in {Job.State.SCREENING, Job.State.IN_REVIEW}:
        return
    if "screening" in words:
        job.move({Job.State.IN_REVIEW}, Job.State.SCREENING, reason="a medium is being looked at")
    elif "in_review" in words:
        job.move({Job.State.SCREENING}, Job.State.IN_REVIEW, reason="a medium waits for a person")
    else:
        released = words.count("released")
        job.move(
            {Job.State.SCREENING, Job.State.IN_REVIEW},
            Job.State.DONE,
            reason=f"{released} of {job.n} released",
        )


def _undecided(job: Job) -> list[Medium]:
    """Media whose hold is still open: not drawn yet, or drawn and undecided."""
    return [
        medium
        for medium in job.media.select_for_update(of=("self",)).select_related("case")
        if medium.word in {"waiting", "screening", "in_review"}
    ]


def _drop(medium: Medium, to: Any, *, reason: str, actor: User | None = None) -> None:
    """End a medium without a picture, and give its credits back. `actor`: who wanted it so, if anybody did."""
    case: Case | None = medium.case
    moved = (
        Medium.objects.filter(pk=medium.pk)
        .exclude(state__in=[Medium.State.CANCELLED, Medium.State.FAILED])
        .update(state=to, failure=reason[:200])
    )
    if not moved:
        return
    if case is not None:
        abandon(subject="medium", key=medium.pk, reason=reason, actor=actor)
    ledger.release(medium.cause, reason=reason)


def drop_medium(medium: Medium, *, reason: str) -> None:
    """One medium could not be drawn; its neighbours go on. In the caller's transaction."""
    require_transaction()
    _drop(medium, Medium.State.FAILED, reason=reason)
