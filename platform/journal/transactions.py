"""The one way to open a transaction on the path of a job."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from journal.failpoints import failpoint


@contextmanager
def step(name: str) -> Iterator[None]:
    """Run the body in one transaction, with a failpoint on either side of its commit.

    Inside another transaction it is a savepoint and has no failpoints: the outermost step is what commits.
    """
    outermost = not transaction.get_connection().in_atomic_block
    with transaction.atomic():
        yield
        if outermost:
            failpoint(f"{name}.before_commit")
    if outermost:
        failpoint(f"{name}.after_commit")


@contextmanager
def reading() -> Iterator[None]:
    """Run the body in one transaction in which PostgreSQL refuses to write: a kill spoils nothing."""
    with transaction.atomic():
        with transaction.get_connection().cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield


def require_transaction() -> None:
    """Refuse to go on outside a transaction: the caller's other writes must stand or fall with ours."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("This must run inside the caller's transaction.")


def require_no_transaction() -> None:
    """Refuse to go on inside a transaction: what follows is slow, or must be written down before it is done."""
    if transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("This must run outside any transaction.")
