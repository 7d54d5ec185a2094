"""The kinds of callbacks: how the bytes of each are read, and who takes in what they say.

Fresh from the wire, from the spool, or from the database again: it is the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from milango.core.payments import Original

from . import confirmations, questions, receive
from .batches import Verb
from .settle import MOST_BODIES


class Kind(NamedTuple):
    """One kind of what Daraja posts."""

    name: str
    verb: Verb
    """What is done with it, together with others of its verb."""
    read: Callable[[UUID, Original, bool, datetime], Any]
    """The verb's item: from what the address was made for, what arrived, whether the peer is one
    of Safaricom's, and when it is weighed (UTC). Never raises."""
    strangers: int
    """Bodies of one address that the spool takes from others than Safaricom."""


STK: Final = Kind("stk", receive.EVIDENCE, receive.evidence_of, MOST_BODIES)
C2B: Final = Kind(
    confirmations.PURPOSE,
    confirmations.CONFIRMATIONS,
    confirmations.arrival_of,
    confirmations.STRANGERS_A_DAY[0],
)
RESULT: Final = Kind(questions.PURPOSE, questions.ANSWERS, questions.answer_of, MOST_BODIES)
TIMEOUT: Final = Kind(questions.TIMEOUT, questions.ANSWERS, questions.timeout_of, MOST_BODIES)

KINDS: Final = {kind.name: kind for kind in (STK, C2B, RESULT, TIMEOUT)}
"""By the name that stands in `InboundCallback.kind` and in the spool."""
