"""What a load balancer and the demo ask."""

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from journal.models import ProcessBeat


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The web process answers."""
    return JsonResponse({"live": True})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """A picture asked for now would be drawn and screened: the database answers, every process is at work."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    alive = {kind: ProcessBeat.alive(kind) for kind in ("relay", "sweep", "draw", "screen")}
    missing = [kind for kind, count in alive.items() if not count]
    response = JsonResponse({"ready": not missing, "missing": missing}, status=503 if missing else 200)
    # Whoever asks every second would fill the log with an error a second.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
