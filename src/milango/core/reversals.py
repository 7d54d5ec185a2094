"""How M-Pesa says that money went back: one rule for every source that names a kind of money."""

from __future__ import annotations

import re
from typing import Final

REVERSAL: Final = re.compile(r"revers", re.I)


def is_reversal(kind: str) -> bool:
    """Whether these words (`c2b-reversal`, `Pay Utility Reversal`) tell of money that went back.

    A sign alone does not: money also leaves a short code in other ways.
    """
    return REVERSAL.search(kind) is not None
