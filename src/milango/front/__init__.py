"""The hot door: a small ASGI application before Django, for callbacks, pushes, status and streams.

It answers byte for byte what the views in `milango.api` answer, over the same flows; what is not
hot falls through to Django.
"""

from .app import Front

__all__ = ["Front"]
