"""What billing admins do by hand: asked for with a reason, decided, carried out once, and kept for good."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Sum
from django.db.models.functions import Abs
from django.utils import timezone

from accounts.models import User
from billing import ledger, reversals
from billing.models import Act, ActDecision, ActOutcome, Lot, Operation, Payment, Price, Subscription
from billing.money import money
from billing.sale import payments, subscriptions, till
from billing.sale.customers import alone
from journal.transactions import require_no_transaction, step

SHORTEST_REASON = 10
MOST_CREDITS = 10_000_000
# What an admin did alone to one person's account in this time counts towards the limit: many small acts are one large.
LATELY = timedelta(days=30)

# What a plan change may be, beside the id of a price.
END_LATER, END_NOW = "end_later", "end_now"


class NotAllowed(Exception):
    """What was asked for does not fit. `field` names what is wrong, the message says what would do."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class DecidedBefore(Exception):
    """Somebody else decided it first; theirs stands."""

    def __init__(self, act: Act) -> None:
        super().__init__("This was decided already.")
        self.act = act


def ask_correction(person: User, amount: int, *, reason: str, asked_by: User, key: str) -> Act:
    """Give credits, or take some (below zero). Raises NotAllowed."""
    if not amount or abs(amount) > MOST_CREDITS:
        raise NotAllowed("amount", f"Give or take from 1 to {MOST_CREDITS:,} credits.")
    available = ledger.balance(ledger.wallet_of(person)).available
    if amount < 0 and -amount > available:
        raise NotAllowed("amount", f"They have {available:,} credits; a correction makes no debt.")
    limit = settings.SECOND_PERSON_CREDITS
    return _ask(Act.Kind.CORRECTION, person, reason, asked_by, key, abs(amount), limit, amount=amount)


def refundable(payment: Payment) -> int:
    """Money that has not gone back yet, in its smallest unit."""
    return max(payment.amount - payment.refunded - payment.disputed, 0)


