"""The sync face of a gateway, and the only client module with a socket.

Everything in the process that names the same gateway shares one connection to it, made by the
first request and closed with the last `GatewayClient`. Requests of several threads are in flight
together; answers are matched by serial number; all of them, and those of the host's other
processes, keep the gateway's limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import socket
import threading
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from intake_futu_short.errors import (
    GatewayDisconnectedError,
    GatewayError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    RateLimitError,
    ReplyError,
)
from intake_futu_short.opend import background, key_file, replies
from intake_futu_short.opend.address import ENVIRONMENT_VARIABLE, SAMPLE_URL
from intake_futu_short.opend.connection import DAILY_SHORT_VOLUME
from intake_futu_short.opend.link import Link
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.opend.replies import NO_MATTER_OF_THE_CURSOR, CursorRefusedError
from intake_futu_short.opend.session import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from intake_futu_short.opend.address import GatewayURL
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.opend.retry_policy import RetryPolicy
    from intake_futu_short.opend.session import Session
    from intake_futu_short.security import Security

    # The last cursor of each ticker, and the connection that it came over.
    Cursors = dict[Security, tuple[str, Link | None]]

__all__ = ["CONNECT_TIMEOUT_S", "GatewayClient", "host_at"]

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
# A page refused as too frequent is asked for again after a window, so many times in all: five
# minutes of the default limit.
ASKED_AT_MOST = 10


class GatewayClient:
    """Asks one gateway; safe to use from several threads, and again after `close`.

    Making one does no I/O.

    Parameters
    ----------
    gateway : GatewayURL
        Where OpenD listens; not the sample.
    timeout : float
        Seconds to wait for each answer; a connection gets the same, 5 seconds at most.
    on_wait : callable, optional
        Told the seconds to wait, each time that requests of this client begin to wait for the
        gateway's limit. Called from the thread that all connections share: it must not block.
    cursors : dict, optional
        Shared by the clients that take turns at asking for the pages of one ticker.
    seek_s : float, optional
        Seconds that a request waits for a connection that was lost to be made again, for whoever
        may ask elsewhere; None waits as long as it is sought.
    """

    def __init__(
        self,
        gateway: GatewayURL,
        *,
        timeout: float = 12.0,
        on_wait: Callable[[float], None] | None = None,
        cursors: Cursors | None = None,
        seek_s: float | None = None,
    ) -> None:
        self._gateway = gateway
        self._timeout = timeout
        self._on_wait = on_wait
        self._cursors: Cursors = {} if cursors is None else cursors
        self._seek_s = seek_s
        self._locks: dict[int, threading.Lock] = {}  # by process
        self._session: Session | None = None
        # Its own: the session's is shared, and close() ends this client's requests alone.
        self._lease: background.Lease | None = None

    def daily_short_volume(
        self, security: Security, next_key: str | None = None, num: int | None = None
    ) -> DailyShortVolume.S2C:
        """Ask for one page, as soon as the gateway's limit allows.

        A lost connection, a timeout and an answer that cannot be understood are faults that may
        pass: the page is asked for three times in all, and a connection that was lost is sought
        for 30 seconds. The first connection is tried once.

        If the gateway says "too frequent" all the same, since programs that we cannot count use it
        too, nobody on this host asks for a window, and the page is asked for again, ten times in
        all. With ``limit=off`` it is asked for once.

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
            When the connection broke each time before the answer was there, or was closed here.
        GatewayTimeoutError
            When the answer did not come in time.
        ProtocolError
            When what came was not a valid frame or message.
        RateLimitError
            When the gateway still says "too frequent".
        CursorRefusedError
            When it refuses a cursor that it gave over an earlier connection: the gateway may have
            been started again, and a walk has to begin anew.
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
        asked = f"{security} ({page})"
        session, lease = self._acquire()
        times = 1 if self._gateway.limit is None else ASKED_AT_MOST
        while True:
            times -= 1
            try:
                answer = self._page(session, lease, request.SerializeToString(), asked)
            except RateLimitError:
                if not times:
                    raise
            except NO_MATTER_OF_THE_CURSOR:
                raise
            except ReplyError as refusal:
                if self._is_of_a_lost_connection(security, next_key, session):
                    raise CursorRefusedError.of(refusal) from refusal
                raise
            else:
                self._cursors[security] = answer.next_key, session.link
                return answer
            self._run(lease, session.refused, asked)

    def _is_of_a_lost_connection(
        self, security: Security, next_key: str | None, session: Session
    ) -> bool:
        cursor, link = self._cursors.get(security, (None, None))
        return next_key is not None and next_key == cursor and link is not session.link

    def _page(
        self, session: Session, lease: background.Lease, body: bytes, asked: str
    ) -> DailyShortVolume.S2C:
        origin = f"{asked} from {self._gateway}"
        decode = partial(replies.decode, DailyShortVolume.Response, asked=origin)
        ask = partial(
            session.ask,
            DAILY_SHORT_VOLUME,
            body,
            decode,
            what=asked,
            timeout=self._timeout,
            on_wait=self._on_wait,
            seek_s=self._seek_s,
        )
        return self._run(lease, ask, asked).s2c

    def _run(
        self, lease: background.Lease, make: Callable[[], Coroutine[Any, Any, T]], asked: str
    ) -> T:
        origin = f"{asked} from {self._gateway}"
        try:
            return lease.run(make)
        except GatewayError as error:
            # Others may wait on the same connection: each gets an error, and a traceback, of its
            # own that says what it asked for.
            own = copy.copy(error)
            if not str(error).startswith(origin):  # as what decodes the answer says it
                names_gateway = str(self._gateway) in str(error)
                own.args = (f"{asked if names_gateway else origin}: {error}",)
            raise own from error.__cause__
        except CancelledError as error:
            raise GatewayDisconnectedError(f"{origin}: closed here while it waited") from error

    def cancel(self) -> None:
        """End the requests that are under way, which raise GatewayDisconnectedError."""
        lease = self._lease
        if lease is not None:
            lease.cancel()

    def close(self) -> None:
        """End the requests under way, and let go of the connection; its last client closes it."""
        with self._alone():
            session, self._session = self._session, None
            lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()
        if session is not None:
            _sessions.release(session)

    def _acquire(self) -> tuple[Session, background.Lease]:
        with self._alone():
            if self._session is None or self._lease is None or not self._lease.usable:
                path = self._gateway.rsa_key
                key = None if path is None else key_file.read(path)
                self._session = _sessions.acquire(self._gateway, key)
                self._lease = background.Lease()
            return self._session, self._lease

    def _alone(self) -> threading.Lock:
        """Lock of the session; a forked child, whose parent may have held it, has its own."""
        return self._locks.setdefault(os.getpid(), threading.Lock())


