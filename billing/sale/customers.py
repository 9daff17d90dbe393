"""People as Stripe knows them, and one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing.models import Customer, Operation
from billing.sale import till
from journal.transactions import require_no_transaction, step


@contextmanager
def alone(customer: str) -> Iterator[None]:
    """Let nobody else fetch and note what concerns this customer meanwhile, in whatever process.

    What was fetched first would otherwise be written last. The lock is the connection's: it goes with it.
    """
    require_no_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 3))", [f"stripe:{customer}"])
    try:
        yield
    finally:
        # Where the connection broke the lock went with it.
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 3))", [f"stripe:{customer}"])


def customer_of(person: User) -> Customer:
    """A person's customer at Stripe, made at the first purchase. Raises StripeAway or StripeRefused."""
    known = Customer.objects.filter(person=person).first()
    if known and known.deleted_at is None:
        return known
    made = till.ask(
        "customer.create",
        f"person:{person.pk}:{_turn(person, known)}",
        {"email": person.email, "metadata": {"person": str(person.pk)}},
        lambda c, params, options: c.v1.customers.create(params, options),
        person=person,
    )
    with step("till.customer"):
        customer, _ = Customer.objects.update_or_create(
            person=person, defaults={"stripe_id": made.stripe_id, "deleted_at": None}
        )
    return customer


def _turn(person: User, known: Customer | None) -> int:
    """Which of a person's customers is to be made: the first, or the one after those that were deleted.

    One that Stripe made and we died before noting is the same turn still.
    """
    asked = list(Operation.objects.filter(kind="customer.create", person=person).order_by("begun_at"))
    if not asked:
        return 1
    last = asked[-1]
    is_over = last.state == Operation.State.FAILED or (known is not None and known.stripe_id == last.stripe_id)
    return len(asked) + is_over


def person_of(customer: str) -> User | None:
    """Whose customer it is. None for one that is not of this installation."""
    known = Customer.objects.filter(stripe_id=customer).select_related("person").first()
    return known.person if known else None


def note_deleted(customer: str) -> None:
    """Stripe has deleted a customer: what they subscribed to ended with it."""
    Customer.objects.filter(stripe_id=customer, deleted_at__isnull=True).update(deleted_at=timezone.now())
