"""The control API: set the scene, then compare with the truth. JSON, for any language."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from milango.simulator import magic, portal
from milango.simulator.apps import App, Filled
from milango.simulator.handset import normalise, prompt_view
from milango.simulator.ledger import Attempt
from milango.simulator.settings import changed
from milango.simulator.speech import View, Wrong, answer, read
from milango.simulator.stage import result_of_pin
from milango.simulator.stories import STORIES
from milango.simulator.world import World

_FILTERS = ("consumer_key", "business_short_code", "phone", "state", "story", "account_reference")


class StorySetting(msgspec.Struct, forbid_unknown_fields=True):
    phone: Filled
    story: str
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None


class RandomSetting(msgspec.Struct, forbid_unknown_fields=True):
    weights: dict[str, Annotated[float, msgspec.Meta(ge=0)]]
    seed: int | None = None


class HandsetAnswer(msgspec.Struct, forbid_unknown_fields=True):
    pin: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")] | None = None
    cancel: bool = False


class IdleWish(msgspec.Struct, forbid_unknown_fields=True):
    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30


class ResetWish(msgspec.Struct, forbid_unknown_fields=True):
    keep_apps: bool = False
    keep_settings: bool = False


def _known_story(name: str) -> str:
    if name not in STORIES:
        raise Wrong(f"no story is called {name!r}")
    return name


async def add_app(world: World, request: Request) -> Response:
    app = await read(request, App)
    world.apps.add(app)
    return answer(app.view(), 201)


async def list_apps(world: World, request: Request) -> Response:
    return answer([app.view() for app in world.apps.all()])


async def show_settings(world: World, request: Request) -> Response:
    return answer(world.settings)


async def change_settings(world: World, request: Request) -> Response:
    changes = await read(request, dict[str, Any])
    try:
        world.settings = changed(world.settings, changes)
    except msgspec.ValidationError as error:
        raise Wrong(str(error)) from None
    return answer(world.settings)


async def list_stories(world: World, request: Request) -> Response:
    table = {story.name: story.summary for story in STORIES.values()}
    return answer({"stories": table, **world.casting.view()})


async def set_story(world: World, request: Request) -> Response:
    wish = await read(request, StorySetting)
    phone = normalise(wish.phone)
    if not phone:
        raise Wrong("phone is not a Kenyan mobile number")
    world.casting.set_story(phone, STORIES[_known_story(wish.story)], wish.times)
    return answer(world.casting.view())


async def set_random(world: World, request: Request) -> Response:
    wish = await read(request, RandomSetting)
    for name in wish.weights:
        _known_story(name)
    if wish.weights and not any(wish.weights.values()):
        raise Wrong("at least one weight must be above zero")
    world.casting.set_random(wish.seed, wish.weights)
    if wish.seed is not None:
        world.dice.seed(wish.seed)
    return answer(world.casting.view())


async def clear_stories(world: World, request: Request) -> Response:
    world.casting.clear()
    return answer(world.casting.view())


async def list_magic(world: World, request: Request) -> Response:
    names = ("kind", "value", "story", "summary")
    return answer([dict(zip(names, row, strict=True)) for row in magic.rows()])


async def list_ledger(world: World, request: Request) -> Response:
    wanted = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    return answer(list(_matching(world, wanted)))


def _matching(world: World, wanted: dict[str, str]) -> Iterator[dict[str, Any]]:
    for attempt in world.ledger:
        row = attempt.view()
        if all(row[name] == value for name, value in wanted.items()):
            yield row


async def show_attempt(world: World, request: Request) -> Response:
    return answer(_attempt(world, request).view())


def _attempt(world: World, request: Request) -> Attempt:
    attempt = world.ledger.get(request.path_params["checkout_request_id"])
    if attempt is None:
        raise Wrong("no payment has this CheckoutRequestID", 404)
    return attempt


async def list_requests(world: World, request: Request) -> Response:
    key = request.query_params.get("consumer_key")
    calls = [call for call in world.requests if key is None or call["consumer_key"] == key]
    return answer(calls)


async def list_prompts(world: World, request: Request) -> Response:
    asked = request.query_params.get("phone", "")
    phone = normalise(asked)
    if asked and not phone:
        raise Wrong("phone is not a Kenyan mobile number")
    attempts = world.ledger.open_attempts(phone)
    return answer([prompt_view(attempt) for attempt in attempts if attempt.on_screen])


async def answer_prompt(world: World, request: Request) -> Response:
    attempt = _attempt(world, request)
    wish = await read(request, HandsetAnswer)
    if wish.cancel == (wish.pin is not None):
        raise Wrong("send either a pin of 4 digits or cancel: true")
    result = "cancelled" if wish.pin is None else result_of_pin(wish.pin)
    if not world.stage.answer(attempt, result):
        raise Wrong("this prompt does not wait for an answer", 409)
    return answer({"result": result})


async def idle(world: World, request: Request) -> Response:
    """Waits until every story that needs no person has ended, its last callback included."""
    wish = await read(request, IdleWish)
    quiet = await world.stage.quiet(wish.timeout_s)
    counts = world.ledger.counts()
    people = world.stage.waiting_for_people
    return answer({"idle": quiet, "waiting_for_people": people, **counts})


async def reset(world: World, request: Request) -> Response:
    wish = await read(request, ResetWish)
    await world.reset(keep_apps=wish.keep_apps, keep_settings=wish.keep_settings)
    return answer({"reset": True})


VIEWS: tuple[tuple[str, str, View], ...] = (
    ("GET", "/control/apps", list_apps),
    ("POST", "/control/apps", add_app),
    ("GET", "/control/settings", show_settings),
    ("PATCH", "/control/settings", change_settings),
    ("GET", "/control/stories", list_stories),
    ("POST", "/control/stories", set_story),
    ("DELETE", "/control/stories", clear_stories),
    ("POST", "/control/random", set_random),
    ("GET", "/control/magic", list_magic),
    ("GET", "/control/ledger", list_ledger),
    ("GET", "/control/ledger/{checkout_request_id}", show_attempt),
    ("GET", "/control/requests", list_requests),
    ("GET", "/control/prompts", list_prompts),
    ("POST", "/control/prompts/{checkout_request_id}/answer", answer_prompt),
    *portal.VIEWS,
    ("POST", "/control/idle", idle),
    ("POST", "/control/reset", reset),
)


def _bound(world: World, view: View) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await view(world, request)
        except Wrong as wrong:
            return answer({"error": str(wrong)}, wrong.status)

    return endpoint


def routes(world: World) -> list[Route]:
    return [Route(path, _bound(world, view), methods=[method]) for method, path, view in VIEWS]