def unspent_worth(payment: Payment) -> int:
    """The part of a purchase's money that its unspent credits stand for, rounded down: what a refund takes without
    making a debt."""
    if not payment.credits:
        return 0
    return min(payment.amount * reversals.unspent_of(payment) // payment.credits, refundable(payment))


def ask_refund(
    payment: Payment, amount: int, *, reason: str, asked_by: User, key: str, beyond: bool, keeps_credits: bool
) -> Act:
    """Give money of a purchase back.

    Up to what is unspent, or `beyond` it: then what was spent becomes a debt, unless the person `keeps_credits`.
    Raises NotAllowed.
    """
    if not payment.stripe_intent:
        raise NotAllowed("amount", "Nothing was charged for this purchase, so nothing can be given back.")
    if not 0 < amount <= refundable(payment):
        raise NotAllowed("amount", f"Up to {money(refundable(payment), payment.currency)} can be given back.")
    if amount > (unspent := unspent_worth(payment)) and not beyond:
        raise NotAllowed(
            "beyond",
            f"Only {money(unspent, payment.currency)} of it is unspent. To give more back, say so: what was spent "
            "becomes a debt, or the person keeps the credits.",
        )
    return _ask(
        Act.Kind.REFUND,
        payment.person,
        reason,
        asked_by,
        key,
        amount,
        settings.SECOND_PERSON_MONEY,
        amount=amount,
        currency=payment.currency,
        payment=payment,
        keeps_credits=keeps_credits,
    )


def ask_plan_change(subscription: Subscription, to: str, *, reason: str, asked_by: User, key: str) -> Act:
    """Change somebody's plan: `to` is the id of a price, or END_LATER or END_NOW. Raises NotAllowed."""
    plans = Price.objects.exclude(interval=Price.Interval.ONCE)
    price = plans.filter(pk=to).first() if to.isascii() and to.isdecimal() and len(to) < 19 else None
    if price is None and to not in {END_LATER, END_NOW}:
        raise NotAllowed("plan", "Choose a plan of the list.")
    if subscription.status in Subscription.OVER:
        raise NotAllowed("plan", "This subscription is over.")
    worth = max(each.amount for each in (price, subscription.price) if each) if price or subscription.price else 0
    limit = settings.SECOND_PERSON_MONEY
    return _ask(Act.Kind.PLAN, subscription.person, reason, asked_by, key, worth, limit, plan=to)


def decide(act: Act, *, by: User, is_granted: bool, reason: str = "") -> ActDecision:
    """Grant or decline an act, once, and carry it out.

    Raises NotAllowed for whoever asked where another person is needed, DecidedBefore, or what the carrying out met
    that stands against it (NotEnoughCredits): then nothing was decided. While Stripe is away the decision stands and
    `carry_out_granted` goes on with it.
    """
    require_no_transaction()
    if is_granted and act.needs_second and by == act.asked_by:
        raise NotAllowed("decision", "You asked for this yourself; another billing admin has to decide.")
    try:
        with step("till.decide"):
            decision = ActDecision.objects.create(act=act, is_granted=is_granted, decided_by=by, reason=reason[:500])
            if is_granted and act.kind == Act.Kind.CORRECTION:
                _correct(act, by)
    except IntegrityError as error:
        raise DecidedBefore(act) from error
    if is_granted:
        # While Stripe is away it is granted all the same, and the till asks again until Stripe answers.
        with suppress(till.StripeAway, till.NoStripe):
            carry_out(act)
    return decision


def carry_out(act: Act) -> ActOutcome:
    """Have Stripe do what was granted, once, and note what came of it. Safe to call again. Raises StripeAway."""
    if known := ActOutcome.objects.filter(act=act).first():
        return known
    said = ""
    try:
        match act.kind:
            case Act.Kind.REFUND:
                _refund(act)
            case Act.Kind.PLAN:
                _change_plan(act)
    except (till.StripeRefused, subscriptions.NotPossible) as error:
        said = str(error)
    with step("till.outcome"):
        outcome, _ = ActOutcome.objects.get_or_create(act=act, defaults={"is_done": not said, "said": said[:300]})
    return outcome


def carry_out_granted() -> int:
    """Go on with what was granted while Stripe was away, or before we died. Returns how many acts came to their end."""
    waiting = Act.objects.filter(decision__is_granted=True, outcome__isnull=True).select_related("payment", "person")
    return len([carry_out(act) for act in waiting.order_by("pk")[:100]])


def _ask(
    kind: Act.Kind,
    person: User,
    reason: str,
    asked_by: User,
    key: str,
    weight: int,
    limit: int,
    *,
    amount: int = 0,
    currency: str = "",
    payment: Payment | None = None,
    keeps_credits: bool = False,
    plan: str = "",
) -> Act:
    """Write an act down, and carry it out where nobody else has to look. `weight` is what counts towards the limit."""
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise NotAllowed("reason", "Say why, in a sentence: whoever audits this will not know.")
    if person == asked_by:
        raise NotAllowed("person", "This is your own account; another billing admin has to do it.")
    try:
        with step("till.act"):
            # Two forms at once: the second counts what the first asks for.
            User.objects.select_for_update(no_key=True).get(pk=asked_by.pk)
            act = Act.objects.create(
                kind=kind,
                person=person,
                amount=amount,
                currency=currency,
                payment=payment,
                keeps_credits=keeps_credits,
                plan=plan,
                reason=reason[:500],
                asked_by=asked_by,
                asked_at=timezone.now(),
                needs_second=weight + _done_alone(kind, person, asked_by) > limit,
                key=key[:64],
            )
    except IntegrityError:
        # The same form, sent twice; the first time may have died before it was decided.
        known = Act.objects.filter(key=key[:64], asked_by=asked_by).first()
        asked = (kind, person, amount, payment, keeps_credits, plan)
        if not known or asked != (
            *(known.kind, known.person, known.amount),
            *(known.payment, known.keeps_credits, known.plan),
        ):
            raise NotAllowed(
                "person", "This form was sent before, for something else. Nothing was done; send it again."
            ) from None
        act = known
    if not act.needs_second and not ActDecision.objects.filter(act=act).exists():
        with suppress(DecidedBefore):
            decide(act, by=asked_by, is_granted=True)
    return act


def _done_alone(kind: Act.Kind, person: User, asked_by: User) -> int:
    """What this admin asked for lately, for this person, that nobody else looked at: credits or money, by the kind."""
    own = Act.objects.filter(
        kind=kind, person=person, asked_by=asked_by, needs_second=False, asked_at__gt=timezone.now() - LATELY
    )
    return own.aggregate(sum=Sum(Abs("amount")))["sum"] or 0


def _correct(act: Act, by: User) -> None:
    wallet = ledger.wallet_of(act.person)
    key = f"act:{act.pk}"
    if act.amount < 0:
        reversals.correct(wallet, -act.amount, key=key, reason=act.reason, actor=by)
    else:
        ledger.grant(
            wallet,
            act.amount,
            source=Lot.Source.CORRECTION,
            key=key,
            expires_at=None,
            reason=act.reason[:200],
            actor=by,
        )


def _refund(act: Act) -> None:
    payment = act.payment
    assert payment is not None
    params = {
        "payment_intent": payment.stripe_intent,
        "amount": act.amount,
        "reason": "requested_by_customer",
        "metadata": {"act": str(act.pk), "keeps_credits": "yes" if act.keeps_credits else "no"},
    }
    till.ask(
        "refund.create",
        f"act:{act.pk}",
        params,
        lambda c, params, options: c.v1.refunds.create(params, options),
        person=act.person,
        find=_find_refund,
    )
    with alone(act.person.customer.stripe_id):
        payments.refresh(payment)


def _find_refund(client: Any, operation: Operation) -> str | None:
    """The refund that an earlier attempt made, by the act's number in it."""
    wanted = operation.params["metadata"]["act"]
    listed = client.v1.refunds.list({"payment_intent": operation.params["payment_intent"], "limit": 100})
    return next(
        (each.id for each in listed.data if each.metadata and each.metadata.to_dict().get("act") == wanted), None
    )


def _change_plan(act: Act) -> None:
    subscription = Subscription.objects.of(act.person).live().order_by("-id").first()
    if subscription is None:
        raise subscriptions.NotPossible("They have no subscription any more.")
    key = f"act:{act.pk}"
    if act.plan == END_NOW:
        subscriptions.end_now(subscription, key=key)
    elif act.plan == END_LATER:
        subscriptions.cancel(subscription, key=key)
    else:
        subscriptions.change(subscription, Price.objects.get(pk=act.plan), key=key)
