"""Counts what Django answers, by route, and gives each request its id."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from milango.seen import metrics, requests

NO_ROUTE: Final = "(none)"
_VARIABLE: Final = re.compile(r"<[^>]*>")


@sync_and_async_middleware
def seen(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """For MIDDLEWARE, first: `milango.api.middleware.seen`."""
    if iscoroutinefunction(get_response):
        ask: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            requests.begin(request.headers.get(requests.HEADER))
            return _counted(request, await ask(request))

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        requests.begin(request.headers.get(requests.HEADER))
        response: HttpResponseBase = get_response(request)
        return _counted(request, response)

    return answer


def _counted(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    metrics.count_request(str(request.method), route_of(request), response.status_code)
    return response


def route_of(request: HttpRequest) -> str:
    """The route's template, each variable part as `*`: never what somebody wrote there."""
    match = request.resolver_match
    return f"/{_VARIABLE.sub('*', match.route)}" if match else NO_ROUTE
