"""A person's API keys."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import keys
from accounts.models import ApiKey, User

# Enough for every machine a person has, and few enough to be read.
MOST_USABLE = 20


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def api_keys(request: HttpRequest) -> HttpResponse:
    """List the person's keys; a POST makes one and answers with its secret, this once."""
    assert isinstance(request.user, User)
    made: ApiKey | None = None
    secret, error = "", ""
    name = request.POST.get("name", "")
    if request.method == "POST":
        if not name.strip() or "\x00" in name:
            error = "Give the key a name, so that you know later which machine has it."
        elif ApiKey.objects.of(request.user).usable().count() >= MOST_USABLE:
            error = f"You have {MOST_USABLE} keys that work. Revoke one that you no longer need."
        else:
            made, secret = keys.create(request.user, name)
    return render(
        request,
        "accounts/api_keys.html",
        {
            "keys": ApiKey.objects.of(request.user).order_by(F("revoked_at").desc(nulls_first=True), "-created_at"),
            "made": made,
            "secret": secret,
            "error": error,
            "name": name if error else "",
            "base_url": settings.BASE_URL,
        },
        status=400 if error else 200,
    )


@login_required
@require_POST
def revocation(request: HttpRequest, key_id: int) -> HttpResponse:
    """Close a key for good. Again is as good as once."""
    assert isinstance(request.user, User)
    get_object_or_404(ApiKey.objects.of(request.user), pk=key_id).revoke()
    return redirect("api_keys")
