"""Compare Stripe with the ledger, note what differs for the console, and mend what can be mended."""

import logging

from django.utils import timezone

from billing.models import Finding
from billing.sale.differences import Difference, differences
from billing.sale.mending import REMEDIES
from journal.transactions import step

log = logging.getLogger(__name__)


def reconcile(*, mend: bool) -> tuple[list[Difference], int]:
    """Note every difference for the console, mend what can be mended if asked, and return them and how many were.

    What is not seen any more is marked as gone.
    """
    found = list(differences())
    mended: set[int] = set()
    for number, difference in enumerate(found):
        log.warning("%s %s: %s", difference.kind, difference.about, difference.what)
        if mend and difference.kind in REMEDIES:
            try:
                REMEDIES[difference.kind](difference.about)
                mended.add(number)
            except Exception:
                log.exception("%s could not be mended", difference.about)
    now = timezone.now()
    with step("till.reconcile"):
        for number, difference in enumerate(found):
            Finding.objects.update_or_create(
                kind=difference.kind,
                about=difference.about[:255],
                gone_at=None,
                defaults={
                    "what": difference.what[:400],
                    "remedy": difference.remedy[:300],
                    "is_mendable": difference.kind in REMEDIES,
                    "last_seen_at": now,
                },
            )
            if number in mended:
                Finding.objects.filter(kind=difference.kind, about=difference.about[:255], gone_at__isnull=True).update(
                    gone_at=now
                )
        Finding.objects.filter(gone_at__isnull=True, last_seen_at__lt=now).update(gone_at=now)
    return found, len(mended)


def mend(finding: Finding) -> bool:
    """Do what the remedy of one difference says. False if it is gone already, or needs a person.

    Asks Stripe about that one thing only, so it costs the same however many people there are; the next reconciliation
    tells whether anything differs still. Raises StripeAway, StripeRefused, or what the remedy met.
    """
    if finding.gone_at is not None or finding.kind not in REMEDIES:
        return False
    REMEDIES[finding.kind](finding.about)
    Finding.objects.filter(pk=finding.pk).update(gone_at=timezone.now())
    return True
