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
from intake_futu_short.opend.pooled_gateway import SEEK_S, BusyError, PooledGateway
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
    failed_at: dict[PooledGateway, GatewayError] = field(default_factory=dict)
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
        self._gateways = [PooledGateway(gateway, timeout, on_wait) for gateway in gateways]
        self._homes: dict[Security, PooledGateway] = {}
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
                for gateway in self._gateways:
                    gateway.away_until = 0.0
        while True:
            gateway, may_move = self._choose(asked)
            try:
                answer = gateway.ask(security, next_key, num, may_move=may_move)
            except BusyError as busy:
                with self._changed:
                    gateway.busy_until = time.monotonic() + busy.wait_s
                    gateway.is_back()
            except (GatewayUnreachableError, *_NO_ANSWER) as error:
                self._leave_out(gateway, error, asked)
            except ReplyError as refusal:
                with self._changed:
                    gateway.answered()
                    asked.failed_at[gateway] = refusal
                if next_key is None or isinstance(refusal, NO_MATTER_OF_THE_CURSOR):
                    raise
            else:
                if self._is_taken(gateway, answer, asked):
                    return answer
            finally:
                with self._changed:
                    gateway.requests -= 1

    def close(self) -> None:
        """End the requests under way, and let go of the gateways; it can be asked again after."""
        with self._changed:
            self._times_closed += 1
            self._changed.notify_all()
        for gateway in self._gateways:
            gateway.close()

    def _live(self) -> list[PooledGateway]:
        now = time.monotonic()
        return [gateway for gateway in self._gateways if gateway.away_until <= now]

    def _choose(self, asked: _Asked) -> tuple[PooledGateway, bool]:
        """Where to ask, once that is known, and whether to go elsewhere if there is no slot."""
        with self._changed:
            while True:
                if self._times_closed != asked.times_closed:
                    raise GatewayDisconnectedError(f"{asked.security}: closed here while it waited")
                home = self._home(asked)
                live = [gateway for gateway in self._live() if gateway not in asked.failed_at]
                if not live or (
                    home is not None and isinstance(asked.failed_at.get(home), ReplyError)
                ):
                    error = self._failure(asked, home)
                    if isinstance(error, GatewayUnreachableError) and self._seek(asked):
                        continue
                    raise error
                if home in live or len(live) == 1:
                    gateway, may_move = (home if home in live else live[0]), False
                    assert gateway is not None  # noqa: S101 - tells mypy
                    break
                now = time.monotonic()
                free = [gateway for gateway in live if gateway.busy_until <= now]
                if free:
                    gateway, may_move = min(free, key=lambda gateway: gateway.requests), True
                    break
                wait = min(gateway.busy_until for gateway in live) - now
                if self._on_wait is not None:
                    self._on_wait(wait)
                self._changed.wait(wait)
            gateway.requests += 1
            if gateway.gone is not None:  # one request is enough to try it again
                gateway.away_until = time.monotonic() + AWAY_S
            return gateway, may_move

    def _home(self, asked: _Asked) -> PooledGateway | None:
        """Who gave the cursor, where that is known."""
        return None if asked.next_key is None else self._homes.get(asked.security)

    def _is_taken(
        self, gateway: PooledGateway, answer: DailyShortVolume.S2C, asked: _Asked
    ) -> bool:
        """Note who answered, unless it is no answer to the cursor."""
        with self._changed:
            gateway.answered()
            home = self._home(asked)
            if home is None or home is gateway or answer.us_items or answer.hk_items:
                self._homes[asked.security] = gateway
                return True
            # Where cursors are of another kind, this one may lie behind the end.
            words = f"{gateway.url} has no rows behind {asked.next_key!r} of {home.url}"
            asked.failed_at[gateway] = ReplyError(
                f"{asked.security}: {words}", ret_type=0, err_code=0, message=words
            )
            return False

    def _leave_out(self, gateway: PooledGateway, error: GatewayError, asked: _Asked) -> None:
        """Leave a gateway out that cannot be reached, or never answered anything."""
        with self._changed:
            if self._times_closed != asked.times_closed:
                raise error  # it was closed here
            asked.failed_at[gateway] = error
            asked.failed_since = asked.failed_since or time.monotonic()
            if not isinstance(error, GatewayUnreachableError) and gateway.has_answered:
                gateway.is_back()
                return
            gateway.away_until = time.monotonic() + AWAY_S
            is_news, gateway.gone = gateway.gone is None, error
            if is_news and self._live():
                _log.warning("%s is left out, the others go on: %s", gateway.url, error)
            self._changed.notify_all()

    def _seek(self, asked: _Asked) -> bool:
        """Let the gateways that were lost be asked once more, as long as they are sought."""
        now = time.monotonic()
        if now - (asked.failed_since or now) >= AWAY_S - SEEK_S * len(self._gateways):
            return False
        lost = [
            gateway
            for gateway in self._gateways
            if gateway.has_answered
            and isinstance(asked.failed_at.get(gateway, gateway.gone), GatewayUnreachableError)
        ]
        for gateway in lost:
            gateway.away_until = 0.0
            asked.failed_at.pop(gateway, None)
        return bool(lost)

    def _failure(self, asked: _Asked, home: PooledGateway | None) -> GatewayError:
        """What it means that nobody is left to be asked."""
        refusals = [error for error in asked.failed_at.values() if isinstance(error, ReplyError)]
        if refusals:
            # Its own gateway's no, or one to a cursor of which nobody knows whose it is.
            is_final = home is None or isinstance(asked.failed_at.get(home), ReplyError)
            return refusals[-1] if is_final else CursorRefusedError.of(refusals[-1])
        if self._live():
            return list(asked.failed_at.values())[-1]
        names = " and ".join(str(gateway.url) for gateway in self._gateways)
        last = self._gateways[-1].gone
        error = GatewayUnreachableError(
            f"{asked.security}: none of {names} answers. The last: {last}"
        )
        error.__cause__ = last
        return error
