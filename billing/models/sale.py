"""What is sold through Stripe: thin copies of its objects, each refreshed by fetching it again.

Stripe is the till. Nothing here is believed from an event: an event says which object to look at.
"""

import uuid
from typing import ClassVar, Self

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from billing.money import money
from journal.models import AppendOnly

NO_DELETE = pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)


class Price(AppendOnly):
    """One price of a plan or a top-up as it lies at Stripe. A price never changes; another takes its place.

    Who bought at an old one keeps it, with its credits.
    """

    class Interval(models.TextChoices):
        MONTH = "month", "a month"
        YEAR = "year", "a year"
        ONCE = "once", "once"

    id = models.BigAutoField(primary_key=True)
    # The plan or top-up, as in plans.toml.
    offer = models.CharField(max_length=32)
    interval = models.CharField(max_length=5, choices=Interval.choices)
    # In the smallest unit of the currency, without tax.
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    credits = models.PositiveIntegerField()
    # Stripe's price_... id.
    stripe_price = models.CharField(max_length=100, unique=True)
    stripe_product = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta(AppendOnly.Meta):
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(credits__gt=0, amount__gt=0), name="price_of_something"),
        ]
        indexes: ClassVar = [models.Index(fields=["offer", "interval", "-id"], name="price_newest")]


class Customer(models.Model):
    """A person as Stripe knows them."""

    person = models.OneToOneField(User, on_delete=models.PROTECT, primary_key=True, related_name="customer")
    stripe_id = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    # Removed at Stripe: the next purchase makes a new one.
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        triggers: ClassVar = [NO_DELETE]


class Operation(models.Model):
    """One thing we ask of Stripe, written down before it is asked, with the idempotency key that it is asked under.

    After a crash the same row is asked again under the same key. Stripe forgets keys after 24 hours: an older one is
    looked up by its metadata instead.
    """

    class State(models.TextChoices):
        BEGUN = "begun", "begun"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    # The idempotency key.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40)
    # What it is for, once: "checkout:<uuid>", "act:<id>".
    subject = models.CharField(max_length=100)
    person = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    params = models.JSONField()
    state = models.CharField(max_length=6, choices=State.choices, default=State.BEGUN)
    stripe_id = models.CharField(max_length=255, blank=True, default="")
    error = models.CharField(max_length=300, blank=True, default="")
    begun_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "subject"], name="operation_once_per_subject"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["begun_at"], name="operation_unfinished", condition=Q(state="begun")),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.ReadOnly(name="keeps_terms", fields=["kind", "subject", "person", "params", "begun_at"]),
        ]


class CheckoutQuerySet(models.QuerySet["Checkout"]):
    def of(self, person: User) -> Self:
        """A person's own."""
        return self.filter(person=person)


class Checkout(models.Model):
    """One visit to Stripe's hosted page, from our button to what came of it."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        PAID = "paid", "paid"
        EXPIRED = "expired", "not finished"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="checkouts")
    price = models.ForeignKey(Price, on_delete=models.PROTECT, related_name="+")
    # The form that asked: a double click finds the same checkout.
    key = models.CharField(max_length=64)
    state = models.CharField(max_length=7, choices=State.choices, default=State.OPEN)
    stripe_id = models.CharField(max_length=255, null=True, unique=True)
    # Stripe's page, while it is open.
    url = models.TextField(blank=True, default="")
    # A page of ours to go back to, with the prompt that could not be paid.
    return_to = models.CharField(max_length=4000, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects = CheckoutQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["person", "key"], name="checkout_once_per_form")]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], name="checkout_by_time"),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.ReadOnly(name="keeps_wish", fields=["person", "price", "key", "created_at"]),
            pgtrigger.FSM(
                name="arrows", field="state", transitions=[("open", "paid"), ("open", "expired"), ("expired", "paid")]
            ),
        ]


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def of(self, person: User) -> Self:
        """A person's own."""
        return self.filter(person=person)

    def live(self) -> Self:
        """Those that Stripe still keeps, whether or not they are paid."""
        return self.exclude(status__in=Subscription.OVER)


