from django.urls import path

from accounts import views

urlpatterns = [
    path("keys/", views.api_keys, name="api_keys"),
    path("keys/<int:key_id>/revocation/", views.revocation, name="api_key_revocation"),
]
