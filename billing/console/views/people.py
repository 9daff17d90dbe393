"""One person: what they have, bought and did, and the forms for what may be done about it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from accounts.models import User
from billing import causes, ledger
from billing.console import acts, movements, purchases, typed
from billing.console.door import number_in, page, shown
from billing.console.told import told_acts
from billing.models import Checkout, Dispute, Lot, Notice, Payment, Price, Refund, Subscription, Transfer, Wallet
from billing.money import money
from billing.sale.plans import current_subscription, plan_of, price_of, shop
from billing.sale.shelf import new_key
from billing.sale.standing import standing_of

PER_PAGE = 50
SHORT = 10
NONE: Mapping[str, str] = {}


@shown
def person(request: HttpRequest, person_id: int) -> HttpResponse:
    """Everything of one person on one page."""
    return person_page(request, get_object_or_404(User, pk=person_id))


def person_page(
    request: HttpRequest,
    person: User,
    *,
    typed_in: Mapping[str, str] = NONE,
    errors: Mapping[str, str] = NONE,
    kind: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, with what was typed into one of its forms and what stands against that."""
    wallet = Wallet.objects.filter(person=person).first()
    subscription = current_subscription(person)
    payments = list(Payment.objects.of(person).select_related("price").order_by("-id")[: SHORT + 1])
    own_acts = person.acts.select_related("asked_by", "decision__decided_by", "outcome", "payment", "person")
    context = {
        "person": person,
        "wallet": wallet,
        "balance": ledger.balance(wallet) if wallet else ledger.Balance(0, 0),
        "lots": _lots(wallet) if wallet else [],
        "lines": movements.of_wallet(wallet, before=None, most=SHORT) if wallet else [],
        "plan": plan_of(person),
        "subscription": subscription,
        "standing": standing_of(subscription) if subscription else None,
        "older_subscriptions": Subscription.objects.of(person)
        .exclude(pk=subscription.pk if subscription else 0)
        .select_related("price")
        .order_by("-id")[:SHORT],
        "payments": payments[:SHORT],
        "has_more_payments": len(payments) > SHORT,
        "disputes": Dispute.objects.filter(payment__person=person).select_related("payment").order_by("-created_at"),
        "checkouts": Checkout.objects.of(person).select_related("price").order_by("-created_at")[:SHORT],
        "notices": Notice.objects.filter(person=person).order_by("-id")[:SHORT],
        "acts": told_acts(own_acts.order_by("-id")[:SHORT]),
        "choices": _choices(subscription) if subscription else [],
        "key": new_key(),
        "typed": typed_in,
        "errors": errors,
        "kind": kind,
        "is_own": person == request.user,
    }
    return page(request, "person", context, place="people", status=status)


def _lots(wallet: Wallet) -> list[Lot]:
    """Those with something in them, then the newest of the others."""
    own = Lot.objects.filter(wallet=wallet).select_related("payment").order_by("-id")
    full = list(own.filter(Q(remaining__gt=0) | Q(held__gt=0))[:PER_PAGE])
    return full + [lot for lot in own[:SHORT] if lot not in full]


def _choices(subscription: Subscription) -> list[tuple[str, str]]:
    """What a subscription can be changed to: prices that are sold, and its end."""
    found: list[tuple[str, str]] = []
    for offer in shop().plans:
        for interval in offer.prices:
            price: Price | None = price_of(offer.code, interval)
            if price and price != subscription.price:
                found.append((str(price.pk), f"{offer.title}, {money(price.amount, price.currency)} a {interval}"))
    return [*found, (acts.END_LATER, "End it when its period is over"), (acts.END_NOW, "End it at once")]


@shown
def lines(request: HttpRequest, person_id: int) -> HttpResponse:
    """Every movement of their credits, newest first."""
    found = get_object_or_404(User, pk=person_id)
    wallet = Wallet.objects.filter(person=found).first()
    before = number_in(request.GET.get("before", ""))
    told = movements.of_wallet(wallet, before=before, most=PER_PAGE + 1) if wallet else []
    context = {
        "person": found,
        "lines": told[:PER_PAGE],
        "older": told[PER_PAGE - 1].id if len(told) > PER_PAGE else None,
        "is_first_page": before is None,
    }
    return page(request, "lines", context, place="people")


@shown
def payments(request: HttpRequest, person_id: int) -> HttpResponse:
    """Every purchase of theirs, newest first."""
    found = get_object_or_404(User, pk=person_id)
    before = number_in(request.GET.get("before", ""))
    own = Payment.objects.of(found).order_by("-id")
    if before is not None:
        own = own.filter(pk__lt=before)
    told = list(own[: PER_PAGE + 1])
    context = {
        "person": found,
        "payments": told[:PER_PAGE],
        "older": told[PER_PAGE - 1].pk if len(told) > PER_PAGE else None,
        "is_first_page": before is None,
    }
    return page(request, "payments", context, place="people")


@shown
def transfer(request: HttpRequest, transfer_id: int) -> HttpResponse:
    """One movement, to the last entry."""
    found = get_object_or_404(Transfer.objects.select_related("wallet__person", "actor"), pk=transfer_id)
    return page(request, "transfer", {"story": movements.story_of(found)}, place="people")


@shown
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """What was set aside, spent and given back for one job."""
    matter = causes.registered().matter_of(str(job_id))
    if matter is None:
        raise Http404
    holds, told = movements.of_matter(matter)
    context = {"matter": matter, "person": User.objects.get(pk=matter.person), "holds": holds, "lines": told}
    return page(request, "job", context, place="people")


@shown
def payment(request: HttpRequest, payment_id: int) -> HttpResponse:
    """One purchase: what it granted, what is left of it, and what went back."""
    found = get_object_or_404(Payment.objects.select_related("person", "price"), pk=payment_id)
    return payment_page(request, found)


def payment_page(
    request: HttpRequest,
    payment: Payment,
    *,
    typed_in: Mapping[str, str] = NONE,
    errors: Mapping[str, str] = NONE,
    status: int = 200,
) -> HttpResponse:
    """The page, with what was typed into its form and what stands against that."""
    standing = purchases.standing_of(payment)
    wallet = Wallet.objects.filter(person=payment.person).first()
    own_acts = payment.acts.select_related("asked_by", "decision__decided_by", "outcome", "payment", "person")
    context: dict[str, Any] = {
        "payment": payment,
        "standing": standing,
        "person": payment.person,
        "refunds": [
            (refund, money(refund.amount, payment.currency))
            for refund in Refund.objects.filter(payment=payment).order_by("-created_at")
        ],
        "disputes": [
            (dispute, money(dispute.amount, payment.currency), money(dispute.withdrawn, payment.currency))
            for dispute in payment.disputes.order_by("-created_at")
        ],
        "lines": movements.told(purchases.transfers_of(payment), wallet) if wallet else [],
        "acts": told_acts(own_acts.order_by("-id")[:PER_PAGE]),
        "amount": typed_in.get("amount", typed.plain(standing.unspent_worth, payment.currency)),
        "goes": typed_in.get("goes", "unspent"),
        "key": new_key(),
        "typed": typed_in,
        "errors": errors,
        "is_own": payment.person == request.user,
    }
    return page(request, "payment", context, place="people", status=status)
