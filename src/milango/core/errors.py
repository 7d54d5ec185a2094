"""Errors, named by what the caller does next: *no*, *not now*, or *do not know*."""

from __future__ import annotations

from collections.abc import Mapping


class MilangoError(Exception):
    """Something went wrong."""

    code = "error"
    """A stable word for machines: it stands in problem+json and has its page in the docs."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])


class InvalidRequest(MilangoError, ValueError):
    """The request cannot be understood; nothing was stored and no prompt was sent."""

    code = "invalid_request"

    def __init__(self, message: str = "", *, field: str = "", code: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.code = code or type(self).code


class InvalidPhone(InvalidRequest):
    """Not a Kenyan mobile number that M-Pesa could prompt."""

    code = "invalid_phone"

    def __init__(self, message: str = "", *, field: str = "phone_number") -> None:
        super().__init__(message, field=field)


class InvalidAmount(InvalidRequest):
    """Not an amount that an STK prompt can ask for: whole shillings from 1 to 250,000."""

    code = "invalid_amount"

    def __init__(self, message: str = "", *, field: str = "amount") -> None:
        super().__init__(message, field=field)


class DarajaError(MilangoError):
    """Daraja did not do what it was asked."""

    code = "daraja_error"

    def __init__(self, message: str = "", *, daraja_code: str = "", text: str = "") -> None:
        super().__init__(message)
        self.daraja_code = daraja_code
        self.text = text


class DarajaRefused(DarajaError):
    """A definite no: Daraja refused before M-Pesa saw the request. No money can have moved."""

    code = "daraja_refused"


class DarajaBusy(DarajaError):
    """Not now: nothing happened, and the same request may be made again later."""

    code = "daraja_busy"

    def __init__(
        self, message: str = "", *, daraja_code: str = "", text: str = "", retry_after: int = 10
    ) -> None:
        super().__init__(message, daraja_code=daraja_code, text=text)
        self.retry_after = retry_after
        """Seconds to wait before asking again."""


class DarajaSilent(DarajaError):
    """Unknown: the request may have been carried out. Assume neither payment nor failure."""

    code = "daraja_silent"


class CallbackUnreadable(MilangoError, ValueError):
    """Not a callback as Daraja writes them. Its bytes are kept, and nothing is credited."""

    code = "callback_unreadable"


class SecretUnreadable(MilangoError):
    """A stored secret cannot be opened with the keys of this installation."""

    code = "secret_unreadable"


class ImpossibleTransition(MilangoError, AssertionError):
    """A payment was about to change in a way that the money rules exclude: a bug of ours."""

    code = "impossible_transition"


class Declined(MilangoError):
    """A request that was understood and is not carried out: no prompt was sent for it."""

    code = "declined"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str = "",
        retry_after: int | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after = retry_after
        """Seconds to wait, where waiting helps."""
        self.extra = dict(extra or {})
        """More members for the problem document."""
