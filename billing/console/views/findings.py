"""What wants somebody's eye: differences from Stripe, what lies unfinished, disputes, payments that fail."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from billing.console.door import acted, page, shown
from billing.models import Dispute, Event, Finding, Operation, Subscription
from billing.money import money
from billing.sale import differences, reconcile, till
from billing.sale.plans import shop

MOST = 100
# Disputes of Stripe's that still ask for something.
OPEN_DISPUTES = (
    *("warning_needs_response", "needs_response", "warning_under_review", "under_review"),
    *("appeal_needs_response", "appeal_under_review"),
)


@shown
def findings(request: HttpRequest) -> HttpResponse:
    """Everything that should not stay as it is."""
    now = timezone.now()
    failing = (
        Subscription.objects.filter(status__in=Subscription.UNPAID, ended_at__isnull=True)
        .select_related("person", "price", "paid_price")
        .order_by("failing_since")[:MOST]
    )
    disputes = (
        Dispute.objects.filter(status__in=OPEN_DISPUTES)
        .select_related("payment__person")
        .order_by("answer_by", "created_at")[:MOST]
    )
    context = {
        "findings": Finding.objects.filter(gone_at__isnull=True).order_by("-is_mendable", "first_seen_at")[:MOST],
        "gone": Finding.objects.filter(gone_at__isnull=False).order_by("-gone_at")[:10],
        "events": Event.objects.filter(state=Event.State.FAILED).defer("payload").order_by("received_at")[:MOST],
        "operations": Operation.objects.filter(state=Operation.State.BEGUN, begun_at__lt=now - differences.LATE)
        .select_related("person")
        .order_by("begun_at")[:MOST],
        "disputes": [
            (each, money(each.amount, each.payment.currency), bool(each.answer_by and each.answer_by < now))
            for each in disputes
        ],
        "failing": [
            (
                each,
                money(each.price.amount, each.price.currency) if each.price else "",
                each.paid_until + shop().grace if each.paid_until else None,
            )
            for each in failing
        ],
        "now": now,
        "is_open": till.is_open(),
    }
    return page(request, "findings", context, place="findings")


@acted
def mending(request: HttpRequest, finding_id: int) -> HttpResponse:
    """Do what the remedy says, looking anew at the one thing it is about."""
    finding = get_object_or_404(Finding, pk=finding_id)
    try:
        is_mended = reconcile.mend(finding)
    except till.StripeAway:
        messages.error(request, "Stripe does not answer. Nothing was changed; try again in a few minutes.")
    except (till.NoStripe, till.StripeRefused) as error:
        messages.error(request, f"It could not be mended. {error}")
    else:
        if is_mended:
            messages.success(request, "Done. The next reconciliation tells if anything still differs.")
        else:
            messages.info(request, "It is gone already, or a person has to see to it: follow the remedy.")
    return redirect("console_findings")
