"""The admin: an operator's view of merchants and money, each person's own merchants only.

It is built on django-unfold; without `"unfold"` in INSTALLED_APPS nothing is registered.
"""

from django.apps import apps

if apps.is_installed("unfold"):
    # importing registers them
    from . import errands, evidence, merchants, money, trail, webhooks  # noqa: F401
