"""Several gateways as one: each keeps its own limit, and work goes to whichever has a free slot.

A walk stays with the gateway that its cursor came from. When that one is gone, the others are shown
the cursor; if none of them takes it, `CursorRefusedError` says that the walk must begin anew.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    ProtocolError,
    ReplyError,
)
from intake_futu_short.opend.place import SEEK_S, BusyError, Place
from intake_futu_short.opend.replies import NO_MATTER_OF_THE_CURSOR, CursorRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.security import Security

__all__ = ["GatewayPool"]

# What is no answer, and may be one elsewhere.
_NO_ANSWER = (GatewayDisconnectedError, GatewayTimeoutError, ProtocolError)

# For so long a gateway is left out, and for so long all are sought when all were lost.
AWAY_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Asked:
    """A request, and who failed to answer it."""

    security: Security
    next_key: str | None
    times_closed: int
    failed_at: dict[Place, GatewayError] = field(default_factory=dict)
    failed_since: float | None = None


class GatewayPool:
    """Asks several gateways; has the face of a `GatewayClient`.

    A request that one gateway does not answer is shown to the others. A gateway that cannot be
    reached, or never answered, is left out, which the log says once; now and then one request
    tries it again. When all are lost, they are sought for as long as a single one is; then that
    is an error, and the next request tries all of them again.

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
        self._places = [Place(gateway, timeout, on_wait) for gateway in gateways]
        self._homes: dict[Security, Place] = {}
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
            asked = _Asked(security, next_key, self._times_closed)
            if not self._live():
                for place in self._places:
                    place.away_until = 0.0
        while True:
            place, may_move = self._choose(asked)
            try:
                answer = place.ask(security, next_key, num, may_move=may_move)
            except BusyError as busy:
                with self._changed:
                    place.busy_until = time.monotonic() + busy.wait_s
                    place.is_back()
            except (GatewayUnreachableError, *_NO_ANSWER) as error:
                self._leave_out(place, error, asked)
            except ReplyError as refusal:
                with self._changed:
                    place.answered()
                    asked.failed_at[place] = refusal
                if next_key is None or isinstance(refusal, NO_MATTER_OF_THE_CURSOR):
                    raise
            else:
                if self._is_taken(place, answer, asked):
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

    def _live(self) -> list[Place]:
        now = time.monotonic()
        return [place for place in self._places if place.away_until <= now]

    def _choose(self, asked: _Asked) -> tuple[Place, bool]:
        """Where to ask, once that is known, and whether to go elsewhere if there is no slot."""
        with self._changed:
            while True:
                if self._times_closed != asked.times_closed:
                    raise GatewayDisconnectedError(f"{asked.security}: closed here while it waited")
                home = self._home(asked)
                live = [place for place in self._live() if place not in asked.failed_at]
                if not live or (
                    home is not None and isinstance(asked.failed_at.get(home), ReplyError)
                ):
                    error = self._failure(asked, home)
                    if isinstance(error, GatewayUnreachableError) and self._seek(asked):
                        continue
                    raise error
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
            if place.gone is not None:  # one request is enough to try it again
                place.away_until = time.monotonic() + AWAY_S
            return place, may_move

    def _home(self, asked: _Asked) -> Place | None:
        """Who gave the cursor, where that is known."""
        return None if asked.next_key is None else self._homes.get(asked.security)

    def _is_taken(self, place: Place, answer: DailyShortVolume.S2C, asked: _Asked) -> bool:
        """Note who answered, unless it is no answer to the cursor."""
        with self._changed:
            place.answered()
            home = self._home(asked)
            if home is None or home is place or answer.us_items or answer.hk_items:
                self._homes[asked.security] = place
                return True
            # Where cursors are of another kind, this one may lie behind the end.
            words = f"{place.gateway} has no rows behind {asked.next_key!r} of {home.gateway}"
            asked.failed_at[place] = ReplyError(
                f"{asked.security}: {words}", ret_type=0, err_code=0, message=words
            )
            return False

    def _leave_out(self, place: Place, error: GatewayError, asked: _Asked) -> None:
        """Leave a gateway out that cannot be reached, or never answered anything."""
        with self._changed:
            if self._times_closed != asked.times_closed:
                raise error  # it was closed here
            asked.failed_at[place] = error
            asked.failed_since = asked.failed_since or time.monotonic()
            if not isinstance(error, GatewayUnreachableError) and place.has_answered:
                place.is_back()
                return
            place.away_until = time.monotonic() + AWAY_S
            is_news, place.gone = place.gone is None, error
            if is_news and self._live():
                _log.warning("%s is left out, the others go on: %s", place.gateway, error)
            self._changed.notify_all()

    def _seek(self, asked: _Asked) -> bool:
        """Let the gateways that were lost be asked once more, as long as they are sought."""
        now = time.monotonic()
        if now - (asked.failed_since or now) >= AWAY_S - SEEK_S * len(self._places):
            return False
        lost = [
            place
            for place in self._places
            if place.has_answered
            and isinstance(asked.failed_at.get(place, place.gone), GatewayUnreachableError)
        ]
        for place in lost:
            place.away_until = 0.0
            asked.failed_at.pop(place, None)
        return bool(lost)

    def _failure(self, asked: _Asked, home: Place | None) -> GatewayError:
        """What it means that nobody is left to be asked."""
        refusals = [error for error in asked.failed_at.values() if isinstance(error, ReplyError)]
        if refusals:
            # Its own gateway's no, or one to a cursor of which nobody knows whose it is.
            is_final = home is None or isinstance(asked.failed_at.get(home), ReplyError)
            return refusals[-1] if is_final else CursorRefusedError.of(refusals[-1])
        if self._live():
            return list(asked.failed_at.values())[-1]
        names = " and ".join(str(place.gateway) for place in self._places)
        last = self._places[-1].gone
        error = GatewayUnreachableError(
            f"{asked.security}: none of {names} answers. The last: {last}"
        )
        error.__cause__ = last
        return error
