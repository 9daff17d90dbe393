"""Sheets of figures to take along. Who took which is written down for good."""

from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from billing.console.door import admin_of, for_admins, page
from billing.console.figures import first_counted
from billing.console.sheets import SHEETS, as_csv
from billing.models import Export
from journal.transactions import step

SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@for_admins
def exports(request: HttpRequest) -> HttpResponse:
    """What can be taken along and what was; a POST answers with the sheet."""
    if request.method != "POST":
        return _page(request)
    wanted = request.POST.get("sheet", "")
    if wanted not in SHEETS:
        return _page(request, error="Choose one of the sheets.", status=422)
    since, until = _day(request.POST.get("since", "")), _day(request.POST.get("until", ""))
    if since is None or until is None or since > until:
        return _page(request, error="Give two days, the earlier one first.", status=422)
    with step("till.export"):
        Export.objects.create(sheet=wanted, since=since, until=until, by=admin_of(request))
    parts = as_csv(SHEETS[wanted][2](since, until))
    answer: HttpResponseBase = StreamingHttpResponse(
        _apart(parts) if isinstance(request, ASGIRequest) else parts,
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="vaglio-{wanted}-{since}-{until}.csv"',
            "Cache-Control": "private, no-store",
        },
    )
    return answer  # type: ignore[return-value]


async def _apart(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Part by part, each made in the thread of the database while the server serves others in between."""
    while part := await sync_to_async(_next)(parts):
        yield part


def _next(parts: Iterator[bytes]) -> bytes:
    return next(parts, b"")


def _page(request: HttpRequest, *, error: str = "", status: int = 200) -> HttpResponse:
    today = timezone.now().date()
    last_month = today.replace(day=1) - timedelta(days=1)
    context = {
        "sheets": [(code, title, line) for code, (title, line, _) in SHEETS.items()],
        "since": request.POST.get("since") or last_month.replace(day=1).isoformat(),
        "until": request.POST.get("until") or last_month.isoformat(),
        "chosen": request.POST.get("sheet", "journal"),
        "first": first_counted(),
        "taken": [
            (each, SHEETS[each.sheet][0] if each.sheet in SHEETS else each.sheet)
            for each in Export.objects.select_related("by").order_by("-id")[:SHOWN]
        ],
        "error": error,
    }
    return page(request, "exports", context, place="exports", status=status)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2200 else None
