"""How a subscription stands, in a word and a sentence, with what its owner can do about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from billing.models import Subscription
from billing.sale.plans import shop


@dataclass(frozen=True)
class Standing:
    """`state` is one of: active, trialing, ending, paused, confirm, grace, unpaid, taken_back, over."""

    state: str
    word: str
    sentence: str
    # Where the person sets it right at Stripe, or nothing.
    url: str = ""
    acts: tuple[str, ...] = ()


def standing_of(subscription: Subscription) -> Standing:
    """What to say of a subscription now."""
    now = timezone.now()
    ends, renews, pays = subscription.ends_at, subscription.period_end, subscription.action_url
    if subscription.status in Subscription.OVER:
        return Standing("over", "ended", "It is over. Choose a plan to begin anew.")
    if subscription.status == "incomplete":
        return Standing("confirm", "not paid yet", "Your bank wants you to confirm the first payment.", pays)
    if subscription.status in Subscription.UNPAID:
        lasts = subscription.paid_until and subscription.paid_until + shop().grace
        if lasts and lasts > now and subscription.status == "past_due":
            sentence = f"The last payment failed and is tried again by itself. Your plan lasts until {_day(lasts)}."
            return Standing("grace", "payment failed", sentence, pays, ("cancellation",))
        return Standing("unpaid", "unpaid", "Your plan waits for its payment. Your credits are safe.", pays)
    if ends:
        return Standing(
            "ending", "ending", f"It ends on {_day(ends)}. Until then nothing changes.", "", ("continuation",)
        )
    if subscription.is_paused:
        return Standing(
            "paused", "paused", "Nothing is charged and nothing granted until you resume.", "", ("resumption",)
        )
    if pays:
        return Standing("confirm", "to be confirmed", "Your bank wants you to confirm the change of plan.", pays)
    if subscription.status == "trialing" and subscription.trial_end:
        sentence = f"To try until {_day(subscription.trial_end)}; then it is paid for the first time."
        return Standing("trialing", "on trial", sentence, "", ("cancellation",))
    # A renewal is charged about an hour after the period begins.
    if subscription.paid_until is None or subscription.paid_until + timedelta(days=1) < now:
        sentence = "The payment for this time was taken back, so the free plan holds."
        sentence += f" It is asked for again on {_day(renews)}." if renews else ""
        return Standing("taken_back", "not paid", sentence, "", ("cancellation",))
    sentence = f"Renews on {_day(renews)}." if renews else ""
    return Standing("active", "active", sentence, "", ("cancellation", "pause"))


def _day(moment: datetime) -> str:
    return f"{moment:%-d %B %Y}"
