"""The sockets of a gateway. One thread accepts connections, and each connection has its own thread.

A connection reads a frame, answers it, and reads the next one. So a client that floods, or does not
read its answers, delays only itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intake_futu_short.errors import ProtocolError
from intake_futu_short.gateway.responder import ConnectedClient
from intake_futu_short.opend.wire import FrameReader, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intake_futu_short.gateway.responder import Responder
    from intake_futu_short.opend.cipher import RsaKey
    from intake_futu_short.opend.wire import Frame

__all__ = ["Bounds", "Server"]

# A request is some 60 bytes; nobody sends a gateway this much.
MAX_REQUEST_BYTES = 2**16
# Bytes of late answers that may wait on one connection. A page is about 6 KB.
MAX_LATE_BYTES = 2**20
# Seconds that closing waits for threads. Only threads that wait for a slow store take that long.
JOIN_S = 1.0
# Seconds between checks of conditions that no event announces.
TICK_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """Bounds for clients. `Gateway` describes the arguments of the same names."""

    latency_s: float
    max_connections: int
    handshake_s: float
    idle_s: float


class Server:
    """Serves a listening socket, which it owns, until it is closed."""

    def __init__(
        self,
        listening: socket.socket,
        responder: Responder,
        bounds: Bounds,
        key: RsaKey | None,
        *,
        aes_cbc: bool,
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self._responder = responder
        self._bounds = bounds
        self._key = key
        self._aes_cbc = aes_cbc
        self._listening = listening
        listening.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._is_closed = False
        self._pid = os.getpid()
        # Oldest first. Only the thread that accepts connections changes it.
        self._connections: list[_Connection] = []
        self._thread = threading.Thread(
            target=self._take_connections, name="intake-futu-short-gateway", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            self._close_sockets()
            raise

    def close(self) -> None:
        """Stop listening, close every connection, and wait for the threads, within bounds.

        Takes no lock: garbage collection may call it in any thread. In a forked child it closes
        the child's copies of the sockets, and the parent serves on.
        """
        if self._pid != os.getpid():
            self._close_sockets()
            for connection in self._connections:
                connection.sock.close()
            return
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        deadline_s = time.monotonic() + JOIN_S
        _join(self._thread, deadline_s)
        for connection in self._connections:
            _join(connection, deadline_s)

    def _take_connections(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(self._listening, selectors.EVENT_READ)
            while not self._is_closed:
                selector.select()
                try:
                    self._admit(self._listening.accept()[0])
                except (BlockingIOError, ConnectionError):  # nobody, or a client that left
                    pass
                except (OSError, RuntimeError) as error:  # no more files, no more threads
                    _log.warning("a connection could not be taken: %s", error)
                    time.sleep(TICK_S)
        # A forked child's copy would keep the port.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._close_sockets()
        for connection in self._connections:
            connection.hang_up()

    def _admit(self, sock: socket.socket) -> None:
        """Begin a connection. If there are too many, end one that has made no handshake."""
        self._connections = [c for c in self._connections if c.is_alive()]
        in_use = [c for c in self._connections if not c.is_closing]
        if len(in_use) >= self._bounds.max_connections:
            stranger = next((c for c in in_use if not c.client.is_known), None)
            if stranger is None:
                sock.close()
                return
            stranger.hang_up()
        vector = secrets.token_hex(8) if self._aes_cbc else None
        client = ConnectedClient(secrets.randbits(63), secrets.token_hex(8), vector, self._key)
        connection = _Connection(sock, self._responder, client, self._bounds)
        try:
            connection.start()
        except BaseException:
            sock.close()
            raise
        self._connections.append(connection)

    def _close_sockets(self) -> None:
        for sock in (self._listening, self._wake, self._woken):
            sock.close()


def _join(thread: threading.Thread, deadline_s: float) -> None:
    if thread is not threading.current_thread():
        thread.join(max(0.0, deadline_s - time.monotonic()))


class _Connection(threading.Thread):
    """One client's socket. Other answers may overtake a late one."""

    def __init__(
        self, sock: socket.socket, responder: Responder, client: ConnectedClient, bounds: Bounds
    ) -> None:
        super().__init__(name="intake-futu-short-gateway-client", daemon=True)
        self.sock = sock
        self.client = client
        self.is_closing = False
        self._responder = responder
        self._bounds = bounds
        self._deadline_s = time.monotonic() + bounds.handshake_s
        self._late: deque[tuple[float, bytes]] = deque()  # (due time, answer)
        self._late_bytes = 0

    def hang_up(self) -> None:
        """End the connection, from any thread. The connection's own thread closes the socket."""
        self.is_closing = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve()
        except (OSError, ProtocolError) as error:
            # The client left, was too slow, or sent garbage, after which nothing can be trusted.
            _log.debug("a connection ended: %s", error)
        finally:
            self.hang_up()
            self.sock.close()
            self._late.clear()

    def _serve(self) -> None:
        reader = FrameReader(MAX_REQUEST_BYTES)
        frames: Iterator[Frame] = iter(())
        while not self.is_closing:
            now_s = time.monotonic()
            due_s = self._late[0][0] if self._late else self._deadline_s
            if self._late and due_s <= now_s:
                _, answer = self._late.popleft()
                self._late_bytes -= len(answer)
                self._send(answer)
            elif self._deadline_s <= now_s:
                return
            elif self._late_bytes > MAX_LATE_BYTES:
                time.sleep(min(due_s - now_s, TICK_S))
            elif (frame := next(frames, None)) is not None:
                self._take(frame)
            else:
                self.sock.settimeout(min(due_s, self._deadline_s) - now_s)
                with contextlib.suppress(TimeoutError):
                    data = self.sock.recv(MAX_REQUEST_BYTES)
                    if not data:
                        return
                    frames = reader.feed(data)

    def _take(self, frame: Frame) -> None:
        cipher = self.client.cipher  # the handshake replaces it, but is itself answered with RSA
        asked = frame.body if cipher is None else cipher.decrypt(frame.body)
        if asked is None or not frame.is_intact(asked):
            raise ProtocolError("the SHA-1 is not that of the body")
        frame = replace(frame, body=asked)
        try:
            body = self._responder.answer(self.client, frame, unix_s=int(time.time()))
        except Exception:  # noqa: BLE001 - a lookup may raise anything
            _log.exception("a request could not be answered")
            self.hang_up()  # better than to let the client wait
            return
        travelling = None if cipher is None else cipher.encrypt(body)
        answer = encode(frame.proto_id, frame.serial, body, travelling)
        now_s = time.monotonic()
        if self.client.is_known:
            self._deadline_s = now_s + self._bounds.idle_s
        if self._bounds.latency_s and self._responder.gives_rows(frame.proto_id):
            self._late.append((now_s + self._bounds.latency_s, answer))
            self._late_bytes += len(answer)
        else:
            self._send(answer)

    def _send(self, answer: bytes) -> None:
        self.sock.settimeout(max(self._deadline_s - time.monotonic(), TICK_S))
        self.sock.sendall(answer)
