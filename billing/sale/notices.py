"""Letters to people about their credits and payments: each written down once, then sent until it has left."""

import logging
import smtplib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.functions import Cast, Concat
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Event, Lot, Notice, Subscription, Wallet
from billing.sale.customers import person_of
from billing.sale.plans import plan_of, shop
from journal.transactions import step

log = logging.getLogger(__name__)

# Credits that go in less than this are told of, if they are worth a letter.
SOON = timedelta(days=7)
LEAST_TOLD = 20
# Under this part of a month's credits the balance is low.
LOW = 0.1
AT_ONCE = 500


def tell(person: User, kind: str, about: str) -> bool:
    """Write down that somebody should get a letter, once for each thing it is about. False if they did already."""
    with step("till.notice"):
        _, is_new = Notice.objects.get_or_create(person=person, kind=kind, about=about[:100])
    return is_new


def after(event: Event) -> None:
    """What a person should hear of at once: a payment that failed, or that their bank wants them to confirm."""
    kinds = {"invoice.payment_failed": "payment_failed", "invoice.payment_action_required": "action_required"}
    person = person_of(event.customer)
    if event.type not in kinds or person is None:
        return
    # By now it may be paid after all: then there is nothing to say.
    if Subscription.objects.of(person).filter(status__in=Subscription.UNPAID).exists():
        tell(person, kinds[event.type], event.object_id)


def find_due() -> int:
    """Write down who should hear that credits expire soon or run low, of those who were not told yet. Looks at lots
    that expire within a week and at wallets that spent within the last hours: grows with those."""
    now = timezone.now()
    found = 0
    of_lot = Concat(Value("lot:"), Cast(OuterRef("pk"), CharField()))
    soon = Lot.objects.filter(
        ~Exists(Notice.objects.filter(person=OuterRef("wallet__person"), kind="expires_soon", about=of_lot)),
        expires_at__gt=now,
        expires_at__lte=now + SOON,
        remaining__gte=LEAST_TOLD,
        source__in=["paid", "correction"],
    )
    for lot in soon.select_related("wallet__person").iterator(AT_ONCE):
        found += tell(lot.wallet.person, "expires_soon", f"lot:{lot.pk}")
    told = Notice.objects.filter(kind="runs_low", about=f"{now:%Y-%m}", person=OuterRef("person"))
    active = Wallet.objects.filter(~Exists(told), holds__opened_at__gt=now - timedelta(hours=2)).distinct()
    for wallet in active.select_related("person").iterator(AT_ONCE):
        if ledger.balance(wallet).available < plan_of(wallet.person).credits * LOW:
            found += tell(wallet.person, "runs_low", f"{now:%Y-%m}")
    return found


def send_waiting() -> int:
    """Send what was written down and has not left. A mail server that is away is tried again at the next turn; a letter
    that it will never take is let go, and one that cannot be written keeps none behind it from leaving."""
    sent = 0
    waiting = Notice.objects.filter(sent_at__isnull=True).select_related("person").order_by("pk")
    for notice in waiting[:AT_ONCE]:
        try:
            if (letter := _letter(notice)) is not None:
                letter.send()
        except smtplib.SMTPRecipientsRefused as error:
            log.warning("person %s has an address that takes no letters: %s", notice.person_id, error)
        except OSError as error:
            log.warning("letters wait, the mail server is away: %s", error)
            return sent
        except Exception:
            log.exception("letter %s could not be written", notice.pk)
            continue
        Notice.objects.filter(pk=notice.pk).update(sent_at=timezone.now())
        sent += 1
    return sent


def _letter(notice: Notice) -> EmailMessage | None:
    """The letter, or None when what it would say is true no longer, or nobody is there to read it."""
    person = notice.person
    context: dict[str, Any] = {"wallet_url": settings.BASE_URL + reverse("wallet"), "grace_days": shop().grace.days}
    if not person.is_active:
        return None
    match notice.kind:
        case "expires_soon":
            lot = Lot.objects.filter(pk=int(notice.about.partition(":")[2]), remaining__gt=0).first()
            if lot is None:
                return None
            context["lot"] = lot
        case "runs_low":
            context["available"] = ledger.balance(ledger.wallet_of(person)).available
        case "payment_failed" | "action_required":
            unpaid = Subscription.objects.of(person).filter(status__in=Subscription.UNPAID).first()
            if unpaid is None:
                return None
            lasts = unpaid.paid_until + shop().grace if unpaid.paid_until else None
            context |= {"subscription": unpaid, "lasts_until": lasts, "plan": plan_of(person)}
        case _:
            raise ValueError(f"There is no letter {notice.kind!r}.")
    subject, _, body = render_to_string(f"billing/mail/{notice.kind}.txt", context).strip().partition("\n")
    return EmailMessage(subject.strip(), body.strip() + "\n", to=[person.email])
