"""Find whom it is about, by whatever is at hand. Each way is one look into an index, but for a part of an address."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse

from accounts.models import User
from billing import causes
from billing.console.door import number_in
from billing.models import Checkout, Customer, Dispute, Payment, Refund, Subscription, Transfer
from billing.money import money

MOST = 50
UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.I)


@dataclass(frozen=True)
class Hit:
    """One thing that was found: whose, what it is, and its page."""

    email: str
    what: str
    url: str


def find(text: str) -> list[Hit]:
    """Everything that fits, up to MOST. Ids and numbers must be whole; of an e-mail address a part will do."""
    text = text.strip()
    if not text or "\0" in text:
        return []
    if UUID.fullmatch(text):
        return _by_job(text) or _by_checkout(Q(pk=text))
    if text.isascii() and text.isdecimal():
        return [*_by_card(text), *_by_numbers(text)]
    start, _, _ = text.partition("_")
    if (look := BY_STRIPE.get(start)) and (found := look(text)):
        return found
    if (own := re.fullmatch(r"(payment|transfer):(\d{1,18})", text)) is not None:
        return _own(own[1], int(own[2]))
    return _payments(Q(number=text) | Q(number=text.upper())) or _by_email(text)


def _by_email(text: str) -> list[Hit]:
    text = text.lower()
    found = list(User.objects.filter(email__startswith=text).order_by("email")[:MOST])
    if not found:
        found = list(User.objects.filter(email__icontains=text).order_by("email")[:MOST])
    return [_person(each) for each in found]


def _by_job(text: str) -> list[Hit]:
    matter = causes.registered().matter_of(text)
    if matter is None:
        return []
    email = User.objects.values_list("email", flat=True).get(pk=matter.person)
    return [Hit(email, matter.sentence, reverse("console_job", args=[matter.id]))]


def _by_card(text: str) -> list[Hit]:
    """People, once each, by the last four figures of a card they paid with."""
    if len(text) != 4:
        return []
    own = Payment.objects.filter(card_last4=text).select_related("person").order_by("-id")[: 4 * MOST]
    brands: dict[int, Hit] = {}
    for payment in own:
        what = f"paid with {payment.card_brand.capitalize() or 'a card'} {text}"
        hit = Hit(payment.person.email, what, reverse("console_person", args=[payment.person_id]))
        brands.setdefault(payment.person_id, hit)
    return list(brands.values())[:MOST]


def _by_numbers(text: str) -> list[Hit]:
    number = number_in(text)
    people = [_person(each) for each in User.objects.filter(pk=number)] if number is not None else []
    return [*people, *_payments(Q(number=text))]


def _by_checkout(wanted: Q) -> list[Hit]:
    found = Checkout.objects.filter(wanted).select_related("person", "price")[:MOST]
    return [
        Hit(
            each.person.email,
            f"a visit to the checkout, {each.get_state_display()}",
            f"{reverse('console_person', args=[each.person_id])}#checkouts",
        )
        for each in found
    ]


def _payments(wanted: Q) -> list[Hit]:
    found = Payment.objects.filter(wanted).select_related("person").order_by("-id")[:MOST]
    return [
        Hit(
            each.person.email,
            f"{money(each.amount, each.currency)} for {each.title}, {each.paid_at:%-d %B %Y}",
            reverse("console_payment", args=[each.pk]),
        )
        for each in found
    ]


def _customers(text: str) -> list[Hit]:
    return [_person(each.person) for each in Customer.objects.filter(stripe_id=text).select_related("person")]


def _subscriptions(text: str) -> list[Hit]:
    found = Subscription.objects.filter(stripe_id=text).select_related("person")
    return [
        Hit(
            each.person.email,
            f"a subscription, {each.status}",
            f"{reverse('console_person', args=[each.person_id])}#subscription",
        )
        for each in found
    ]


def _own(kind: str, number: int) -> list[Hit]:
    if kind == "payment":
        return _payments(Q(pk=number))
    found = Transfer.objects.filter(pk=number).select_related("wallet__person")
    return [
        Hit(each.wallet.person.email, f"a movement of {each.created_at:%-d %B %Y}", _transfer(each.pk))
        for each in found
    ]


def _transfer(number: int) -> str:
    return reverse("console_transfer", args=[number])


def _person(person: User) -> Hit:
    what = f"joined {person.joined_at:%-d %B %Y}" + ("" if person.is_active else ", cannot sign in")
    return Hit(person.email, what, reverse("console_person", args=[person.pk]))


def _refund(text: str) -> list[Hit]:
    return _payments(Q(pk__in=Refund.objects.filter(pk=text).values("payment")))


def _dispute(text: str) -> list[Hit]:
    return _payments(Q(pk__in=Dispute.objects.filter(pk=text).values("payment")))


def _session(text: str) -> list[Hit]:
    return _payments(Q(key=f"checkout:{text}")) or _by_checkout(Q(stripe_id=text))


# By the beginning of Stripe's ids.
BY_STRIPE: dict[str, Callable[[str], list[Hit]]] = {
    "in": lambda text: _payments(Q(stripe_invoice=text)),
    "pi": lambda text: _payments(Q(stripe_intent=text)),
    "ch": lambda text: _payments(Q(stripe_charge=text)),
    "py": lambda text: _payments(Q(stripe_charge=text)),
    "cs": _session,
    "sub": _subscriptions,
    "cus": _customers,
    "re": _refund,
    "pyr": _refund,
    "du": _dispute,
    "dp": _dispute,
}
