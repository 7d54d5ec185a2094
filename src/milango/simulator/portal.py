"""What the organisation's portal would do, and what M-Pesa's own book says, as control routes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from milango.simulator import c2b
from milango.simulator.apps import Filled, ShortCodeText
from milango.simulator.book import Account, Transaction
from milango.simulator.fields import MAX_AMOUNT
from milango.simulator.handset import normalise
from milango.simulator.ids import EAT, now
from milango.simulator.speech import View, Wrong, answer, read
from milango.simulator.statement import Owner, Statement, as_csv, as_xlsx, statement
from milango.simulator.world import World

_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
YEAR_S = 366 * 86_400
_FILTERS = ("receipt", "kind", "state", "consumer_key", "business_short_code", "party_b", "phone")


class Operator(msgspec.Struct, forbid_unknown_fields=True):
    shortcode: Filled
    initiator: Filled


class CounterPayment(msgspec.Struct, forbid_unknown_fields=True):
    shortcode: ShortCodeText
    phone: Filled
    amount: Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
    account_reference: Annotated[str, msgspec.Meta(max_length=20)] = ""
    till: bool = False
    ago_s: Annotated[float, msgspec.Meta(ge=0, le=YEAR_S)] = 0


class Reversal(msgspec.Struct, forbid_unknown_fields=True):
    receipt: Filled


async def list_transactions(world: World, request: Request) -> Response:
    """The book, in the order in which it was written."""
    wanted = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    rows = (transaction.view() for transaction in world.ledger.book)
    return answer([row for row in rows if wanted.items() <= row.items()])


async def show_certificate(world: World, request: Request) -> Response:
    return Response(world.key_pair.certificate, media_type="application/x-pem-file")


async def list_initiators(world: World, request: Request) -> Response:
    return answer(world.initiators.view())


async def unlock_initiator(world: World, request: Request) -> Response:
    wish = await read(request, Operator)
    if not world.initiators.unlock(wish.shortcode, wish.initiator):
        raise Wrong("this operator has no wrong password to forget", 404)
    return answer(world.initiators.view())


async def list_inquiries(world: World, request: Request) -> Response:
    return answer([inquiry.view() for inquiry in world.inquiries])


async def pay(world: World, request: Request) -> Response:
    """Somebody pays at the counter, by the account's number, without having been pushed."""
    wish = await read(request, CounterPayment)
    phone = normalise(wish.phone)
    if not phone:
        raise Wrong("phone is not a Kenyan mobile number")
    account = _account(world, wish)
    if not account.till and not wish.account_reference.strip():
        raise Wrong("a pay bill needs an account_reference")
    transaction = await c2b.pay_at_counter(
        world,
        account,
        phone,
        wish.amount,
        "" if account.till else wish.account_reference,
        ago_s=wish.ago_s,
    )
    return answer(transaction.view(), 201)


def _account(world: World, wish: CounterPayment) -> Account:
    owner = world.apps.owner(wish.shortcode)
    if owner is None and not world.apps.open:
        raise Wrong("no registered short code has this number", 404)
    key = owner[0] if owner else ""
    return c2b.account_of(world, key, wish.shortcode, till=None if owner else wish.till)


async def reverse(world: World, request: Request) -> Response:
    """The organisation gives a payer everything back. Nobody is posted anything."""
    wish = await read(request, Reversal)
    transaction = world.ledger.book.find(wish.receipt)
    if transaction is None:
        raise Wrong("no transaction has this receipt", 404)
    if transaction.reversed_by:
        raise Wrong(f"it was reversed already, by {transaction.reversed_by}", 409)
    if transaction.kind == "reversal" or transaction.state != "completed":
        raise Wrong("only a completed payment can be reversed", 409)
    return answer(world.ledger.reverse(transaction).view(), 201)


async def list_registrations(world: World, request: Request) -> Response:
    return answer(world.registrations.view())


async def remove_registration(world: World, request: Request) -> Response:
    if not world.registrations.remove(request.path_params["shortcode"]):
        raise Wrong("this short code has no addresses", 404)
    return answer(world.registrations.view())


async def csv_statement(world: World, request: Request) -> Response:
    encoding = request.query_params.get("encoding", "utf-8")
    if encoding not in _ENCODINGS:
        raise Wrong(f"encoding is one of {', '.join(_ENCODINGS)}")
    made = _statement(world, request)
    # As bytes without a charset: a browser saves the file as it stands.
    body = await asyncio.to_thread(as_csv, made, encoding)
    return Response(body, headers=_attached("text/csv", made.owner, "csv"))


async def xlsx_statement(world: World, request: Request) -> Response:
    cells = request.query_params.get("cells", "texts")
    if cells not in ("texts", "typed"):
        raise Wrong("cells is texts or typed")
    made = _statement(world, request)
    body = await asyncio.to_thread(as_xlsx, made, typed=cells == "typed")
    return Response(body, headers=_attached(_WORKBOOK, made.owner, "xlsx"))


def _attached(media: str, owner: Owner, ending: str) -> dict[str, str]:
    return {
        "Content-Type": media,
        "Content-Disposition": f'attachment; filename="ORG_{owner.number}_Statement.{ending}"',
    }


def _statement(world: World, request: Request) -> Statement:
    number = request.path_params["shortcode"]
    found = world.ledger.book.of(number)
    phones = request.query_params.get("phones", "full")
    if phones not in ("full", "masked"):
        raise Wrong("phones is full or masked")
    first = found[0].completed_at if found else now()
    since = _moment(request, "since", first.replace(hour=0, minute=0, second=0, microsecond=0))
    until = _moment(request, "until", now())
    owner = _owner(world, number, found)
    return statement(owner, found, since, until, masked=phones == "masked")


def _owner(world: World, number: str, found: Sequence[Transaction]) -> Owner:
    owner = world.apps.owner(number)
    if owner is not None:
        key, code = owner
        return Owner(number, world.apps.business_name(key, code, number), code.kind == "till")
    if not world.apps.open:
        raise Wrong("no registered short code has this number", 404)
    account = found[-1].account if found else None
    return Owner(number, account.name if account else "", bool(account and account.till))


def _moment(request: Request, name: str, otherwise: datetime) -> datetime:
    """A moment of the query, ISO 8601; without a zone it is EAT."""
    given = request.query_params.get(name)
    if given is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise Wrong(f"{name} is no moment, such as 2026-03-14T10:15:30") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=EAT)


VIEWS: tuple[tuple[str, str, View], ...] = (
    ("GET", "/control/transactions", list_transactions),
    ("POST", "/control/payments", pay),
    ("POST", "/control/reversals", reverse),
    ("GET", "/control/c2b", list_registrations),
    ("DELETE", "/control/c2b/{shortcode}", remove_registration),
    ("GET", "/control/statements/{shortcode}.csv", csv_statement),
    ("GET", "/control/statements/{shortcode}.xlsx", xlsx_statement),
    ("GET", "/control/certificate", show_certificate),
    ("GET", "/control/initiators", list_initiators),
    ("POST", "/control/initiators/unlock", unlock_initiator),
    ("GET", "/control/inquiries", list_inquiries),
)
