"""Remembers a gateway's requests, and counts them against the limit."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intake_futu_short.calls import SHORT_VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from intake_futu_short.calls import Call

__all__ = ["MAX_TEXT", "RefusedError", "Request", "RequestLog"]

# Codes and cursors are shorter, but a client may send up to 64 KB.
MAX_TEXT = 256
# About 100,000 ordinary requests.
MAX_REMEMBERED_BYTES = 32 * 2**20


class RefusedError(Exception):
    """The request is refused, with this text."""


@dataclass(frozen=True)
class Request:
    """A request for rows that arrived, whatever the answer was.

    Attributes
    ----------
    arrived_s : float
        Seconds on the gateway's clock.
    code : str
        Market and symbol, cut after 256 characters; of a rank the market alone. A market other
        than US and HK is given by its number.
    next_key : str or None
        Cursor, cut after 256 characters; None when the request carried none.
    num : int or None
        Rows per page; None when the request left it open.
    call : str
        `Call.name` of the call: "short_volume", "short_interest" or "short_selling_rank".
    offset : int
        Position of the first row asked for; 0 except for the rank.
    """

    arrived_s: float
    code: str
    next_key: str | None
    num: int | None
    call: str = SHORT_VOLUME.name
    offset: int = 0


class RequestLog:
    """The newest requests, and those that the limit counts.

    Parameters
    ----------
    limit, clock, lock
        As of `intake_futu_short.gateway.responder.Responder`.
    """

    def __init__(
        self,
        limit: tuple[int, float] | None,
        clock: Callable[[], float],
        lock: AbstractContextManager[Any],
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = lock  # guards the next three
        self._arrivals: defaultdict[str, deque[float]] = defaultdict(deque)  # by call
        self._requests: deque[Request] = deque()
        self._remembered_bytes = 0

    @property
    def requests(self) -> list[Request]:
        """The newest requests for rows, in the order of their arrival."""
        with self._lock:
            return list(self._requests)

    def admit(
        self, call: Call, code: str, next_key: str | None, num: int | None, offset: int = 0
    ) -> None:
        """Remember a request.

        Raises
        ------
        RefusedError
            When the limit has no room for it.
        """
        key = None if next_key is None else next_key[:MAX_TEXT]
        with self._lock:
            request = Request(self._clock(), code[:MAX_TEXT], key, num, call.name, offset)
            self._requests.append(request)
            self._remembered_bytes += _bytes(request)
            while self._remembered_bytes > MAX_REMEMBERED_BYTES:
                self._remembered_bytes -= _bytes(self._requests.popleft())
            if self._limit is None:
                return
            count, seconds = self._limit
            arrivals = self._arrivals[call.name]
            # Exactly `seconds` between two requests still count as within the window.
            while arrivals and request.arrived_s - arrivals[0] > seconds:
                arrivals.popleft()
            if len(arrivals) < count:
                arrivals.append(request.arrived_s)
                return
        raise RefusedError(
            f"Get {call.title} is too frequent, request failed, "
            f"no more than {count} times every {seconds:g} seconds."
        )


def _bytes(request: Request) -> int:
    """Memory that a request takes, roughly."""
    return 200 + sys.getsizeof(request.code) + sys.getsizeof(request.next_key)
