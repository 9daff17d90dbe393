"""Where a person buys, changes and ends what they bought; and where Stripe leaves its events."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseRedirectBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from billing.models import Checkout, Price, Subscription
from billing.money import money
from billing.sale import checkout as visits
from billing.sale import events, subscriptions, till
from billing.sale.plans import current_subscription, plan_of, price_of, shop
from billing.sale.shelf import new_key, shelf

# What can stand against a purchase or a change, and the status that says so.
REFUSALS: dict[type[Exception], int] = {
    till.StripeAway: 503,
    till.NoStripe: 503,
    till.StripeRefused: 409,
    subscriptions.NotPossible: 409,
    visits.AlreadySubscribed: 409,
    visits.TooManyVisits: 429,
}
# Stripe's own letters are smaller by far.
LONGEST_EVENT = 1024 * 1024

Act = Callable[..., Subscription]
ACTS: dict[str, tuple[Act, str]] = {
    "cancellation": (subscriptions.cancel, "It ends when what you paid for is over. Until then nothing changes."),
    "continuation": (subscriptions.keep, "Your plan goes on."),
    "pause": (subscriptions.pause, "Paused. What you paid for lasts until its end; after that nothing is asked for."),
    "resumption": (subscriptions.resume, "Your plan goes on with the next period."),
}


class SeeOther(HttpResponseRedirectBase):
    """After a form: the next page is asked for by GET, also by Stripe's."""

    status_code = 303
    allowed_schemes = ["http", "https"]


def person_of(request: HttpRequest) -> User:
    """The signed-in person; views that call this are behind login_required."""
    assert isinstance(request.user, User)
    return request.user


@require_safe
@login_required
def plans(request: HttpRequest) -> HttpResponse:
    """Every plan and top-up with its button. `?back=` is where to go on after buying."""
    return _shelf(request, back=request.GET.get("back", ""))


def _shelf(request: HttpRequest, *, back: str, error: Exception | None = None) -> HttpResponse:
    person = person_of(request)
    return render(
        request,
        "billing/plans.html",
        {
            "shelf": shelf(person),
            "plan": plan_of(person),
            "subscription": current_subscription(person),
            "is_open": till.is_open(),
            "back": _inside(back),
            "error": error,
        },
        status=REFUSALS.get(type(error), 200) if error else 200,
    )


@require_POST
@login_required
def checkouts(request: HttpRequest) -> HttpResponse:
    """Begin a purchase, and go on to Stripe's page."""
    back = request.POST.get("back", "")
    key = request.POST.get("key", "")
    price = _price(request.POST.get("price", ""))
    if price is None or not key.isascii() or not key.isprintable() or not 8 <= len(key) <= 64:
        return _shelf(request, back=back, error=subscriptions.NotPossible("This is not sold any more. Choose again."))
    try:
        visit = visits.begin(person_of(request), price, key=key, return_to=_inside(back))
    except tuple(REFUSALS) as error:
        return _shelf(request, back=back, error=_in_words(error))
    # Without an address it is over already: the landing page says how it ended.
    return SeeOther(visit.url) if visit.url else redirect("checkout", visit.pk)


