"""The addresses of Milango: `path("", include("milango.urls"))`.

Everything below /api/v1/ and /callbacks/ answers in problem+json, also what is not there;
routes of your own below those go before this include.
"""

from django.urls import path

from .api import callbacks, operator, pages, views
from .api.routes import API

app_name = "milango"

urlpatterns = [
    *API,
    path("api/v1/openapi.json", pages.openapi, name="openapi"),
    path("api/v1/docs", pages.docs, name="docs"),
    path("callbacks/stk/<str:token>", views.mpesa_callback, name="stk-callback"),
    path("callbacks/c2b/<str:token>/confirm", callbacks.c2b_confirmation, name="c2b-confirm"),
    path("callbacks/c2b/<str:token>/validate", callbacks.c2b_validation, name="c2b-validate"),
    path("callbacks/result/<str:token>", callbacks.status_result, name="status-result"),
    path("callbacks/result/<str:token>/timeout", callbacks.status_timeout, name="status-timeout"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", operator.readyz, name="readyz"),
    path("metrics", operator.metrics, name="metrics"),
    path("api/v1/", views.nowhere),
    path("api/v1/<path:path>", views.nowhere),
    path("callbacks/<path:path>", views.nowhere),
]
