"""Counts what Django answers, by route, and gives each request its id."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from milango.seen import metrics, requests, spans

NO_ROUTE: Final = "(none)"
_VARIABLE: Final = re.compile(r"<[^>]*>")


@sync_and_async_middleware
def seen(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """For MIDDLEWARE, first: `milango.api.middleware.seen`."""
    if iscoroutinefunction(get_response):
        ask: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            with _span(request) as opened:
                return _seen(request, await ask(request), opened)

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        with _span(request) as opened:
            response: HttpResponseBase = get_response(request)
            return _seen(request, response, opened)

    return answer


def _span(request: HttpRequest) -> AbstractContextManager[Any]:
    """Named when the route is known."""
    found = requests.begin(request.headers.get(requests.HEADER))
    return spans.span(str(request.method), request_id=found)


def _seen(request: HttpRequest, response: HttpResponseBase, opened: Any) -> HttpResponseBase:
    route = route_of(request)
    if opened is not None:
        opened.update_name(f"{request.method} {route}")
    metrics.count_request(str(request.method), route, response.status_code)
    return response


def route_of(request: HttpRequest) -> str:
    """The route's template, each variable part as `*`: never what somebody wrote there."""
    match = request.resolver_match
    return f"/{_VARIABLE.sub('*', match.route)}" if match else NO_ROUTE
