"""Addresses of the review desk."""

from django.urls import path

from moderation import desk

urlpatterns = [
    path("", desk.desk, name="desk"),
    path("claims/", desk.claims, name="desk_claims"),
    path("cases/<int:pk>/", desk.case, name="desk_case"),
    path("cases/<int:pk>/claim/", desk.claim, name="desk_claim"),
    path("cases/<int:pk>/original", desk.original, name="desk_original"),
    path("cases/<int:pk>/decision/", desk.decision, name="desk_decision"),
    path("cases/<int:pk>/skip/", desk.skip, name="desk_skip"),
    path("freezes/<int:pk>/lift/", desk.lift, name="desk_lift"),
]
