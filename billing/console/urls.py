"""Addresses of the billing console."""

from django.urls import path

from billing.console.views import acts, exports, findings, overview, people

urlpatterns = [
    path("", overview.overview, name="console"),
    path("people/", overview.people, name="console_people"),
    path("people/<int:person_id>/", people.person, name="console_person"),
    path("people/<int:person_id>/lines/", people.lines, name="console_lines"),
    path("people/<int:person_id>/payments/", people.payments, name="console_payments"),
    path("transfers/<int:transfer_id>/", people.transfer, name="console_transfer"),
    path("jobs/<uuid:job_id>/", people.job, name="console_job"),
    path("payments/<int:payment_id>/", people.payment, name="console_payment"),
    path("acts/", acts.acts, name="console_acts"),
    path("acts/<int:act_id>/decision/", acts.decision, name="console_decision"),
    path("findings/", findings.findings, name="console_findings"),
    path("findings/<int:finding_id>/mending/", findings.mending, name="console_mending"),
    path("exports/", exports.exports, name="console_exports"),
]