class Subscription(models.Model):
    """A person's subscription. `status` is Stripe's word; what it entitles to is what was paid for."""

    OVER: ClassVar = ("canceled", "incomplete_expired")
    UNPAID: ClassVar = ("past_due", "unpaid", "incomplete")

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="subscriptions")
    stripe_id = models.CharField(max_length=100, unique=True)
    # What it will be renewed at. None: a price that we do not know.
    price = models.ForeignKey(Price, on_delete=models.PROTECT, null=True, related_name="+")
    stripe_item = models.CharField(max_length=100)
    # trialing, active, past_due, unpaid, incomplete, incomplete_expired, canceled, paused
    status = models.CharField(max_length=20)
    period_end = models.DateTimeField(null=True)
    trial_end = models.DateTimeField(null=True)
    # It ends then, if the person does not change their mind.
    ends_at = models.DateTimeField(null=True)
    # Payment collection is paused: nothing is asked for, nothing is granted.
    is_paused = models.BooleanField(default=False)
    # The first failure of the payment that is due; the plan lasts for some days after it.
    failing_since = models.DateTimeField(null=True)
    # The bank wants the person to confirm the payment, on this page of Stripe's.
    action_url = models.TextField(blank=True, default="")
    # What was last paid for, and until when.
    paid_price = models.ForeignKey(Price, on_delete=models.PROTECT, null=True, related_name="+")
    paid_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    fetched_at = models.DateTimeField(default=timezone.now)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["person", "-id"], name="subscription_of_person")]
        triggers: ClassVar = [NO_DELETE, pgtrigger.ReadOnly(name="keeps_person", fields=["person", "stripe_id"])]


class PaymentQuerySet(models.QuerySet["Payment"]):
    def of(self, person: User) -> Self:
        """A person's own."""
        return self.filter(person=person)


class Payment(models.Model):
    """A purchase that was paid: an invoice of a subscription, or a top-up at Checkout. Its lots name it."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="payments", db_index=False)
    # "invoice:in_..." or "checkout:cs_...": what it is, once.
    key = models.CharField(max_length=255, unique=True)
    price = models.ForeignKey(Price, on_delete=models.PROTECT, null=True, related_name="+")
    # subscription_create, subscription_cycle, subscription_update, once
    occasion = models.CharField(max_length=32)
    # In the smallest unit of the currency, with tax, as paid.
    amount = models.PositiveBigIntegerField()
    tax = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    # What it granted in all.
    credits = models.PositiveIntegerField(default=0)
    stripe_invoice = models.CharField(max_length=100, blank=True, default="", db_index=True)
    stripe_intent = models.CharField(max_length=100, blank=True, default="", db_index=True)
    stripe_charge = models.CharField(max_length=100, blank=True, default="", db_index=True)
    stripe_subscription = models.CharField(max_length=100, blank=True, default="")
    number = models.CharField(max_length=64, blank=True, default="", db_index=True)
    page_url = models.TextField(blank=True, default="")
    card_brand = models.CharField(max_length=20, blank=True, default="")
    card_last4 = models.CharField(max_length=4, blank=True, default="", db_index=True)
    paid_at = models.DateTimeField()
    # For a subscription: until when it pays for `price`.
    covers_until = models.DateTimeField(null=True)
    # Money that went back, as Stripe says now: refunded; of that, with the credits left to the person; and what a
    # dispute holds at this moment.
    refunded = models.PositiveBigIntegerField(default=0)
    forgiven = models.PositiveBigIntegerField(default=0)
    disputed = models.PositiveBigIntegerField(default=0)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(forgiven__lte=F("refunded")), name="payment_forgives_what_is_refunded"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["person", "-id"], name="payment_of_person"),
            models.Index(fields=["paid_at"], name="payment_by_time"),
            models.Index(fields=["stripe_subscription", "-covers_until"], name="payment_of_subscription"),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.ReadOnly(
                name="keeps_terms", fields=["person", "key", "price", "amount", "tax", "currency", "credits", "paid_at"]
            ),
        ]

    @property
    def cause(self) -> str:
        """How transfers name it."""
        return f"payment:{self.pk}"

    @property
    def money(self) -> str:
        """What was paid, as a person reads it."""
        return money(self.amount, self.currency)

    @property
    def money_refunded(self) -> str:
        """What went back, as a person reads it."""
        return money(self.refunded, self.currency)

    @property
    def title(self) -> str:
        """What it was for, as a person reads it."""
        words = {
            "subscription_create": "a plan begun",
            "subscription_cycle": "a plan renewed",
            "subscription_update": "a plan changed",
        }
        return f"{self.credits:,} credits, {words.get(self.occasion, 'once')}"

    @property
    def why_taken(self) -> str:
        """Why its credits are taken back, for the person's wallet."""
        if self.disputed:
            return "The payment for them is disputed."
        return "The payment for them was refunded."


