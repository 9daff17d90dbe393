"""Addresses of the studio, the gallery and what is in them."""

from django.urls import path

from generation import gallery, serving, views

urlpatterns = [
    path("studio/", views.studio, name="studio"),
    path("studio/quote/", views.quote, name="studio_quote"),
    path("studio/jobs/", views.jobs, name="studio_jobs"),
    path("studio/jobs/<uuid:job_id>/", views.card, name="studio_job"),
    path("jobs/<uuid:job_id>/", views.job, name="job"),
    path("jobs/<uuid:job_id>/cancellation/", views.cancellation, name="job_cancellation"),
    path("statements/<int:case_id>/", views.statement, name="statement"),
    path("gallery/", gallery.gallery, name="gallery"),
    path("gallery/<uuid:medium_id>/", gallery.medium, name="gallery_medium"),
    path("media/<uuid:medium_id>/", serving.medium, name="medium"),
    path("media/<uuid:medium_id>/poster/", serving.poster, name="poster"),
    path("uploads/<uuid:upload_id>/", serving.upload, name="upload"),
    path("released/<str:token>/", serving.signed_medium, name="signed_medium"),
]
