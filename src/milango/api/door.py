"""What all our views share, whatever the host project's settings say."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.openapi import AutoSchema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from milango.core.answers import Answer, preflight_answer
from milango.seen import requests

from .answers import answer_of, is_listed, open_to_origin, response_of
from .requests import origin_in

View = Callable[..., HttpResponse]


class Door(APIView):
    """A view whose every answer, errors included, is ours: JSON, problem+json, CORS.

    REST framework's own authentication, permissions, throttles, parsers and negotiation are off:
    the flows decide, so that other doors decide the same. Answers are Django's plain responses,
    which REST framework passes on although its types do not say so.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET",)
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = ()
    schema = AutoSchema()

    @classmethod
    def as_view(cls, **initkwargs: Any) -> View:  # type: ignore[override]
        """A flow commits by itself: the row before the prompt, whatever ATOMIC_REQUESTS says."""
        return csrf_exempt(non_atomic_requests(super().as_view(**initkwargs)))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Nothing is negotiated, and nobody is looked up, before the view's own checks."""
        requests.begin(request._request.headers.get(requests.HEADER))

    def options(  # type: ignore[override]
        self, request: Request, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """A preflight, or a plain question for the methods."""
        origin = origin_in(request._request)
        return response_of(preflight_answer(self.methods, origin, known=is_listed(origin)))

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Every exception becomes a problem."""
        return response_of(_with_methods(answer_of(exc), self.methods))

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Listed pages may read the answer. It carries the id that the caller gave the request."""
        for name, value in requests.echo(request._request.headers.get(requests.HEADER)).items():
            response[name] = value
        return open_to_origin(response, request._request)


def plain_door(*methods: str) -> Callable[[Callable[..., Answer]], View]:
    """A view from a function that gives an `Answer`, for doors that are not the merchants'."""

    def decorate(view: Callable[..., Answer]) -> View:
        @csrf_exempt
        @non_atomic_requests
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                if methods and request.method not in methods:
                    raise MethodNotAllowed(str(request.method))
                return response_of(view(request, *args, **kwargs))
            except Exception as error:
                return response_of(_with_methods(answer_of(error), methods))

        return answer

    return decorate


def _with_methods(answer: Answer, methods: tuple[str, ...]) -> Answer:
    return answer.plus({"Allow": ", ".join(methods)}) if answer.status == 405 else answer
