"""Every address of the platform."""

from django.urls import include, path

from billing.sale.views import stripe_events
from config import health
from generation.api.door import api
from moderation import verify

urlpatterns = [
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("account/", include("allauth.account.urls")),
    path("account/", include("accounts.urls")),
    path("wallet/", include("billing.urls")),
    path("stripe/events/", stripe_events, name="stripe_events"),
    path("desk/", include("moderation.urls")),
    path("verify/", verify.ask, name="verify"),
    path("verify/<uuid:inquiry_id>/", verify.answer, name="verify_answer"),
    path("console/", include("billing.console.urls")),
    path("v1/", api.urls),
    path("", include("generation.urls")),
    path("", include("web.urls")),
]

handler400 = "web.views.bad_request"
handler403 = "web.views.permission_denied"
handler404 = "web.views.page_not_found"
handler500 = "web.views.server_error"
