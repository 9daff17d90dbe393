"""The public page that tells of any file whether it came from here."""

from uuid import UUID

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from moderation.actions import inquiries
from moderation.models import Inquiry

# How often a page that waits looks again, in seconds.
LOOK_AGAIN = 2


@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Choose a file; it is looked at, told of, and not kept."""
    if request.method != "POST":
        return render(request, "moderation/verify.html")
    file = request.FILES.get("file")
    try:
        if file is None:
            raise inquiries.InquiryRefused("Choose a file first.")
        person = request.user if isinstance(request.user, User) else None
        asked = inquiries.ask(file, person=person, address=get_adapter().get_client_ip(request))
    except inquiries.InquiryRefused as error:
        return render(request, "moderation/verify.html", {"refusal": str(error)}, status=400)
    except inquiries.TooManyInquiries as error:
        return render(request, "moderation/verify.html", {"refusal": str(error)}, status=429)
    return redirect("verify_answer", asked.pk)


@require_safe
def answer(request: HttpRequest, inquiry_id: UUID) -> HttpResponse:
    """What was found. Whoever knows the address may read it, for a day."""
    asked = get_object_or_404(Inquiry, pk=inquiry_id, kind=Inquiry.Kind.ORIGIN)
    context = {"asked": asked, "told": asked.answer, "look_again": LOOK_AGAIN}
    return render(request, "moderation/verify_answer.html", context)