class Refund(models.Model):
    """Money of a payment that goes back, as Stripe says."""

    stripe_id = models.CharField(max_length=100, primary_key=True)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    amount = models.PositiveBigIntegerField()
    # pending, requires_action, succeeded, failed, canceled
    status = models.CharField(max_length=20)
    keeps_credits = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        triggers: ClassVar = [NO_DELETE]


class Dispute(models.Model):
    """A payment that its card's owner says was not theirs, as Stripe says."""

    stripe_id = models.CharField(max_length=100, primary_key=True)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    amount = models.PositiveBigIntegerField()
    # What it took from our balance and has not given back, without fees.
    withdrawn = models.PositiveBigIntegerField(default=0)
    reason = models.CharField(max_length=60)
    # warning_needs_response, warning_under_review, warning_closed, needs_response, under_review, won, lost, prevented
    status = models.CharField(max_length=30, db_index=True)
    answer_by = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        triggers: ClassVar = [NO_DELETE]


class Event(models.Model):
    """An event of Stripe's, kept as it came and worked on afterwards. Its id makes a duplicate harmless."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        DONE = "done", "done"
        IGNORED = "ignored", "of no concern"
        FAILED = "failed", "given up"

    stripe_id = models.CharField(max_length=100, primary_key=True)
    type = models.CharField(max_length=80)
    # What it is about: the object to fetch, and the customer whose turn it takes.
    object_id = models.CharField(max_length=255, blank=True, default="")
    customer = models.CharField(max_length=100, blank=True, default="")
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    payload = models.JSONField()
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    error = models.CharField(max_length=300, blank=True, default="")
    done_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="event_waiting", condition=Q(state="waiting")),
            models.Index(fields=["received_at"], name="event_by_time"),
        ]
        triggers: ClassVar = [
            NO_DELETE,
            pgtrigger.ReadOnly(
                name="keeps_what_came", fields=["stripe_id", "type", "payload", "created_at", "received_at"]
            ),
            pgtrigger.FSM(
                name="arrows",
                field="state",
                transitions=[
                    ("waiting", "done"),
                    ("waiting", "ignored"),
                    ("waiting", "failed"),
                    ("failed", "waiting"),
                ],
            ),
        ]


class Notice(models.Model):
    """A letter to a person about their credits or payments, sent once."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=32)
    # What it is about: a lot, a month, an invoice. The same is told once.
    about = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)
    # None: not yet, the mail server was away.
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["person", "kind", "about"], name="notice_once")]
        indexes: ClassVar = [models.Index(fields=["id"], name="notice_unsent", condition=Q(sent_at__isnull=True))]


class Finding(models.Model):
    """A difference between Stripe and us that the reconciliation saw, with what to do about it."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=40)
    # The payment, subscription, price, ... it is about.
    about = models.CharField(max_length=255)
    what = models.CharField(max_length=400)
    remedy = models.CharField(max_length=300)
    # Whether `manage.py till reconcile --mend` does it.
    is_mendable = models.BooleanField()
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    # It was not seen again, or was mended.
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "about"], condition=Q(gone_at__isnull=True), name="finding_once"),
        ]
