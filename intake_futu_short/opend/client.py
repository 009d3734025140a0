"""The sync face of a gateway, and the only client module with a socket.

Everything in the process that names the same gateway shares one connection to it, made by the
first request and closed with the last `GatewayClient`. Requests of several threads are in flight
together; answers are matched by serial number; all of them keep the gateway's limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
import socket
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
)
from intake_futu_short.opend import background, key_file, replies
from intake_futu_short.opend.address import ENVIRONMENT_VARIABLE, SAMPLE_URL
from intake_futu_short.opend.connection import Answer, Connection, Ready
from intake_futu_short.opend.limiter import Slots
from intake_futu_short.opend.messages_pb2 import DailyShortVolume

if TYPE_CHECKING:
    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.security import Security

__all__ = ["CONNECT_TIMEOUT_S", "GatewayClient"]

DAILY_SHORT_VOLUME = 3248

CONNECT_TIMEOUT_S = 5.0
# The official client's figures: a heartbeat after 0.8 of the interval that the gateway names, and
# the connection given up after 33 s without a byte.
HEARTBEAT_SHARE = 0.8
SILENCE_S = 33.0

_log = logging.getLogger(__name__)


class GatewayClient:
    """Asks one gateway; safe to use from several threads, and again after `close`.

    Making one does no I/O.

    Parameters
    ----------
    gateway : GatewayURL
        Where OpenD listens; not the sample.
    timeout : float
        Seconds to wait for each answer; a connection gets the same, 5 seconds at most.
    """

    def __init__(self, gateway: GatewayURL, *, timeout: float = 12.0) -> None:
        self._gateway = gateway
        self._timeout = timeout
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def daily_short_volume(
        self, security: Security, next_key: str | None = None, num: int | None = None
    ) -> DailyShortVolume.S2C:
        """Ask for one page.

        Parameters
        ----------
        security : Security
            Whose rows.
        next_key : str, optional
            Cursor that the page before came with; None asks for the newest page.
        num : int, optional
            Rows a page, 1 to 50; None leaves it to the gateway (10).

        Raises
        ------
        ConfigError
            When the RSA key cannot be used; nothing was sent then.
        GatewayUnreachableError
            When nothing answers at the gateway's address.
        GatewayDisconnectedError
            When the connection breaks before the answer is there.
        GatewayTimeoutError
            When the answer does not come in time.
        ProtocolError
            When what comes is no valid frame or message.
        ReplyError
            When the gateway answers no.
        """
        request = DailyShortVolume.Request()
        request.c2s.security.market = security.market.number
        request.c2s.security.code = security.symbol
        if next_key is not None:
            request.c2s.next_key = next_key
        if num is not None:
            request.c2s.num = num
        page = "newest page" if next_key is None else f"page after {next_key!r}"
        asked = f"{security} ({page}) from {self._gateway}"
        session = self._acquire()
        try:
            body = session.lease.run(
                session.request(DAILY_SHORT_VOLUME, request.SerializeToString(), self._timeout)
            )
        except GatewayError as error:
            # Others may wait on the same connection: each gets an error, and a traceback, of its
            # own that says what it asked for.
            own = copy.copy(error)
            own.args = (f"{asked}: {error}",)
            raise own from error.__cause__
        except CancelledError as error:
            raise GatewayDisconnectedError(f"{asked}: closed here while it waited") from error
        return replies.decode(DailyShortVolume.Response, body, asked).s2c

    def close(self) -> None:
        """Let the connection go; the last client of a gateway closes it."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            _sessions.release(session)

    def _acquire(self) -> _Session:
        with self._lock:
            if self._session is None or not self._session.lease.usable:
                path = self._gateway.rsa_key
                key = None if path is None else key_file.read(path)
                self._session = _sessions.acquire(self._gateway, key)
            return self._session


_Place = tuple[str, int]
# A connection is shared by those who encrypt it alike; the limit by all who ask there.
_Identity = tuple[_Place, str | None, int]  # place, fingerprint of the key, algorithm


