"""A gateway on loopback that serves rows from files: ``sample://``, replay, tests.

Clients speak to it as to OpenD: over TCP, with the same frames and messages. `responder` decides
what is answered; here are the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from intake_futu_short import arguments
from intake_futu_short.errors import ConfigError, GatewayError, ProtocolError
from intake_futu_short.gateway.aside import Aside
from intake_futu_short.gateway.histories import History, read_histories, sample_histories
from intake_futu_short.gateway.listening import check_host, listen
from intake_futu_short.gateway.responder import (
    ConnectedClient,
    Request,
    Responder,
)
from intake_futu_short.opend import background, key_file
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.connection import DAILY_SHORT_VOLUME
from intake_futu_short.opend.wire import FrameReader, encode

if TYPE_CHECKING:
    import os
    import socket
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from intake_futu_short.opend.cipher import Cipher, RsaKey
    from intake_futu_short.opend.wire import Frame

__all__ = ["Gateway", "History", "Request", "read_histories", "sample_histories"]

# OpenD takes as many.
MAX_CONNECTIONS = 128
# A request is some 60 bytes; nobody sends a gateway this much.
MAX_REQUEST_BYTES = 2**16


class Gateway:
    """Serves histories over the protocol of OpenD.

    Making one does no I/O. It runs between `start` and `close`, or within ``with``; then again
    after the next `start`.

    Parameters
    ----------
    histories : mapping of str to History
        By code. Looked up at every request: an entry may be replaced while the gateway runs. One
        with an attribute ``blocks`` that is true is asked in a thread of its own.
    host : str
        A loopback address, unless `allow_remote`.
    port : int
        TCP port; 0 takes a free one at every start.
    limit : (int, float), optional
        So many requests for daily short volume within so many seconds, over all connections; the
        next is refused in OpenD's words. OpenD's own are ``(30, 30.0)``. None: no limit.
    latency_s : float
        Seconds by which each answer with rows is late; other requests do not wait for it.
    max_connections : int
        Connections at once; further ones are closed.
    clock : callable
        Seconds that never go back, for `limit` and `requests`.
    rsa_key : str or path, optional
        File with the RSA private key (PEM) that encrypts every connection, read at every start; a
        client without the same key is turned away. None: nothing is encrypted.
    allow_remote : bool
        Take another `host` too, such as ``"0.0.0.0"``. Everybody who reaches the port then reads
        everything: the protocol knows no password.
    aes_cbc : bool
        False: like an OpenD that does not know AES_CBC; who asks for it gets FTAES_ECB.

    Raises
    ------
    ConfigError
        When an argument cannot work.
    """

    def __init__(
        self,
        histories: Mapping[str, History],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limit: tuple[int, float] | None = None,
        latency_s: float = 0.0,
        max_connections: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
        rsa_key: str | os.PathLike[str] | None = None,
        allow_remote: bool = False,
        aes_cbc: bool = True,
    ) -> None:
        check_host(host, allow_remote=allow_remote)
        if type(port) is not int or not 0 <= port <= 65535:
            raise ConfigError(f"port must be a whole number from 0 to 65535, not {port!r}")
        if limit is not None and not _is_limit(limit):
            raise ConfigError(f"limit must be (requests, seconds), both above 0, not {limit!r}")
        if not _is_at_least(latency_s, 0):
            raise ConfigError(f"latency_s must be 0 or more seconds, not {latency_s!r}")
        if not _is_at_least(max_connections, 1):
            raise ConfigError(f"max_connections must be 1 or more, not {max_connections!r}")
        self.host = host
        self._wanted_port = port
        self._responder = Responder(histories, limit)
        self._blocks: bool = getattr(histories, "blocks", False)
        self._latency_s = latency_s
        self._max_connections = max_connections
        self._clock = clock
        self._rsa_key = arguments.rsa_key(rsa_key)
        self._aes_cbc = aes_cbc
        self._key: RsaKey | None = None
        self._lock = threading.Lock()
        self._run: _Run | None = None

    @property
    def port(self) -> int:
        """TCP port it listens on; while it does not run, the one it was made with."""
        run = self._run
        return self._wanted_port if run is None else run.port

    @property
    def url(self) -> str:
        """What ``gateway=`` takes, such as ``"opend://127.0.0.1:52431"``."""
        return str(GatewayURL(self.host, self.port, rsa_key=self._rsa_key))

    @property
    def requests(self) -> list[Request]:
        """Requests for daily short volume as they arrived, over all runs; the newest 100,000."""
        return list(self._responder.requests)

    def start(self) -> Self:
        """Listen. Harmless when it runs already.

        Raises
        ------
        GatewayError
            When the port cannot be had.
        ConfigError
            When the RSA key cannot be used.
        """
        with self._lock:
            if self._run is None:
                self._key = None if self._rsa_key is None else key_file.read(self._rsa_key)
                try:
                    listening = listen(self.host, self._wanted_port)
                except OSError as error:
                    raise GatewayError(f"cannot listen at {self.url}: {error}") from error
                try:
                    self._run = _Run(listening, self._new_connection, blocks=self._blocks)
                except BaseException:
                    listening.close()
                    raise
        return self

    def close(self) -> None:
        """Stop listening and close every connection. Harmless when done twice."""
        with self._lock:
            run, self._run = self._run, None
            if run is not None:
                run.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _new_connection(self, run: _Run) -> _Connection:
        client = ConnectedClient(
            secrets.randbits(63),
            secrets.token_hex(8),
            secrets.token_hex(8) if self._aes_cbc else None,
            self._key,
        )
        return _Connection(
            run,
            self._responder,
            client,
            self._clock,
            latency_s=self._latency_s,
            max_connections=self._max_connections,
        )


def _is_limit(limit: Any) -> bool:
    try:
        count, seconds = limit
    except (TypeError, ValueError):
        return False
    return _is_at_least(count, 1) and _is_at_least(seconds, 0) and seconds != 0


def _is_at_least(number: Any, least: float) -> bool:
    try:
        return bool(number >= least)
    except TypeError:  # it is none
        return False


class _Run:
    """A gateway between start and close: its socket, and the connections that came of it."""

    def __init__(
        self,
        listening: socket.socket,
        new_connection: Callable[[_Run], _Connection],
        *,
        blocks: bool,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self.aside = Aside() if blocks else None
        self.connections: set[_Connection] = set()
        self.is_closing = False
        self._listening = listening
        self._lease = background.Lease()
        try:
            self._server = self._lease.run(lambda: self._serve(new_connection))
        except BaseException:
            self._lease.close()
            raise

    async def _serve(self, new_connection: Callable[[_Run], _Connection]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: new_connection(self), sock=self._listening)

    def close(self) -> None:
        if self.aside is not None:
            self.aside.close()
        if self._lease.usable:
            self._lease.run(self._hang_up)
            self._lease.close()
        else:
            # Forked: the connections are the parent's, and so is the port once this copy of the
            # socket no longer holds it.
            self._listening.close()

    async def _hang_up(self) -> None:
        self.is_closing = True
        # A connection just taken must find its server open, or asyncio complains: no more are
        # taken, and those get the two turns of the loop that they need.
        with contextlib.suppress(NotImplementedError):  # Windows' loop, which doesn't need it
            asyncio.get_running_loop().remove_reader(self._listening)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._server.close()
        for connection in self.connections:
            connection.abort()
        while self.connections:  # noqa: ASYNC110 - an abort is over after the loop's next turn
            await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    """One client's socket. Answers go out as they are ready, not in the order of the requests."""

    def __init__(
        self,
        run: _Run,
        responder: Responder,
        client: ConnectedClient,
        clock: Callable[[], float],
        *,
        latency_s: float,
        max_connections: int,
    ) -> None:
        self._run = run
        self._responder = responder
        self._clock = clock
        self._latency_s = latency_s
        self._max_connections = max_connections
        self._reader = FrameReader(MAX_REQUEST_BYTES)
        self._client = client
        self._transport: asyncio.Transport  # there is none before connection_made

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells mypy what TCP gives
        self._transport = transport
        if self._run.is_closing or len(self._run.connections) >= self._max_connections:
            transport.abort()
        self._run.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._handle(frame)
        except ProtocolError:
            # Nothing that follows can be trusted, and an answer would have no serial number.
            self._transport.close()

    # A client that sends and does not read is not read either, so that its answers do not pile up.
    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def _handle(self, frame: Frame) -> None:
        cipher = self._client.cipher  # the handshake, which is still RSA's, changes it
        asked = frame.body if cipher is None else cipher.decrypt(frame.body)
        if asked is None or not frame.is_intact(asked):
            raise ProtocolError("the SHA-1 is not that of the body")
        answer = partial(
            self._responder.answer,
            self._client,
            replace(frame, body=asked),
            arrived_s=self._clock(),
            unix_s=int(time.time()),
        )
        if self._run.aside is not None and frame.proto_id == DAILY_SHORT_VOLUME:
            self._run.aside.run(answer, partial(self._reply, frame, cipher))
        else:
            self._reply(frame, cipher, answer())

    def _reply(self, frame: Frame, cipher: Cipher | None, body: bytes | None) -> None:
        if body is None:  # better than to let the client wait
            self.abort()
            return
        travelling = None if cipher is None else cipher.encrypt(body)
        answer = encode(frame.proto_id, frame.serial, body, travelling)
        if self._latency_s and frame.proto_id == DAILY_SHORT_VOLUME:
            asyncio.get_running_loop().call_later(self._latency_s, self._send, answer)
        else:
            self._send(answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)
