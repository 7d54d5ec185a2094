"""Receipts as a person writes them on the command line."""

from __future__ import annotations

from typing import Any, Final

import click

from milango.core.errors import InvalidRequest
from milango.core.receipts import typed


class Receipt(click.ParamType[str]):
    """M-Pesa's code of a transaction, in capitals."""

    name = "receipt"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> str:
        try:
            return typed(value)
        except InvalidRequest as error:
            self.fail(str(error), param, ctx)


RECEIPT: Final = Receipt()
