"""Every error this package raises on purpose.

::

    FutuShortError
    ├── ConfigError (ValueError)
    ├── GatewayError
    │   ├── GatewayUnreachableError (ConnectionError)
    │   ├── GatewayDisconnectedError (ConnectionError)
    │   ├── GatewayTimeoutError (TimeoutError)
    │   ├── ProtocolError
    │   └── ReplyError
    │       ├── RateLimitError
    │       ├── UnknownSecurityError (LookupError)
    │       └── QuoteRightError (PermissionError)
    ├── PaginationError
    ├── PanelError
    ├── StoreError (OSError)
    │   └── CorruptStoreError
    └── NotShortVolumeError (AttributeError)

Where Python has a builtin error with the same meaning, the error is also of that class, so that
``except ConnectionError`` or ``except ValueError`` catches it. There are also the warnings
`PanelWarning`, `PositionWarning`, `RankWarning` and `UnusablePackageWarning`.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

__all__ = [
    "ConfigError",
    "CorruptStoreError",
    "FutuShortError",
    "GatewayDisconnectedError",
    "GatewayError",
    "GatewayTimeoutError",
    "GatewayUnreachableError",
    "NotShortVolumeError",
    "PaginationError",
    "PanelError",
    "PanelWarning",
    "PositionWarning",
    "ProtocolError",
    "QuoteRightError",
    "RankWarning",
    "RateLimitError",
    "ReplyError",
    "StoreError",
    "UnknownSecurityError",
    "UnusablePackageWarning",
]


# How many codes a message names. `PanelError.failures` has them all.
_CODES_SHOWN = 5


def sentence(error: object) -> str:
    """Message of an error as a sentence, so that another one can follow."""
    said = str(error).rstrip(" .")
    return said if said.endswith(("?", "!")) else f"{said}."


def printable(error: object) -> str:
    """Message of an error; bytes of a path that are not text in this locale are escaped."""
    return str(error).encode(errors="backslashreplace").decode()


class FutuShortError(Exception):
    """Base class of all errors of this package."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython what it shows in place of its own traceback; nothing else calls this."""
        from intake_futu_short import notebook  # noqa: PLC0415 - only where an error is shown

        return notebook.lines(self)


class ConfigError(FutuShortError, ValueError):
    """An argument cannot work (code, date, number, URL, key file). Raised before any I/O."""


class GatewayError(FutuShortError):
    """The gateway could not be asked, or its answer could not be used."""


class GatewayUnreachableError(GatewayError, ConnectionError):
    """Nothing answers at that address."""


class GatewayDisconnectedError(GatewayError, ConnectionError):
    """The gateway closed the connection, or the connection was lost."""


class GatewayTimeoutError(GatewayError, TimeoutError):
    """The gateway did not answer within its deadline."""


class ProtocolError(GatewayError):
    """The gateway sent something that is not a valid frame or message."""


class ReplyError(GatewayError):
    """The gateway answered that it cannot or will not serve the request.

    Attributes
    ----------
    ret_type : int
        The protocol's ``retType``: -1 failed, -100 timeout, -200 disconnected, -400 unknown,
        -500 invalid.
    err_code : int
        The protocol's ``errCode``; 0 when the gateway sent none.
    message : str
        The gateway's own message, in its own language; ``""`` when it sent none.
    """

    def __init__(self, text: str, *, ret_type: int, err_code: int, message: str) -> None:
        super().__init__(text)
        self.ret_type = ret_type
        self.err_code = err_code
        self.message = message

    def __reduce__(self) -> tuple[Callable[..., ReplyError], tuple[object, ...]]:
        # The default would call the class with the text alone, and __init__ needs more.
        return _reply_error, (type(self), str(self), self.ret_type, self.err_code, self.message)


def _reply_error(
    cls: type[ReplyError], text: str, ret_type: int, err_code: int, message: str
) -> ReplyError:
    return cls(text, ret_type=ret_type, err_code=err_code, message=message)


class RateLimitError(ReplyError):
    """More requests than the gateway allows (30 in 30 seconds)."""


class UnknownSecurityError(ReplyError, LookupError):
    """The gateway knows no such security."""


class QuoteRightError(ReplyError, PermissionError):
    """The account has no right to these quotes."""


class PaginationError(FutuShortError):
    """The paging cursor loops or contradicts itself."""


class PanelError(FutuShortError):
    """Some of several tickers failed.

    Attributes
    ----------
    failures : dict of str to Exception
        The error of each code that failed.
    partial : pandas.DataFrame or None
        What was read of the other tickers.
    """

    def __init__(
        self, text: str, failures: Mapping[str, Exception], partial: pd.DataFrame | None = None
    ) -> None:
        super().__init__(text)
        self.failures = dict(failures)
        self.partial = partial

    def __reduce__(self) -> tuple[type[PanelError], tuple[object, ...]]:
        return type(self), (str(self), self.failures, self.partial)

    @staticmethod
    def summary(failures: Mapping[str, Exception], tickers: int) -> str:
        """Say in whole sentences which of the tickers failed, and why the first one did."""
        first, *_ = failures.values()
        more = len(failures) - _CODES_SHOWN
        codes = ", ".join(list(failures)[:_CODES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return (
            f"{len(failures)} of {tickers} tickers failed: {codes}. "
            f"The first error: {sentence(first)}"
        )


class PanelWarning(UserWarning):
    """Some of several tickers failed and were left out, because of ``errors="warn"``."""


class PositionWarning(UserWarning):
    """All reports of an open position are newer than the rows, so metrics of them are NaN."""


class RankWarning(UserWarning):
    """A rank changed while it was read in parts, or has fewer rows than the gateway said."""


class UnusablePackageWarning(UserWarning):
    """An optional package is installed but cannot be used. The package goes on without it."""


def warn(text: str, category: type[Warning]) -> None:
    """Give a warning that points to the code which called this package."""
    warnings.warn(text, category, stacklevel=_to_caller())


def settle(
    failures: Mapping[str, Exception],
    tickers: int,
    partial: pd.DataFrame | None,
    *,
    warns: bool,
    advice: str,
) -> None:
    """Raise an error for the tickers that failed, or warn that they are left out.

    Parameters
    ----------
    failures : mapping of str to Exception
        Errors by code; nothing happens when there are none.
    tickers : int
        How many tickers there were.
    partial : pandas.DataFrame or None
        The rows of the other tickers.
    warns : bool
        Whether to warn instead of raising.
    advice : str
        Sentences that the error's message ends with.

    Raises
    ------
    PanelError
        When there are failures, unless `warns` is set.
    """
    if not failures:
        return
    summary = PanelError.summary(failures, tickers)
    if warns:
        warn(f"{summary} Read without them.", PanelWarning)
        return
    raise PanelError(f"{summary} {advice}", failures, partial) from next(iter(failures.values()))


def _to_caller() -> int:
    """Number of stack frames from here to the code that called the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("intake_futu_short"):
        level, frame = level + 1, frame.f_back
    return level


class StoreError(FutuShortError, OSError):
    """The store cannot be read or written, or does not have what was asked for."""


class CorruptStoreError(StoreError):
    """A file in the store is damaged, or was not written by a store."""


class NotShortVolumeError(FutuShortError, AttributeError):
    """``df.shortvol`` was used on a frame that does not hold daily short volume."""
