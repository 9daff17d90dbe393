"""The line to Stripe: one client, one version of its API, and each thing we ask of it written down first."""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import stripe
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from billing.models import Operation
from journal.transactions import require_no_transaction, step

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

# The shapes that this code reads. Events come in the same version, by the webhook endpoint's setting.
API_VERSION = "2026-10-28.endive"

# Stripe keeps what an idempotency key brought for at least 24 hours.
KEY_LASTS = timedelta(hours=23)


class StripeAway(Exception):
    """Stripe does not answer, or cannot do what was asked at this moment. Nothing was charged by asking."""

    def __init__(self, why: str) -> None:
        super().__init__("Payments cannot be reached at the moment. Nothing was charged; try again in a few minutes.")
        self.why = why


class StripeRefused(Exception):
    """Stripe will not do what was asked. `code` is Stripe's word for why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class NoStripe(Exception):
    """This installation sells nothing: it has no key."""

    def __init__(self) -> None:
        super().__init__("Nothing is sold here: this installation has no key for Stripe (STRIPE_SECRET_KEY).")


class Found(Protocol):
    """What Stripe answers with."""

    id: str


def is_open() -> bool:
    """Whether this installation sells anything."""
    return bool(settings.STRIPE_SECRET_KEY)


_clients: dict[tuple[str, str], stripe.StripeClient] = {}


def client() -> stripe.StripeClient:
    """The one client of this process; its connections are kept. Raises NoStripe without a key."""
    if not is_open():
        raise NoStripe
    known = (settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)
    if known not in _clients:
        _clients.clear()
        _clients[known] = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE},
            stripe_version=API_VERSION,
            max_network_retries=settings.STRIPE_RETRIES,
            http_client=stripe.RequestsClient(timeout=(3.05, settings.STRIPE_TIMEOUT)),
        )
    return _clients[known]


def fetch(call: Callable[[stripe.StripeClient], Answer]) -> Answer:
    """Read something of Stripe's. Raises StripeAway or StripeRefused."""
    try:
        return call(client())
    except stripe.StripeError as error:
        raise _told(error) from error


def ask(
    kind: str,
    subject: str,
    params: Mapping[str, Any],
    call: Callable[[stripe.StripeClient, Any, Any], Found],
    *,
    person: User | None = None,
    find: Callable[[stripe.StripeClient, Operation], str | None] | None = None,
) -> Operation:
    """Have Stripe do something once for `subject`, whatever dies in between; the operation tells what it made.

    1. Write down what is to be asked, and under which idempotency key. A second caller finds the first one's row.
    2. Ask. While Stripe is away the row stays begun, and the next call asks again under the same key.
    3. Write down what came of it.

    `call` gets the client, the parameters and the options that carry the key. `find` looks up what an earlier attempt
    made, once Stripe may have forgotten its key. Raises StripeAway, or StripeRefused, which stands: the same subject
    is refused again without asking.
    """
    require_no_transaction()
    with step("till.begin"):
        operation, _ = Operation.objects.get_or_create(
            kind=kind, subject=subject, defaults={"params": dict(params), "person": person, "begun_at": timezone.now()}
        )
    if operation.state == Operation.State.FAILED:
        raise StripeRefused("refused_before", operation.error)
    if operation.state == Operation.State.DONE:
        return operation
    if find and operation.begun_at < timezone.now() - KEY_LASTS and (made := fetch(lambda c: find(c, operation))):
        return _end(operation, Operation.State.DONE, stripe_id=made)
    try:
        answer = call(client(), _in_order(operation.params), {"idempotency_key": str(operation.pk)})
    except stripe.StripeError as error:
        told = _told(error)
        if isinstance(told, StripeRefused):
            _end(operation, Operation.State.FAILED, error=str(told)[:300])
        raise told from error
    return _end(operation, Operation.State.DONE, stripe_id=answer.id)


def _in_order(params: Any) -> Any:
    """The same parameters in one order, however the database gives them back: the same key, the same words."""
    if isinstance(params, dict):
        return {key: _in_order(params[key]) for key in sorted(params)}
    return [_in_order(each) for each in params] if isinstance(params, list) else params


def _end(operation: Operation, state: Operation.State, *, stripe_id: str = "", error: str = "") -> Operation:
    with step("till.end"):
        begun = Operation.objects.filter(pk=operation.pk, state=Operation.State.BEGUN)
        begun.update(state=state, stripe_id=stripe_id, error=error, ended_at=timezone.now())
    operation.refresh_from_db()
    return operation


def _told(error: stripe.StripeError) -> StripeAway | StripeRefused:
    """Which of the two it is. What may pass by waiting is away; what will be said again is refused."""
    why = f"{type(error).__name__}: {error.user_message or error}"
    passing = (stripe.APIConnectionError, stripe.RateLimitError, stripe.IdempotencyError)
    status = error.http_status or 0
    if isinstance(error, passing) or status >= 500 or status in {409, 429}:
        log.warning("Stripe is away: %s", why)
        return StripeAway(why)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        # Ours to mend, and nobody's purchase should be marked as refused for it.
        log.error("Stripe does not take our key: %s", why)
        return StripeAway(why)
    return StripeRefused(str(error.code or ""), str(error.user_message or error))