class _Sessions:
    """The sessions of this process, one a gateway, counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[_Identity, tuple[_Session, int]] = {}
        self._slots: dict[_Place, Slots] = {}

    def acquire(self, gateway: GatewayURL, key: RsaKey | None) -> _Session:
        place = (gateway.host, gateway.port)
        fingerprint = None if key is None else key.fingerprint
        identity = (place, fingerprint, int(gateway.algorithm))
        with self._lock:
            session, users = self._held.get(identity, (None, 0))
            if session is None:
                session = _Session(gateway, key, identity, *self._slots_of(gateway, place))
            session.slots.tighten(gateway.limit)
            self._held[identity] = (session, users + 1)
            return session

    def _slots_of(self, gateway: GatewayURL, place: _Place) -> tuple[Slots, asyncio.Event]:
        for (other, *_), (session, _) in self._held.items():
            if other == place:
                return session.slots, session.slot_freed
        # What was asked before the last session ended counts on.
        slots = self._slots.setdefault(place, Slots())
        slots.limit = gateway.limit
        return slots, asyncio.Event()

    def release(self, session: _Session) -> None:
        with self._lock:
            held, users = self._held.get(session.identity, (None, 0))
            if held is not session:
                return  # it belongs to the process this one was forked from
            if users > 1:
                self._held[session.identity] = (session, users - 1)
                return
            del self._held[session.identity]
        session.close()


_sessions = _Sessions()


def _after_fork_in_child() -> None:
    # Connections belong to the parent, whose heartbeat keeps them; the child makes its own.
    global _sessions  # noqa: PLW0603 - the one place where the registry is replaced
    _sessions = _Sessions()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class _Session:
    """Keeps the limit of one gateway, and a link to it, made anew when the old one is gone."""

    def __init__(
        self,
        gateway: GatewayURL,
        key: RsaKey | None,
        identity: _Identity,
        slots: Slots,
        slot_freed: asyncio.Event,
    ) -> None:
        self.gateway = gateway
        self.identity = identity
        self.slots = slots
        self.slot_freed = slot_freed
        self._key = key
        self.lease = background.Lease()
        self._is_closed = False
        self._link: _Link | None = None
        self._connecting: asyncio.Task[_Link] | None = None

    async def request(self, proto_id: int, body: bytes, timeout: float) -> bytes:
        loop = asyncio.get_running_loop()
        # Connect first: a gateway that is down uses no slot and need not be waited for.
        link = await self._connected(timeout)
        await self._take_slot()
        try:
            if link.is_closed:  # while it waited
                link = await self._connected(timeout)
            return await link.request(proto_id, body, timeout)
        finally:
            self.slots.answered(loop.time())
            self.slot_freed.set()

    async def _connected(self, timeout: float) -> _Link:
        if self._is_closed:
            raise GatewayDisconnectedError("closed here")
        if self._link is not None and not self._link.is_closed:
            return self._link
        # Whoever comes while a connection is being made waits for that one, and fails with it.
        if self._connecting is None:
            connecting = _connect(self.gateway, self._key, min(timeout, CONNECT_TIMEOUT_S))
            self._connecting = asyncio.get_running_loop().create_task(connecting)
            self._connecting.add_done_callback(self._keep_link)
        return await asyncio.shield(self._connecting)

    def _keep_link(self, connected: asyncio.Task[_Link]) -> None:
        self._connecting = None
        if not connected.cancelled() and connected.exception() is None:
            self._link = connected.result()
            if self._is_closed:
                self._link.close()

    async def _take_slot(self) -> None:
        loop = asyncio.get_running_loop()
        said = False
        while (wait := self.slots.wait(loop.time())) != 0:
            if wait is not None and not said:
                said = True
                _log.info(
                    "waiting %.1f s: %s allows %s requests", wait, self.gateway, self.slots.limit
                )
            self.slot_freed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.slot_freed.wait(), wait)
        self.slots.take()

    def close(self) -> None:
        self.lease.run(self._close_link())
        self.lease.close()

    async def _close_link(self) -> None:
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.close()


class _Link(asyncio.Protocol):
    """One socket, and the futures that wait for what comes from it."""

    def __init__(self, gateway: GatewayURL, key: RsaKey | None) -> None:
        self._peer = str(gateway)
        self._connection = Connection(self._peer, key, gateway.algorithm)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._last_received = self._loop.time()
        self._error: GatewayError | None = None
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self.ready: asyncio.Future[Ready] = self._loop.create_future()

    @property
    def is_closed(self) -> bool:
        return self._error is not None

    async def request(self, proto_id: int, body: bytes, timeout: float) -> bytes:
        if self._error is not None:
            raise self._error
        serial = self._connection.request(proto_id, body)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._answers[serial] = future
        self._flush()
        try:
            await asyncio.wait({future}, timeout=timeout)
            if not future.done():
                raise GatewayTimeoutError(
                    f"no answer within {timeout:g} s. OpenD may be busy or cut off from its "
                    "servers; a larger timeout= waits longer"
                )
            return future.result()
        finally:
            self._connection.forget(serial)
            self._answers.pop(serial, None)

    def close(self) -> None:
        self._fail(GatewayDisconnectedError(f"the connection to {self._peer} was closed here"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells mypy what TCP gives
        self._transport = transport
        self._connection.open()
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._last_received = self._loop.time()
        self._connection.receive_data(data)
        self._handle_events()

    def eof_received(self) -> None:
        self._connection.receive_eof()
        self._handle_events()

    def connection_lost(self, exc: Exception | None) -> None:
        error = GatewayDisconnectedError(
            f"the connection broke ({exc}). Is OpenD still running, and the network up?"
        )
        error.__cause__ = exc
        self._fail(error)

    def _handle_events(self) -> None:
        for event in self._connection.events_received():
            if isinstance(event, Ready):
                _log.debug("connected to %s: %s", self._peer, event)
                self.ready.set_result(event)
                # More often than asked does no harm; more seldom, silence would prove nothing.
                asked_for = HEARTBEAT_SHARE * event.keep_alive_s
                self._schedule_heartbeat(min(asked_for, SILENCE_S / 3))
            elif isinstance(event, Answer):
                future = self._answers.get(event.serial)
                if future is not None and not future.done():
                    future.set_result(event.body)
            else:
                self._fail(event.error)
        self._flush()

    def _schedule_heartbeat(self, interval: float) -> None:
        self._heartbeat = self._loop.call_later(interval, self._beat, interval)

    def _beat(self, interval: float) -> None:
        if self._loop.time() - self._last_received >= SILENCE_S:
            self._fail(
                GatewayDisconnectedError(f"{self._peer} was silent for {SILENCE_S:g} seconds")
            )
            return
        self._connection.keep_alive(int(time.time()))
        self._flush()
        self._schedule_heartbeat(interval)

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, error: GatewayError) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._answers.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        # Nobody need be waiting for the handshake; asyncio would complain of an error never read.
        if self.ready.done() and not self.ready.cancelled():
            self.ready.exception()


async def _connect(gateway: GatewayURL, key: RsaKey | None, timeout: float) -> _Link:
    """Connect and shake hands, all within `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    sock = await _open_socket(gateway, deadline)
    _, link = await loop.create_connection(lambda: _Link(gateway, key), sock=sock)
    try:
        await asyncio.wait_for(asyncio.shield(link.ready), deadline - loop.time())
    except asyncio.TimeoutError as error:
        link.close()
        raise GatewayTimeoutError(
            f"{gateway} took the connection and did not answer the handshake within {timeout:g} s."
            " Is it OpenD's API port, and is OpenD logged in? It must be set to the RSA key that "
            "rsa_key= names, or to none where none is named"
        ) from error
    except BaseException:
        link.close()
        raise
    return link


async def _open_socket(gateway: GatewayURL, deadline: float) -> socket.socket:
    """Connect to the first address of the gateway's host that takes the connection."""
    loop = asyncio.get_running_loop()
    failures: list[str] = []
    cause: BaseException | None = None
    for family, address in await _resolve(gateway, deadline):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(sock, address), deadline - loop.time())
        except (OSError, asyncio.TimeoutError) as error:
            sock.close()
            cause = error
            failures.append(f"{address[0]}: {str(error) or 'no answer in time'}")
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise _unreachable(gateway, "; ".join(failures)) from cause


_Address = tuple[socket.AddressFamily, Any]  # the family, and what connect() takes for it


async def _resolve(gateway: GatewayURL, deadline: float) -> list[_Address]:
    """Addresses of the gateway's host.

    In a thread of its own, which nobody waits for longer than to the deadline: a resolver can hang
    for minutes, and the loop's own pool of threads would then hold the process open.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[_Address]] = loop.create_future()

    def deliver(result: list[_Address] | OSError) -> None:
        if found.done():
            return
        if isinstance(result, OSError):
            found.set_exception(result)
        else:
            found.set_result(result)

    def look_up() -> None:
        result: list[_Address] | OSError
        try:
            entries = socket.getaddrinfo(gateway.host, gateway.port, type=socket.SOCK_STREAM)
            result = [(entry[0], entry[4]) for entry in entries]
        except OSError as error:
            result = error
        except UnicodeError as error:  # a label that IDNA refuses
            result = OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
            loop.call_soon_threadsafe(deliver, result)

    try:
        # A literal address needs no resolver, and no thread.
        entries = socket.getaddrinfo(
            gateway.host, gateway.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
        return [(entry[0], entry[4]) for entry in entries]
    except (OSError, UnicodeError):
        threading.Thread(target=look_up, name="intake-futu-short-dns", daemon=True).start()
    try:
        return await asyncio.wait_for(found, deadline - loop.time())
    except asyncio.TimeoutError as error:
        raise _unreachable(gateway, f"{gateway.host!r} was not resolved in time") from error
    except OSError as error:
        raise _unreachable(gateway, f"{gateway.host!r} does not resolve: {error}") from error


def _unreachable(gateway: GatewayURL, why: str) -> GatewayUnreachableError:
    return GatewayUnreachableError(
        f"no gateway answers at {gateway} ({why}). Start OpenD, log in, and compare the port with "
        f"its settings; gateway= or ${ENVIRONMENT_VARIABLE} name another one. Without OpenD, "
        f"gateway={SAMPLE_URL!r} serves examples"
    )
