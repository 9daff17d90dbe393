"""Addresses of the review desk."""

from django.urls import path

from moderation import desk, registry_pages
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
    path("registry/", registry_pages.entries, name="desk_registry"),
    path("registry/new/", registry_pages.new, name="desk_registry_new"),
    path("registry/<int:entry_id>/", registry_pages.entry, name="desk_registry_entry"),
    path("registry/<int:entry_id>/ending/", registry_pages.ending, name="desk_registry_ending"),
    path("registry/<int:entry_id>/pictures/", registry_pages.pictures, name="desk_registry_pictures"),
    path("freezes/<int:freeze_id>/lift/", desk.lift, name="desk_lift"),
]