async def _connect(
    gateway: GatewayURL, key: RsaKey | None, timeout: float, policy: RetryPolicy
) -> Link:
    """Connect and shake hands, all within `timeout` seconds or five."""
    timeout = min(timeout, CONNECT_TIMEOUT_S)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    sock = await _open_socket(gateway, deadline)
    host = host_at(sock)
    _, link = await loop.create_connection(lambda: Link(gateway, key, host, policy), sock=sock)
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


def host_at(sock: socket.socket) -> str:
    """Address at the other end; of this host itself always the same one."""
    try:
        peer, own = sock.getpeername()[0], sock.getsockname()[0]
    except OSError:  # gone already, which the handshake finds out
        return "gone"
    return "127.0.0.1" if peer == own else str(peer).removeprefix("::ffff:")


async def _open_socket(gateway: GatewayURL, deadline: float) -> socket.socket:
    """Connect to the first address of the gateway's host that takes the connection."""
    loop = asyncio.get_running_loop()
    failures: list[str] = []
    cause: BaseException | None = None
    addresses = await _resolve(gateway, deadline)
    for left, (family, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            # An address that swallows packets leaves the later ones their share of the time.
            share = (deadline - loop.time()) / left
            await asyncio.wait_for(loop.sock_connect(sock, address), share)
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


_sessions = Sessions(_connect)


def _after_fork_in_child() -> None:
    # Connections belong to the parent, whose heartbeat keeps them; the child makes its own.
    global _sessions  # noqa: PLW0603 - the one place where the registry is replaced
    _sessions = Sessions(_connect)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
