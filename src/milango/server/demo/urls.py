"""The addresses of the demo: the server's, and a page to pay on."""

from __future__ import annotations

from django.urls import include, path

from .page import page

urlpatterns = [
    path("", page),
    path("", include("milango.server.urls")),
]
