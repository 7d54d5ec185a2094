"""The pages for people: a phone that shows prompts, and the table of magic numbers."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Awaitable, Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from milango.simulator import magic
from milango.simulator.book import Transaction
from milango.simulator.ids import now
from milango.simulator.ledger import Attempt
from milango.simulator.stories import STORIES, Person
from milango.simulator.world import World

PAGES = Path(__file__).with_name("pages")

_LOCAL = re.compile(r"(?:\+?254|0)?([17]\d{8})", re.ASCII)
_POLICY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "frame-ancestors http://127.0.0.1:* http://localhost:*",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MESSAGES_SHOWN = 50

_SMS: dict[str, str] = {
    "0": "{receipt} confirmed. KES {amount} sent to {name} for account {account} on {date} "
    "at {time}. Transaction cost KES 0.00.",
    "1": "Not enough money in M-PESA to pay KES {amount} to {name}.",
    "1019": "The request of {name} for KES {amount} has expired.",
    "1032": "You cancelled the payment of KES {amount} to {name}.",
    "1037": "You did not answer {name}, who asked for KES {amount}.",
    "2001": "Wrong PIN. KES {amount} was not sent to {name}.",
    "8006": "Your PIN is locked. KES {amount} was not sent to {name}.",
    "17": "You paid KES {amount} to {name} less than two minutes ago. Nothing was sent.",
}
_OTHER_SMS = "KES {amount} was not sent to {name} (result {code})."


def normalise(phone: str) -> str:
    """`2547XXXXXXXX` or `2541XXXXXXXX`; empty when it is no Kenyan mobile number."""
    match = _LOCAL.fullmatch(re.sub(r"[\s-]", "", phone))
    return f"254{match[1]}" if match else ""


def prompt_view(attempt: Attempt) -> dict[str, Any]:
    """An open prompt. `auto` means that its story answers it, and a person cannot."""
    push = attempt.push
    return {
        "id": attempt.checkout_request_id,
        "phone": push.phone,
        "amount": push.amount,
        "business_name": push.business_name,
        "account_reference": push.account_reference,
        "text": f"Pay KES {push.amount:,} to {push.business_name} account {push.account_reference}",
        "auto": not any(isinstance(step, Person) for step in attempt.story.steps),
        "created_at": attempt.created_at.isoformat(),
        "seconds_left": max(0, round(attempt.prompt_until - time.monotonic())),
    }


def message_view(attempt: Attempt) -> dict[str, Any]:
    """What the payer is told at the end: the truth."""
    if attempt.result is None or attempt.ended_at is None:
        raise ValueError("this attempt has not ended")
    push, at = attempt.push, attempt.ended_at
    text = _SMS.get(attempt.result.code, _OTHER_SMS).format(
        receipt=attempt.receipt,
        amount=f"{push.amount:,}.00",
        name=push.business_name,
        account=push.account_reference,
        date=f"{at.day}/{at.month}/{at:%y}",
        time=f"{at:%H:%M}",
        code=attempt.result.code,
    )
    return {
        "id": attempt.checkout_request_id,
        "paid": attempt.state == "paid",
        "at": f"{at:%H:%M}",
        "text": text,
    }


def paid_bill_view(transaction: Transaction) -> dict[str, Any]:
    """What the payer is told of a payment that nobody had asked for."""
    at, account = transaction.completed_at, transaction.account
    paid = transaction.state == "completed"
    text = _SMS["0"] if paid else "KES {amount} was not sent to {name}: {account} is not known."
    return {
        "id": transaction.receipt,
        "paid": paid,
        "at": f"{at:%H:%M}",
        "text": text.format(
            receipt=transaction.receipt,
            amount=f"{transaction.amount:,}.00",
            name=account.name,
            account=transaction.account_reference or account.party_b,
            date=f"{at.day}/{at.month}/{at:%y}",
            time=f"{at:%H:%M}",
        ),
    }


def _messages(world: World, phone: str) -> list[dict[str, Any]]:
    """Newest first."""
    ended = [
        (attempt.ended_at or attempt.created_at, message_view(attempt))
        for attempt in world.ledger.of_phone(phone)
        if attempt.state != "open"
    ]
    bills = [
        (transaction.completed_at, paid_bill_view(transaction))
        for transaction in world.ledger.book
        if transaction.kind == "counter" and transaction.phone == phone
    ]
    told = sorted([*ended, *bills], key=itemgetter(0))
    return [message for _, message in reversed(told[-_MESSAGES_SHOWN:])]


def _state(world: World, request: Request) -> Response:
    phone = normalise(request.query_params.get("phone", ""))
    if not phone:
        return JSONResponse({"error": "not a Kenyan mobile number"}, 400)
    waiting = [attempt for attempt in world.ledger.open_attempts(phone) if attempt.on_screen]
    body = {
        "phone": phone,
        "time": f"{now():%H:%M}",
        "prompts": [prompt_view(attempt) for attempt in waiting],
        "messages": _messages(world, phone),
    }
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _handset(world: World, request: Request) -> Response:
    return HTMLResponse((PAGES / "handset.html").read_text("utf-8"), headers=_POLICY)


def _magic(world: World, request: Request) -> Response:
    page = (PAGES / "magic.html").read_text("utf-8")
    page = page.replace("{{ magic }}", _table(magic.rows(), phones=True))
    stories = [(story.name, story.summary) for story in STORIES.values()]
    return HTMLResponse(page.replace("{{ stories }}", _table(stories)), headers=_POLICY)


def _table(rows: list[Any], *, phones: bool = False) -> str:
    return "\n".join(
        "<tr>" + "".join(_cell(value, phones=phones) for value in row) + "</tr>" for row in rows
    )


def _cell(value: str, *, phones: bool) -> str:
    text = html.escape(value)
    if phones and normalise(value):
        return f'<td><a href="/handset?phone={text}">{text}</a></td>'
    return f"<td>{text}</td>"


def _root(world: World, request: Request) -> Response:
    return RedirectResponse("/handset")


View = Callable[[World, Request], Response]


def _bound(world: World, view: View) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return view(world, request)

    return endpoint


def routes(world: World) -> list[BaseRoute]:
    views: tuple[tuple[str, View], ...] = (
        ("/", _root),
        ("/handset", _handset),
        ("/handset/state", _state),
        ("/magic", _magic),
    )
    static = Mount("/static", StaticFiles(directory=PAGES))
    return [*(Route(path, _bound(world, view)) for path, view in views), static]
