"""The addresses of the ready server."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("milango.urls")),
]

handler400 = "milango.api.views.bad_request"
