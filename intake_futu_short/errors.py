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

Where a builtin says the same thing, the error is that builtin too, so that
``except ConnectionError`` or ``except ValueError`` catches it. Beside the tree stand warnings,
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


# Enough to see what is wrong; `PanelError.failures` has them all.
_CODES_SHOWN = 5


def sentence(error: object) -> str:
    """Words of an error, which another sentence can follow."""
    said = str(error).rstrip(" .")
    return said if said.endswith(("?", "!")) else f"{said}."


def printable(error: object) -> str:
    """Words of an error, with escapes for bytes of a path that are no text in this locale."""
    return str(error).encode(errors="backslashreplace").decode()


class FutuShortError(Exception):
    """The root: catches everything below."""


class ConfigError(FutuShortError, ValueError):
    """An argument that cannot work (code, date, number, URL, key file), before any I/O."""


class GatewayError(FutuShortError):
    """The gateway could not be asked, or its answer could not be used."""


class GatewayUnreachableError(GatewayError, ConnectionError):
    """Nothing answers at that address."""


class GatewayDisconnectedError(GatewayError, ConnectionError):
    """The gateway was there and went away."""


class GatewayTimeoutError(GatewayError, TimeoutError):
    """The gateway did not answer within its deadline."""


class ProtocolError(GatewayError):
    """What came is not a valid frame or message."""


class ReplyError(GatewayError):
    """The gateway answered, and the answer is no.

    Attributes
    ----------
    ret_type : int
        The protocol's ``retType``: -1 failed, -100 timeout, -200 disconnected, -400 unknown,
        -500 invalid.
    err_code : int
        The protocol's ``errCode``; 0 when the gateway sent none.
    message : str
        The gateway's own words, in its own language; ``""`` when it sent none.
    """

    def __init__(self, text: str, *, ret_type: int, err_code: int, message: str) -> None:
        super().__init__(text)
        self.ret_type = ret_type
        self.err_code = err_code
        self.message = message

    def __reduce__(self) -> tuple[Callable[..., ReplyError], tuple[object, ...]]:
        # The default would call the class with the text alone, which its signature refuses.
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
    """Some tickers of many failed.

    Attributes
    ----------
    failures : dict of str to Exception
        The error of each code that failed.
    partial : pandas.DataFrame or None
        What was read of the others.
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
        """Which of so many tickers failed, and why the first did, as whole sentences."""
        first, *_ = failures.values()
        more = len(failures) - _CODES_SHOWN
        codes = ", ".join(list(failures)[:_CODES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return (
            f"{len(failures)} of {tickers} tickers failed: {codes}. "
            f"The first error: {sentence(first)}"
        )


class PanelWarning(UserWarning):
    """Some tickers of many failed and were left out, as ``errors="warn"`` asks."""


class PositionWarning(UserWarning):
    """All reports of an open position are newer than the rows: what is made of them is NaN."""


class RankWarning(UserWarning):
    """A rank moved while it was asked for in parts, or is shorter than it says it is."""


class UnusablePackageWarning(UserWarning):
    """An optional package is installed and cannot be imported: what needs it is done without."""


def warn(text: str, category: type[Warning]) -> None:
    """Warn whoever called the package."""
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
        By code; nothing happens when it is empty.
    tickers : int
        How many there were.
    partial : pandas.DataFrame or None
        The rows of the others.
    warns : bool
        Whether to warn.
    advice : str
        What the error says beside the failures, as sentences.

    Raises
    ------
    PanelError
        Unless it warns.
    """
    if not failures:
        return
    summary = PanelError.summary(failures, tickers)
    if warns:
        warn(f"{summary} Read without them.", PanelWarning)
        return
    raise PanelError(f"{summary} {advice}", failures, partial) from next(iter(failures.values()))


def _to_caller() -> int:
    """Frames from who calls this to who called the package: a warning is for them."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("intake_futu_short"):
        level, frame = level + 1, frame.f_back
    return level


class StoreError(FutuShortError, OSError):
    """The store cannot be read or written, or does not cover what was asked."""


class CorruptStoreError(StoreError):
    """A file of the store is damaged or is not the store's own."""


class NotShortVolumeError(FutuShortError, AttributeError):
    """``df.shortvol`` on a frame that holds no daily short volume."""
