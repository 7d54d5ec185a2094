"""The host's own addresses, with Milango's among them."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("", lambda request: HttpResponse("our shop")),
    path("api/v1/orders", lambda request: HttpResponse("our orders")),
    path("", include("milango.urls")),
]
