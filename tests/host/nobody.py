"""The host's own rules for its own API: they let nobody in."""

from __future__ import annotations

from typing import Any, NoReturn

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed


class Nobody(BaseAuthentication):
    """Refuses everybody."""

    def authenticate(self, request: Any) -> NoReturn:
        raise AuthenticationFailed("not in our house")


def handler(error: Exception, context: Any) -> NoReturn:
    """Would break every error answer, if it were asked."""
    raise AssertionError("the host's handler was asked")
