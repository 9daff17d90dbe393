"""Purchases that were paid, their credits, and what of their money went back.

Every function here takes what was fetched from Stripe just now, and may be called with it any number of times.
"""

from datetime import UTC, datetime
from typing import Any

import stripe
from django.utils import timezone

from billing import ledger, reversals
from billing.allowances import months_after
from billing.models import Checkout, Dispute, Lot, Payment, Price, Refund
from billing.sale import till
from billing.sale.customers import person_of
from billing.sale.plans import shop
from journal.failpoints import failpoint
from journal.transactions import step

# A refund in these states has gone, or is on its way; in any other the money stayed.
GOING = {"pending", "requires_action", "succeeded"}


def moment(seconds: int | None) -> datetime:
    """A time of Stripe's."""
    return datetime.fromtimestamp(seconds or 0, UTC)


def record_top_up(checkout: Checkout, session: Any) -> Payment | None:
    """Note a top-up that was paid at Checkout and grant its credits, once. None while it is not paid."""
    if session.status != "complete" or session.payment_status not in {"paid", "no_payment_required"}:
        return None
    key = f"checkout:{session.id}"
    if known := Payment.objects.filter(key=key).first():
        return known
    offer = shop().offers.get(checkout.price.offer)
    paid = _charge_of(session.payment_intent)
    now = moment(session.created)
    with step("till.top_up"):
        payment, is_new = Payment.objects.get_or_create(
            key=key,
            defaults={
                "person": checkout.person,
                "price": checkout.price,
                "occasion": Price.Interval.ONCE.value,
                "amount": session.amount_total or 0,
                "tax": session.total_details.amount_tax if session.total_details else 0,
                "currency": session.currency or checkout.price.currency,
                "credits": checkout.price.credits,
                "stripe_invoice": id_of(session.invoice),
                "paid_at": now,
                **paid,
            },
        )
        if is_new:
            _grant(
                payment,
                checkout.price.credits,
                key=key,
                expires_at=months_after(now, offer.lasts_months if offer and offer.lasts_months else 12),
                reason=offer.title if offer else f"{checkout.price.credits} credits",
            )
    failpoint("till.granted")
    if session.invoice:
        name(fetch_invoice(id_of(session.invoice)))
    return payment


def name(invoice: Any) -> None:
    """Note the number and the page of a top-up's invoice. Stripe writes it after the payment, at times long after."""
    intents = [id_of(each.payment.payment_intent) for each in _payments_of(invoice) if each.status == "paid"]
    Payment.objects.filter(stripe_intent__in=filter(None, intents), occasion=Price.Interval.ONCE).update(
        stripe_invoice=invoice.id, number=invoice.number or "", page_url=invoice.hosted_invoice_url or ""
    )


def record_invoice(invoice: Any) -> Payment | None:
    """Note a paid invoice of a subscription and grant the credits of its lines, once.

    None for an invoice that is not paid, not of a subscription, or not of this installation. That of a top-up gives it
    its number.
    """
    subscription = subscription_of(invoice)
    person = person_of(id_of(invoice.customer))
    if invoice.status == "paid" and not subscription:
        name(invoice)
    if invoice.status != "paid" or not subscription or person is None:
        return None
    key = f"invoice:{invoice.id}"
    if known := Payment.objects.filter(key=key).first():
        return known
    granted = _credits_of(invoice)
    intent = next((id_of(each.payment.payment_intent) for each in _payments_of(invoice) if each.status == "paid"), "")
    paid = _charge_of(intent)
    main = granted[0] if granted else None
    with step("till.invoice"):
        payment, is_new = Payment.objects.get_or_create(
            key=key,
            defaults={
                "person": person,
                "price": main.price if main else None,
                "occasion": invoice.billing_reason or "",
                "amount": invoice.amount_paid,
                "tax": min(sum(tax.amount for tax in invoice.total_taxes or []), invoice.amount_paid),
                "currency": invoice.currency,
                "credits": sum(line.credits for line in granted),
                "stripe_invoice": invoice.id,
                "stripe_subscription": subscription,
                "number": invoice.number or "",
                "page_url": invoice.hosted_invoice_url or "",
                "paid_at": moment(invoice.status_transitions.paid_at or invoice.created),
                "covers_until": main.until if main else None,
                **paid,
            },
        )
        if is_new:
            for line in granted:
                if line.credits:
                    _grant(
                        payment,
                        line.credits,
                        key=f"{key}:{line.id}",
                        expires_at=line.lasts_until,
                        reason=line.reason,
                        is_gift=line.is_trial,
                    )
    failpoint("till.granted")
    return payment


