"""Addresses of the review desk."""

from django.urls import path

from moderation import desk
from moderation.quality import pages

urlpatterns = [
    path("", desk.desk, name="desk"),
    path("claims/", desk.claims, name="desk_claims"),
    path("cases/<int:case_id>/", desk.case, name="desk_case"),
    path("cases/<int:case_id>/claim/", desk.claim, name="desk_claim"),
    path("cases/<int:case_id>/original", desk.original, name="desk_original"),
    path("cases/<int:case_id>/decision/", desk.decision, name="desk_decision"),
    path("cases/<int:case_id>/skip/", desk.skip, name="desk_skip"),
    path("samples/", pages.samples, name="desk_samples"),
    path("samples/<int:sample_id>/", pages.sample, name="desk_sample"),
    path("samples/<int:sample_id>/file", pages.sample_file, name="desk_sample_file"),
    path("figures/", pages.figures, name="desk_figures"),
    path("freezes/<int:freeze_id>/lift/", desk.lift, name="desk_lift"),
]
