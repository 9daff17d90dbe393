"""The first page, and the search."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from billing.console import search
from billing.console.door import page, shown
from billing.console.figures import SPANS, Overview, currencies, first_counted, span_of

LONGEST_QUERY = 300


@shown
def overview(request: HttpRequest) -> HttpResponse:
    """The figures of 30, 90 or 365 days, beside as many days before."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in {str(each) for each in SPANS} else 30
    known = currencies()
    currency = request.GET.get("currency", "")
    currency = currency if currency in known else known[0]
    span = span_of(days)
    told = Overview(span, currency) if span else None
    context = {
        "days": days,
        "spans": list(SPANS),
        "currency": currency,
        "currencies": known,
        "span": span,
        "first": first_counted(),
        "figures": told.figures() if told else [],
        "revenue": told.revenue() if told else [],
        "sources": told.sources() if told else [],
        "models": told.models() if told else [],
        "funnel": told.funnel() if told else [],
    }
    return page(request, "overview", context, place="overview")


@shown
def people(request: HttpRequest) -> HttpResponse:
    """Find a person, or something of theirs. A single hit is gone to at once."""
    query = request.GET.get("q", "").strip()[:LONGEST_QUERY]
    hits = search.find(query)
    if len(hits) == 1:
        return redirect(hits[0].url)
    return page(request, "people", {"query": query, "hits": hits, "most": search.MOST}, place="people")
