"""What a client asks beyond the prompt: how payments stand, where C2B goes, what was missed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar, overload

import msgspec

from milango.core import phones
from milango.core.errors import DarajaRefused, InvalidRequest
from milango.core.payments import Outcome

from . import messages, questions
from .answers import read_query, read_registered, read_status_accepted
from .fields import RECEIPT
from .messages import Private, QueryAnswer
from .pulls import read_pull, read_pull_registered
from .questions import (
    PullPage,
    PullRegistered,
    Registered,
    ResponseType,
    StatusAccepted,
)
from .security import BadCertificate, security_credential
from .sessions import bridge

T = TypeVar("T")

LONGEST_ANSWER: Final = 65_536
"""Bytes of an answer that are read."""

LONGEST_PAGE: Final = 4_194_304
"""Bytes of an answer of Pull: its rows are many, and nobody says how many."""


class NoInitiator(DarajaRefused, ValueError):
    """This credential cannot ask Transaction Status. Nothing was asked, and no money has moved.

    Set the API operator's `initiator_name` and `initiator_password`, and Safaricom's certificate
    for the environment as `initiator_certificate`.
    """

    code = "no_initiator"


class Initiator(Private, frozen=True, kw_only=True):
    """The API operator of a short code, as its credential has it."""

    name: str = ""
    password: str = ""
    certificate: str = ""
    security_credential: str = ""


class Asking(ABC):
    """The questions of `DynamicMpesaClient`. Each has its async twin (`pull`, `apull`).

    All raise DarajaRefused (a definite no), DarajaBusy (nothing happened) or DarajaSilent (no
    usable answer), and may be asked again: none of them moves money.
    """

    _initiator: Initiator

    @property
    @abstractmethod
    def business_short_code(self) -> str:
        """The number that signs and asks."""

    @abstractmethod
    def _proof(self) -> tuple[str, str]: ...

    @abstractmethod
    async def _call(
        self,
        path: str,
        request: Private,
        read: Callable[[int, bytes], T],
        longest: int = LONGEST_ANSWER,
    ) -> T: ...

    @property
    def has_initiator(self) -> bool:
        """Whether Transaction Status can be asked at all."""
        who = self._initiator
        return bool(who.name and (who.security_credential or (who.password and who.certificate)))

    # --- sync -------------------------------------------------------------------------------

    @overload
    def payment_status(
        self, receipt_number: None = None, *, checkout_request_id: str
    ) -> QueryAnswer: ...

    @overload
    def payment_status(
        self,
        receipt_number: str | None = None,
        *,
        originator_conversation_id: str = "",
        result_url: str,
        timeout_url: str,
    ) -> StatusAccepted: ...

    def payment_status(
        self,
        receipt_number: str | None = None,
        *,
        checkout_request_id: str | None = None,
        originator_conversation_id: str = "",
        result_url: str = "",
        timeout_url: str = "",
    ) -> QueryAnswer | StatusAccepted:
        """How a payment stands.

        By `checkout_request_id`: what STK query says about a push, at once. By receipt number, or
        by the OriginatorConversationID of the transaction: Daraja takes the question, and
        Transaction Status answers at `result_url` (read it with `results.read_result`) or gives
        up at `timeout_url`. Raises NoInitiator for a credential without one, ValueError for a
        question without its parts.
        """
        return bridge.run(
            self._status(
                receipt_number,
                checkout_request_id,
                originator_conversation_id,
                result_url,
                timeout_url,
            )
        )

    def register_urls(
        self,
        confirmation_url: str,
        validation_url: str,
        response_type: ResponseType | str = ResponseType.COMPLETED,
        version: str = "v2",
    ) -> Registered:
        """Tell Daraja where the C2B payments of this short code are confirmed and validated.

        Production takes this once; a second time it is DarajaRefused ("already registered").
        `version` is `v1` or `v2`, as the app's product says. Raises ValueError for another, and
        for a response type that there is not.
        """
        return bridge.run(
            self.aregister_urls(confirmation_url, validation_url, response_type, version)
        )

    def pull(self, start: datetime, end: datetime, offset: int = 0) -> PullPage:
        """C2B payments between two aware times, at most 48 hours back, from a row on.

        Go on with `next_offset` until it is None. Raises ValueError for a window that is none.
        """
        return bridge.run(self.apull(start, end, offset))

    def register_pull(self, nominated_number: str, callback_url: str) -> PullRegistered:
        """Switch Pull on for this short code; `nominated_number` is the one on its papers.

        Raises InvalidPhone before anything is sent.
        """
        return bridge.run(self.aregister_pull(nominated_number, callback_url))

    # --- async ------------------------------------------------------------------------------

    @overload
    async def apayment_status(
        self, receipt_number: None = None, *, checkout_request_id: str
    ) -> QueryAnswer: ...

    @overload
    async def apayment_status(
        self,
        receipt_number: str | None = None,
        *,
        originator_conversation_id: str = "",
        result_url: str,
        timeout_url: str,
    ) -> StatusAccepted: ...

    async def apayment_status(
        self,
        receipt_number: str | None = None,
        *,
        checkout_request_id: str | None = None,
        originator_conversation_id: str = "",
        result_url: str = "",
        timeout_url: str = "",
    ) -> QueryAnswer | StatusAccepted:
        """`payment_status`, awaitable."""
        return await self._status(
            receipt_number,
            checkout_request_id,
            originator_conversation_id,
            result_url,
            timeout_url,
        )

    async def aregister_urls(
        self,
        confirmation_url: str,
        validation_url: str,
        response_type: ResponseType | str = ResponseType.COMPLETED,
        version: str = "v2",
    ) -> Registered:
        """`register_urls`, awaitable."""
        if version not in questions.C2B_VERSIONS:
            raise ValueError(f"version must be one of {', '.join(questions.C2B_VERSIONS)}")
        request = questions.Registration(
            short_code=self.business_short_code,
            response_type=ResponseType(response_type).value,
            confirmation_url=confirmation_url,
            validation_url=validation_url,
        )
        path = questions.REGISTER_PATH.format(version=version)
        return await self._call(path, request, read_registered)

    async def apull(self, start: datetime, end: datetime, offset: int = 0) -> PullPage:
        """`pull`, awaitable."""
        request = questions.PullQuestion(
            short_code=self.business_short_code,
            start_date=questions.pull_time(start),
            end_date=questions.pull_time(end),
            off_set_value=str(offset),
        )
        if start >= end or offset < 0:
            raise ValueError("a pull begins before it ends, at row 0 or later")
        read = partial(read_pull, offset=offset)
        return await self._call(questions.PULL_PATH, request, read, LONGEST_PAGE)

    async def aregister_pull(self, nominated_number: str, callback_url: str) -> PullRegistered:
        """`register_pull`, awaitable."""
        request = questions.PullRegistration(
            short_code=self.business_short_code,
            request_type="Pull",
            nominated_number=phones.normalise(nominated_number),
            call_back_url=callback_url,
        )
        return await self._call(questions.PULL_REGISTER_PATH, request, read_pull_registered)

    # --- how a payment stands ---------------------------------------------------------------

    async def _status(
        self,
        receipt_number: str | None,
        checkout_request_id: str | None,
        originator_conversation_id: str,
        result_url: str,
        timeout_url: str,
    ) -> QueryAnswer | StatusAccepted:
        if checkout_request_id and not (receipt_number or originator_conversation_id):
            return await self._query(checkout_request_id)
        if checkout_request_id or not (receipt_number or originator_conversation_id):
            raise ValueError(
                "payment_status needs a receipt number, an originator_conversation_id or a "
                "checkout_request_id, and the last one alone"
            )
        if receipt_number and not RECEIPT.fullmatch(receipt_number):
            raise InvalidRequest("receipt_number has letters and digits only.", field="receipt")
        if not (result_url and timeout_url):
            raise ValueError("Transaction Status answers later: it needs result_url, timeout_url")
        request = questions.status_question(
            initiator=self._initiator.name,
            security_credential=self._security_credential(),
            short_code=self.business_short_code,
            receipt_number=(receipt_number or "").upper(),
            originator_conversation_id=originator_conversation_id,
            result_url=result_url,
            timeout_url=timeout_url,
        )
        return await self._call(questions.STATUS_PATH, request, read_status_accepted)

    async def _query(self, checkout_request_id: str) -> QueryAnswer:
        request = messages.query(self.business_short_code, checkout_request_id, self._proof())
        answer = await self._call(messages.QUERY_PATH, request, read_query)
        if answer.checkout_request_id in {"", checkout_request_id}:
            return answer
        # About another push: whatever it says, it says nothing about this one.
        return msgspec.structs.replace(answer, outcome=Outcome.UNKNOWN)

    def _security_credential(self) -> str:
        """The ready one, or a fresh one. A wrong one is told by the result, and locks (2001)."""
        if not self.has_initiator:
            raise NoInitiator(
                "This credential has no initiator, so nothing was asked: set initiator_name, "
                "initiator_password and initiator_certificate."
            )
        if self._initiator.security_credential:
            return self._initiator.security_credential
        try:
            return security_credential(self._initiator.password, self._initiator.certificate)
        except BadCertificate as error:
            problem = str(error)
        raise NoInitiator(f"{problem} Nothing was asked.")