@require_safe
@login_required
def checkout(request: HttpRequest, checkout_id: UUID) -> HttpResponse:
    """Back from Stripe's page: what was paid for is granted here or by the webhook, whichever comes first."""
    visit = get_object_or_404(Checkout.objects.of(person_of(request)).select_related("price"), pk=checkout_id)
    is_away = False
    if visit.state == Checkout.State.OPEN and visit.stripe_id:
        try:
            visit = visits.fulfil(visit.stripe_id) or visit
        except (till.StripeAway, till.StripeRefused):
            is_away = True
    if visit.state == Checkout.State.PAID:
        offer = shop().offers.get(visit.price.offer)
        messages.success(request, f"{offer.title if offer else 'Your purchase'}: paid, and the credits are yours.")
        return redirect(_inside(visit.return_to) or "wallet")
    if "left" in request.GET and not is_away:
        messages.info(request, "You came back without buying. Nothing was charged.")
        return redirect(f"{reverse('plans')}?back={quote(visit.return_to)}" if visit.return_to else "plans")
    answer = render(request, "billing/checkout.html", {"visit": visit, "is_away": is_away})
    if visit.state == Checkout.State.OPEN:
        answer["Refresh"] = "5"
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def change(request: HttpRequest) -> HttpResponse:
    """Another plan: a GET says what it would cost, a POST does it."""
    person = person_of(request)
    told = request.POST if request.method == "POST" else request.GET
    subscription, price = current_subscription(person), _price(told.get("price", ""))
    if subscription is None or price is None:
        return redirect("plans")
    offer = shop().offers[price.offer]
    context: dict[str, Any] = {
        "subscription": subscription,
        "price": price,
        "title": offer.title,
        "money": f"{money(price.amount, price.currency)} a {price.interval}",
        "key": new_key(),
    }
    try:
        if request.method == "POST":
            changed = subscriptions.change(subscription, price, key=told.get("key", "")[:64])
            if changed.action_url:
                return SeeOther(changed.action_url)
            if changed.price != price:
                raise subscriptions.NotPossible("This form was sent before. Choose the plan again.")
            messages.success(request, "Your plan is changed.")
            return redirect("wallet")
        context["change"] = asked = subscriptions.preview(subscription, price)
        context["due"] = money(asked.due_now, asked.currency)
    except tuple(REFUSALS) as error:
        context["error"] = _in_words(error)
    stands_against = context.get("error")
    status = REFUSALS[type(stands_against)] if stands_against else 200
    return render(request, "billing/change.html", context, status=status)


@require_POST
@login_required
def subscription_act(request: HttpRequest, act: str) -> HttpResponse:
    """End it at its end, go on after all, pause it, resume it."""
    verb, said = ACTS[act]
    subscription = current_subscription(person_of(request))
    if subscription is None:
        return redirect("plans")
    try:
        # Each says how it should be and not what to add, so twice is as good as once, and the back button is no trap.
        verb(subscription, key=new_key())
        messages.success(request, said)
    except tuple(REFUSALS) as error:
        messages.error(request, str(_in_words(error)))
    return redirect("wallet")


@require_POST
@login_required
def portal(request: HttpRequest) -> HttpResponse:
    """On to Stripe's page of cards and invoices."""
    try:
        return SeeOther(visits.portal(person_of(request), back=reverse("wallet")))
    except tuple(REFUSALS) as error:
        messages.error(request, str(_in_words(error)))
        return redirect("wallet")


@csrf_exempt
@require_POST
def stripe_events(request: HttpRequest) -> JsonResponse:
    """Stripe's letters, kept before they are answered. What is not signed by Stripe is refused."""
    if len(request.body) > LONGEST_EVENT:
        return JsonResponse({"error": "An event is never as long as this."}, status=413)
    try:
        is_new = events.receive(request.body, request.headers.get("Stripe-Signature", ""))
    except events.NotFromStripe as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse({"kept": is_new})


def _price(text: str) -> Price | None:
    """A price that is sold now, by its id in a form."""
    found = Price.objects.filter(pk=text).first() if text.isascii() and text.isdecimal() and len(text) < 19 else None
    return found if found and found == price_of(found.offer, found.interval) else None


def _inside(address: str) -> str:
    """An address of ours, or nothing."""
    is_ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if is_ours and len(address) <= 2000 else ""


def _in_words(error: Exception) -> Exception:
    """Stripe's own sentence is for us; the person gets one that says what to do."""
    if isinstance(error, till.StripeRefused):
        return subscriptions.NotPossible(
            "The payment could not be made, and nothing was charged. Try another card under “Cards and invoices”."
            if error.code in {"card_declined", "authentication_required", "expired_card", "incorrect_cvc"}
            else "This cannot be bought at the moment, and nothing was charged. We have been told."
        )
    return error
