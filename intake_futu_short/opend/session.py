"""What everything in a process that names the same gateway shares: a link to it, and its turns.

A session makes its link with the first request, makes a new one when that is gone, and lets every
request wait for its turn under the gateway's limit.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Protocol

from intake_futu_short.errors import GatewayDisconnectedError
from intake_futu_short.opend import background
from intake_futu_short.opend.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.opend.limiter import Limit

__all__ = ["Link", "Session", "Sessions"]


class Link(Protocol):
    """A connection that has shaken hands."""

    @property
    def host(self) -> str:
        """Address at the other end, the same whatever name this host's own was reached by."""

    @property
    def is_closed(self) -> bool:
        """Whether it cannot be used any more."""

    async def request(self, proto_id: int, body: bytes, timeout: float) -> bytes:
        """Send a request and wait for its answer."""

    def close(self) -> None:
        """End it, and whatever waits on it."""


if TYPE_CHECKING:
    # gateway, key, seconds → a link
    Connect = Callable[[GatewayURL, RsaKey | None, float], Coroutine[Any, Any, Link]]
    # A connection is shared by those who encrypt it alike: host, port, fingerprint, algorithm.
    Identity = tuple[str, int, str | None, int]


class Sessions:
    """The sessions of a process, one a gateway, counted."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._held: dict[Identity, tuple[Session, int]] = {}

    def acquire(self, gateway: GatewayURL, key: RsaKey | None) -> Session:
        """Join the gateway's session, which begins with its first user."""
        fingerprint = None if key is None else key.fingerprint
        identity = (gateway.host, gateway.port, fingerprint, int(gateway.algorithm))
        with self._lock:
            session, users = self._held.get(identity, (None, 0))
            if session is None:
                session = Session(gateway, key, identity, self._connect)
            session.tighten(gateway.limit)
            self._held[identity] = (session, users + 1)
            return session

    def release(self, session: Session) -> None:
        """Leave a session, which ends with its last user."""
        with self._lock:
            held, users = self._held.get(session.identity, (None, 0))
            if held is not session:
                return  # it belongs to the process this one was forked from
            if users > 1:
                self._held[session.identity] = (session, users - 1)
                return
            del self._held[session.identity]
        session.close()


class Session:
    """Requests to one gateway; its coroutines run on the loop of its `lease`."""

    def __init__(
        self, gateway: GatewayURL, key: RsaKey | None, identity: Identity, connect: Connect
    ) -> None:
        self.identity = identity
        self.lease = background.Lease()
        self._gateway = gateway
        self._key = key
        self._connect = connect
        self._limit: Limit | None = None
        self._is_closed = False
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
        self._turns: dict[str, Turns] = {}
        self._waiting: set[asyncio.Task[int]] = set()

    def tighten(self, limit: Limit | None) -> None:
        """Heed one more user's limit: of several the strictest holds."""
        if limit is not None:
            self._limit = limit.tightened(self._limit)

    async def request(
        self,
        proto_id: int,
        body: bytes,
        timeout: float,
        on_wait: Callable[[float], None] | None = None,
    ) -> bytes:
        """Ask when the limit allows; `timeout` seconds begin with the sending.

        `on_wait` is told the seconds, each time that a wait for the limit begins.
        """
        # Connect first: a gateway that is down uses no slot and need not be waited for.
        link = await self._connected(timeout)
        if self._limit is None:
            return await link.request(proto_id, body, timeout)
        turns, slot = await self._take_slot(link, self._limit, timeout, on_wait)
        while link.is_closed:  # while it waited
            await turns.give_back(slot)
            link = await self._connected(timeout)
            turns, slot = await self._take_slot(link, self._limit, timeout, on_wait)
        try:
            return await link.request(proto_id, body, timeout)
        finally:
            await turns.end(slot)

    async def refused(self) -> None:
        """After "too frequent": let nobody on this host ask before a window has passed."""
        if self._link is not None and self._limit is not None:
            await self._turns_at(self._link).refused(self._limit)

    def close(self) -> None:
        """End the link, what waits on it, and the lease."""
        self.lease.run(self._close_link)
        self.lease.close()

    async def _take_slot(
        self, link: Link, limit: Limit, timeout: float, on_wait: Callable[[float], None] | None
    ) -> tuple[Turns, int]:
        turns = self._turns_at(link)
        taking = asyncio.get_running_loop().create_task(turns.take(limit, timeout, on_wait))
        self._waiting.add(taking)
        try:
            return turns, await taking
        finally:
            self._waiting.discard(taking)

    def _turns_at(self, link: Link) -> Turns:
        if link.host not in self._turns:
            self._turns[link.host] = Turns(link.host, self._gateway.port, str(self._gateway))
        return self._turns[link.host]

    async def _connected(self, timeout: float) -> Link:
        if self._is_closed:
            raise GatewayDisconnectedError("closed here")
        if self._link is not None and not self._link.is_closed:
            return self._link
        # Whoever comes while a connection is being made waits for that one, and fails with it.
        if self._connecting is None:
            connecting = self._connect(self._gateway, self._key, timeout)
            self._connecting = asyncio.get_running_loop().create_task(connecting)
            self._connecting.add_done_callback(self._keep_link)
        return await asyncio.shield(self._connecting)

    def _keep_link(self, connected: asyncio.Task[Link]) -> None:
        self._connecting = None
        if not connected.cancelled() and connected.exception() is None:
            self._link = connected.result()
            if self._is_closed:
                self._link.close()

    async def _close_link(self) -> None:
        self._is_closed = True
        for taking in self._waiting:
            taking.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.close()