class _Line:
    """What one line of an invoice grants."""

    def __init__(self, line: Any, price: Price) -> None:
        offer = shop().offers.get(price.offer)
        self.id = str(line.id)
        self.price = price
        self.amount = int(line.amount)
        self.is_proration = bool(line.parent.subscription_item_details.proration)
        self.is_trial = not self.is_proration and not self.amount
        self.until = moment(line.period.end)
        rollover = offer.rollover_months if offer and not self.is_trial else 0
        self.lasts_until = months_after(self.until, rollover)
        title = offer.title if offer else price.offer
        self.reason = f"{title}, until {self.until:%-d %B %Y}"
        if self.is_trial:
            self.credits = offer.trial_credits if offer else 0
            self.reason = f"{title}, to try"
        elif self.is_proration:
            # The same part of the credits as of the money. A part that is given back counts below zero.
            self.credits = int(price.credits * self.amount / price.amount)
            self.reason = f"The rest of the period at {title}"
        else:
            self.credits = price.credits


def _credits_of(invoice: Any) -> list[_Line]:
    """What the lines grant, the one that says what is paid for now first.

    In a change of plan the part that is given back is set against the part that is charged: the difference is granted.
    """
    lines = []
    for line in _lines_of(invoice):
        details = line.parent and line.parent.subscription_item_details
        price_id = line.pricing and line.pricing.price_details and id_of(line.pricing.price_details.price)
        price = Price.objects.filter(stripe_price=price_id).first() if details and price_id else None
        if price is not None:
            lines.append(_Line(line, price))
    lines.sort(key=lambda line: (line.amount < 0, line.is_proration, line.id))
    charged = [line for line in lines if line.amount >= 0]
    back = -sum(line.credits for line in lines if line.amount < 0)
    for line in reversed(charged):
        if line.is_proration:
            part = min(line.credits, back)
            line.credits -= part
            back -= part
    return charged


def refresh(payment: Payment) -> Payment:
    """Fetch what became of a purchase's money, and bring its credits in line.

    What matters is where refunds and disputes stand now, not which event told of them, so their order does not matter.
    """
    if not payment.stripe_intent:
        return payment
    intent = payment.stripe_intent
    refunds = till.fetch(lambda c: list(c.v1.refunds.list({"payment_intent": intent, "limit": 100}).auto_paging_iter()))
    disputes = till.fetch(
        lambda c: list(c.v1.disputes.list({"payment_intent": intent, "limit": 100}).auto_paging_iter())
    )
    with step("till.money"):
        payment = Payment.objects.select_for_update(no_key=True).get(pk=payment.pk)
        for refund in refunds:
            _note_refund(payment, refund)
        for dispute in disputes:
            _note_dispute(payment, dispute)
        gone = [refund for refund in refunds if refund.status in GOING]
        payment.refunded = sum(refund.amount for refund in gone)
        payment.forgiven = sum(refund.amount for refund in gone if keeps_credits(refund))
        payment.disputed = sum(withdrawn_by(dispute) for dispute in disputes)
        payment.save(update_fields=["refunded", "forgiven", "disputed"])
        reversals.settle(payment)
    failpoint("till.settled")
    return payment


