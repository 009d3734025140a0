"""Several gateways as one: each keeps its own limit, and work goes to whichever has a free slot.

A walk stays with the gateway that its cursor came from. When that one is gone, the others are shown
the cursor; if none of them takes it, `CursorRefusedError` says that the walk must begin anew.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    ReplyError,
)
from intake_futu_short.opend.client import GatewayClient
from intake_futu_short.opend.replies import NO_MATTER_OF_THE_CURSOR, CursorRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.client import Cursors
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.security import Security

__all__ = ["GatewayPool"]

# What is no answer, and may be one elsewhere.
_NO_ANSWER = (GatewayDisconnectedError, GatewayTimeoutError)

_log = logging.getLogger(__name__)


class GatewayPool:
    """Asks several gateways; has the face of a `GatewayClient`.

    A gateway that cannot be reached, or never answered, is left out until `close`, which the log
    says once. When all are, that is an error, and the next request tries all of them again. A
    request that one gateway does not answer is shown to the others.

    Parameters
    ----------
    gateways : sequence of GatewayURL
        Where they listen; two or more.
    timeout : float
        Seconds to wait for each answer.
    on_wait : callable, optional
        Told the seconds, from any thread, each time that requests begin to wait because no gateway
        that they may go to has a free slot.
    """

    def __init__(
        self,
        gateways: Sequence[GatewayURL],
        *,
        timeout: float = 12.0,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        self._on_wait = on_wait
        self._changed = threading.Condition()
        self._places = [_Place(gateway, timeout, on_wait) for gateway in gateways]
        self._homes: dict[Security, _Place] = {}
        self._times_closed = 0

    def daily_short_volume(
        self, security: Security, next_key: str | None = None, num: int | None = None
    ) -> DailyShortVolume.S2C:
        """Ask for one page: the newest of any gateway, another of the one that gave its cursor.

        Parameters and errors are those of `GatewayClient.daily_short_volume`, and these:

        Raises
        ------
        GatewayUnreachableError
            When no gateway is left.
        CursorRefusedError
            When the gateway that gave the cursor is gone, and the others refuse it.
        """
        with self._changed:
            times_closed = self._times_closed
            if not self._live():
                for place in self._places:
                    place.gone = None
        failed_at: dict[_Place, GatewayError] = {}
        while True:
            place, may_move = self._choose(security, next_key, failed_at, times_closed)
            try:
                answer = place.ask(security, next_key, num, may_move=may_move)
            except _BusyError as busy:
                with self._changed:
                    place.busy_until = time.monotonic() + busy.wait_s
            except (GatewayUnreachableError, *_NO_ANSWER) as error:
                failed_at[place] = error
                self._leave_out(place, error, times_closed)
            except ReplyError as refusal:
                place.has_answered = True
                if next_key is None or isinstance(refusal, NO_MATTER_OF_THE_CURSOR):
                    raise
                failed_at[place] = refusal
            else:
                with self._changed:
                    place.has_answered = True
                    self._homes[security] = place
                return answer
            finally:
                with self._changed:
                    place.requests -= 1

    def close(self) -> None:
        """End the requests under way, and let go of the gateways; it can be asked again after."""
        with self._changed:
            self._times_closed += 1
            self._changed.notify_all()
        for place in self._places:
            place.close()

    def _live(self) -> list[_Place]:
        return [place for place in self._places if place.gone is None]

    def _choose(
        self,
        security: Security,
        next_key: str | None,
        failed_at: Mapping[_Place, GatewayError],
        times_closed: int,
    ) -> tuple[_Place, bool]:
        """Where to ask, once that is known, and whether to go elsewhere if there is no slot."""
        with self._changed:
            while True:
                if self._times_closed != times_closed:
                    raise GatewayDisconnectedError(f"{security}: closed here while it waited")
                home = None if next_key is None else self._homes.get(security)
                live = [place for place in self._live() if place not in failed_at]
                if not live or (home is not None and isinstance(failed_at.get(home), ReplyError)):
                    raise self._failure(security, home, failed_at)
                if home in live or len(live) == 1:
                    place, may_move = (home if home in live else live[0]), False
                    assert place is not None  # noqa: S101 - tells mypy
                    break
                now = time.monotonic()
                free = [place for place in live if place.busy_until <= now]
                if free:
                    place, may_move = min(free, key=lambda place: place.requests), True
                    break
                wait = min(place.busy_until for place in live) - now
                if self._on_wait is not None:
                    self._on_wait(wait)
                self._changed.wait(wait)
            place.requests += 1
            return place, may_move

    def _leave_out(self, place: _Place, error: GatewayError, times_closed: int) -> None:
        """Leave a gateway out that cannot be reached, or never answered anything."""
        with self._changed:
            if self._times_closed != times_closed:
                raise error  # it was closed here
            is_gone = isinstance(error, GatewayUnreachableError) or not place.has_answered
            if is_gone and place.gone is None:
                place.gone = error
                if self._live():
                    _log.warning("%s is left out, the others go on: %s", place.gateway, error)
                self._changed.notify_all()

    def _failure(
        self, security: Security, home: _Place | None, failed_at: Mapping[_Place, GatewayError]
    ) -> GatewayError:
        """What it means that nobody is left to be asked."""
        refusals = [error for error in failed_at.values() if isinstance(error, ReplyError)]
        if refusals:
            # Its own gateway's no, or one to a cursor of which nobody knows whose it is.
            is_final = home is None or isinstance(failed_at.get(home), ReplyError)
            return refusals[-1] if is_final else CursorRefusedError.of(refusals[-1])
        if self._live():
            return list(failed_at.values())[-1]
        names = " and ".join(str(place.gateway) for place in self._places)
        last = self._places[-1].gone
        error = GatewayUnreachableError(f"{security}: none of {names} answers. The last: {last}")
        error.__cause__ = last
        return error


class _BusyError(Exception):
    """The gateway's limit lets nothing out for a while."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class _Place:
    """One gateway of a pool; what is no method belongs to the pool and its lock.

    Attributes
    ----------
    requests : int
        How many are under way.
    busy_until : float
        On the monotonic clock: no slot is free before.
    has_answered : bool
        Whether it ever did.
    gone : GatewayError or None
        Why it is left out.
    """

    def __init__(
        self, gateway: GatewayURL, timeout: float, on_wait: Callable[[float], None] | None
    ) -> None:
        self.gateway = gateway
        self.requests = 0
        self.busy_until = 0.0
        self.has_answered = False
        self.gone: GatewayError | None = None
        self._timeout = timeout
        self._on_wait = on_wait
        self._lock = threading.Lock()
        self._seats: list[_Seat] = []
        self._idle: list[_Seat] = []
        self._cursors: Cursors = {}

    def ask(
        self, security: Security, next_key: str | None, num: int | None, *, may_move: bool
    ) -> DailyShortVolume.S2C:
        """Ask here; with `may_move` there is a `_BusyError` instead of a wait for the limit."""
        with self._lock:
            if not self._idle:
                self._idle.append(_Seat(self.gateway, self._timeout, self._on_wait, self._cursors))
                self._seats += self._idle
            seat = self._idle.pop()
        try:
            return seat.ask(security, next_key, num, may_move=may_move)
        finally:
            with self._lock:
                self._idle.append(seat)

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            seats = list(self._seats)
        for seat in seats:
            seat.client.close()
        self.gone = None


class _Seat:
    """One request at a time. All clients of a gateway share its connection and its limit."""

    def __init__(
        self,
        gateway: GatewayURL,
        timeout: float,
        on_wait: Callable[[float], None] | None,
        cursors: Cursors,
    ) -> None:
        self.client = GatewayClient(gateway, timeout=timeout, on_wait=self._wait, cursors=cursors)
        self._on_wait = on_wait
        self._may_move = False
        self._busy_s: float | None = None

    def ask(
        self, security: Security, next_key: str | None, num: int | None, *, may_move: bool
    ) -> DailyShortVolume.S2C:
        self._may_move, self._busy_s = may_move, None
        try:
            return self.client.daily_short_volume(security, next_key, num)
        except GatewayDisconnectedError as error:
            if self._busy_s is None:
                raise
            raise _BusyError(self._busy_s) from error

    def _wait(self, seconds: float) -> None:
        if self._may_move:
            self._busy_s = seconds
            self.client.cancel()
        elif self._on_wait is not None:
            self._on_wait(seconds)
