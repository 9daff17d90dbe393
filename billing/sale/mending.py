"""What the remedies of differences do, to be done when somebody says so. Each may be done any number of times."""

from collections.abc import Callable

from billing import reversals
from billing.models import Payment
from billing.sale import checkout, payments, subscriptions
from billing.sale.customers import alone
from journal.transactions import step


def fulfilling(session: str) -> Callable[[], object]:
    """Grant what was paid at Checkout."""
    return lambda: checkout.fulfil(session)


def recording(invoice: str, customer: str) -> Callable[[], object]:
    """Grant what an invoice paid for."""

    def record() -> None:
        with alone(customer):
            payments.record_invoice(payments.fetch_invoice(invoice))

    return record


def refreshing(payment: Payment) -> Callable[[], object]:
    """Look at a purchase's refunds and disputes again."""

    def refresh() -> None:
        with alone(payment.person.customer.stripe_id):
            payments.refresh(payment)

    return refresh


def settling(payment: Payment) -> Callable[[], object]:
    """Bring a purchase's credits in line with its money."""

    def settle() -> None:
        with step("till.money"):
            reversals.settle(Payment.objects.select_for_update(no_key=True).get(pk=payment.pk))

    return settle


def following(stripe_id: str, customer: str) -> Callable[[], object]:
    """Look at a subscription again."""

    def follow() -> None:
        with alone(customer):
            subscriptions.follow(stripe_id)

    return follow