def withdrawn_by(dispute: Any) -> int:
    """What a dispute holds of a payment at this moment, in the payment's currency and without fees.

    The balance tells in its own currency what was withdrawn and what came back: only their proportion is used.
    """
    moved = [int(each.amount) for each in dispute.balance_transactions or []]
    out = -sum(amount for amount in moved if amount < 0)
    back = sum(amount for amount in moved if amount > 0)
    return int(dispute.amount * max(out - back, 0) / out) if out else 0


def keeps_credits(refund: Any) -> bool:
    """Whether the person keeps what a refund pays back: goodwill, said by whoever refunded."""
    return bool(refund.metadata) and refund.metadata.to_dict().get("keeps_credits") == "yes"


def _note_refund(payment: Payment, refund: Any) -> None:
    Refund.objects.update_or_create(
        stripe_id=refund.id,
        defaults={
            "payment": payment,
            "amount": refund.amount,
            "status": refund.status or "",
            "keeps_credits": keeps_credits(refund),
            "created_at": moment(refund.created),
        },
    )


def _note_dispute(payment: Payment, dispute: Any) -> None:
    due = dispute.evidence_details and dispute.evidence_details.due_by
    Dispute.objects.update_or_create(
        stripe_id=dispute.id,
        defaults={
            "payment": payment,
            "amount": dispute.amount,
            "withdrawn": withdrawn_by(dispute),
            "reason": dispute.reason[:60],
            "status": dispute.status,
            "answer_by": moment(due) if due else None,
            "created_at": moment(dispute.created),
        },
    )


def _grant(
    payment: Payment, credits: int, *, key: str, expires_at: datetime, reason: str, is_gift: bool = False
) -> None:
    """A lot of the purchase. What cost nothing, by a promotion code or to try, is a promotion and is spent first."""
    is_paid = payment.amount > 0 and not is_gift
    ledger.grant(
        ledger.wallet_of(payment.person),
        credits,
        source=Lot.Source.PAID if is_paid else Lot.Source.PROMOTION,
        key=key,
        effective_at=min(payment.paid_at, timezone.now()),
        expires_at=expires_at,
        reason=reason[:200],
        # The tax is not ours. A purchase of several lots is split as its credits are.
        cost_basis=(payment.amount - payment.tax) * credits // payment.credits if is_paid else None,
        currency=payment.currency if is_paid else "",
        payment=payment,
    )


def _charge_of(intent: Any) -> dict[str, str]:
    """The charge and the card behind a payment intent, as fields of a payment. Nothing where nothing was charged."""
    if not intent:
        return {}
    found: Any = till.fetch(lambda c: c.v1.payment_intents.retrieve(id_of(intent), {"expand": ["latest_charge"]}))
    charge = found.latest_charge
    card = charge and charge.payment_method_details and getattr(charge.payment_method_details, "card", None)
    return {
        "stripe_intent": found.id,
        "stripe_charge": id_of(charge),
        "card_brand": (card.brand or "") if card else "",
        "card_last4": (card.last4 or "") if card else "",
    }


def _payments_of(invoice: Any) -> list[Any]:
    return list(invoice.payments.data) if getattr(invoice, "payments", None) else []


def _lines_of(invoice: Any) -> list[Any]:
    if not invoice.lines.has_more:
        return list(invoice.lines.data)
    return till.fetch(lambda c: list(c.v1.invoices.line_items.list(invoice.id, {"limit": 100}).auto_paging_iter()))


def subscription_of(invoice: Any) -> str:
    """The id of the subscription that an invoice is of, or nothing."""
    details = invoice.parent and invoice.parent.subscription_details
    return id_of(details.subscription) if details else ""


def id_of(found: Any) -> str:
    """The id of something that Stripe may have expanded, or nothing."""
    if not found:
        return ""
    return found if isinstance(found, str) else str(found.id)


def fetch_invoice(invoice: str) -> stripe.Invoice:
    """An invoice with what paid it."""
    return till.fetch(lambda c: c.v1.invoices.retrieve(invoice, {"expand": ["payments"]}))
