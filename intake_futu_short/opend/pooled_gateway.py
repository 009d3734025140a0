"""One gateway of a pool: its clients, and what the pool knows of it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.opend.client import GatewayClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_futu_short.errors import GatewayError
    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.client import Cursors
    from intake_futu_short.opend.messages_pb2 import DailyShortVolume
    from intake_futu_short.security import Security

__all__ = ["SEEK_S", "BusyError", "PooledGateway"]

# How long a request waits for a connection that was lost before it goes elsewhere.
SEEK_S = 1.5

_log = logging.getLogger(__name__)


class BusyError(Exception):
    """The gateway's limit lets nothing out for a while."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class PooledGateway:
    """One gateway of a pool; what is no method belongs to the pool and its lock.

    Attributes
    ----------
    requests : int
        How many are under way.
    busy_until : float
        On the monotonic clock: no slot is free before.
    has_answered : bool
        Whether it did, since the pool was last closed.
    gone : GatewayError or None
        Why it is left out, or was and has not come back since.
    away_until : float
        On the monotonic clock: it is left out before.
    """

    def __init__(
        self, gateway: GatewayURL, timeout: float, on_wait: Callable[[float], None] | None
    ) -> None:
        self.url = gateway
        self.requests = 0
        self.busy_until = 0.0
        self.has_answered = False
        self.gone: GatewayError | None = None
        self.away_until = 0.0
        self._timeout = timeout
        self._on_wait = on_wait
        self._lock = threading.Lock()
        self._clients: list[_PooledClient] = []
        self._idle: list[_PooledClient] = []
        self._cursors: Cursors = {}

    def ask(
        self, security: Security, next_key: str | None, num: int | None, *, may_move: bool
    ) -> DailyShortVolume.S2C:
        """Ask here; with `may_move` there is a `BusyError` instead of a wait for the limit."""
        with self._lock:
            if not self._idle:
                self._idle.append(
                    _PooledClient(self.url, self._timeout, self._on_wait, self._cursors)
                )
                self._clients += self._idle
            client = self._idle.pop()
        try:
            return client.ask(security, next_key, num, may_move=may_move)
        finally:
            with self._lock:
                self._idle.append(client)

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            clients = list(self._clients)
        for each in clients:
            each.client.close()
        # The next connection is a first one, which is not sought.
        self.has_answered = False
        self.gone = None
        self.away_until = 0.0

    def answered(self) -> None:
        """Note that it answers."""
        self.has_answered = True
        self.is_back()

    def is_back(self) -> None:
        """Note that it can be reached."""
        if self.gone is not None:
            _log.info("%s is back", self.url)
        self.gone = None
        self.away_until = 0.0


class _PooledClient:
    """One request at a time. All clients of a gateway share its connection and its limit."""

    def __init__(
        self,
        gateway: GatewayURL,
        timeout: float,
        on_wait: Callable[[float], None] | None,
        cursors: Cursors,
    ) -> None:
        self.client = GatewayClient(
            gateway, timeout=timeout, on_wait=self._wait, cursors=cursors, seek_s=SEEK_S
        )
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
            raise BusyError(self._busy_s) from error

    def _wait(self, seconds: float) -> None:
        if self._may_move:
            self._busy_s = seconds
            self.client.cancel()
        elif self._on_wait is not None:
            self._on_wait(seconds)
