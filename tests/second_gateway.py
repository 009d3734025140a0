"""A gateway that the package has no part in: the judge of its client.

It speaks with the official client's message classes, packs headers by itself, blocks on plain
sockets in plain threads, and refuses every frame that is not exactly as the protocol has it.
A script (any function of an `Exchange`) may alter, delay, double or swallow an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from second_rank import RankQuery, RankRow, RefusedError, in_order, rank_body, rank_query
from second_rows import DAILY_SHORT_VOLUME, FIELDS_OF, SHORT_INTEREST, History, Row

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

INIT_CONNECT = 1001
KEEP_ALIVE = 1004
SHORT_SELLING_RANK = 3415

HEADER = struct.Struct("<1s1sI2B2I20s8s")
RESERVED = bytes(8)
# A guard against hangs, never a measure of speed.
PATIENCE_S = 30.0

MARKETS = {"HK": 1, "US": 11}
MODULES = {
    DAILY_SHORT_VOLUME: "Qot_GetDailyShortVolume_pb2",
    SHORT_INTEREST: "Qot_GetShortInterest_pb2",
    SHORT_SELLING_RANK: "Qot_GetShortSellingRank_pb2",
}


class PacketCipher(Protocol):
    """Somebody's encryption of bodies; `key` and `iv` are what the handshake names."""

    key: str
    iv: str | None

    def encrypt(self, proto_id: int, plaintext: bytes) -> bytes: ...
    def decrypt(self, proto_id: int, body: bytes) -> bytes: ...


def official(module: str) -> Any:
    """A module of the official client's messages, such as ``InitConnect_pb2``.

    Loaded without the package around them, whose import takes over Ctrl-C and writes log files.
    """
    spec = importlib.util.find_spec("futu")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = str(Path(spec.submodule_search_locations[0], "common", "pb"))
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(module)


@dataclass(frozen=True)
class Query:
    """One request for a page of rows, as it arrived; None for what was absent."""

    code: str
    next_key: str | None
    num: int | None
    connection: int
    arrived: float  # on the monotonic clock
    proto_id: int = DAILY_SHORT_VOLUME


@dataclass(frozen=True)
class Exchange:
    """One request, the frame that answers it, and the connection to do as one likes with.

    `number` counts the requests of this protocol over the whole gateway, from 1.
    """

    number: int
    proto_id: int
    serial: int
    answer: bytes
    connection: socket.socket
    query: Query | None = None
    rank_query: RankQuery | None = None

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client may be gone: its business
            self.connection.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Script = Callable[[Exchange], None]
Reorder = Callable[[RankQuery, list[RankRow]], list[RankRow]]


def as_it_is(_: RankQuery, rows: list[RankRow]) -> list[RankRow]:
    """Leave the order of a rank alone."""
    return rows


def obliging(exchange: Exchange) -> None:
    """Send the right answer."""
    exchange.send(exchange.answer)


def silent(_: Exchange) -> None:
    """Send nothing."""


def silent_after_the_handshake(exchange: Exchange) -> None:
    """Shake hands, and then send nothing."""
    if exchange.proto_id == INIT_CONNECT:
        exchange.send(exchange.answer)


def sha1_of(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def frame(
    proto_id: int,
    serial: int,
    body: bytes,
    *,
    sha1: bytes | None = None,
    length: int | None = None,
    body_format: int = 0,
    version: int = 0,
) -> bytes:
    """One frame; what is given instead of what would be right makes it a wrong one.

    On an encrypted connection the SHA-1 is that of the plaintext.
    """
    digest = sha1_of(body) if sha1 is None else sha1
    size = len(body) if length is None else length
    head = HEADER.pack(b"F", b"T", proto_id, body_format, version, serial, size, digest, RESERVED)
    return head + body


def init_connect_body(
    keep_alive_interval: int = 10,
    connection_id: int = 7474749583963343045,
    key: str = "0123456789ABCDEF",
    iv: str | None = None,
) -> bytes:
    response = official("InitConnect_pb2").Response(retType=0, retMsg="")
    response.s2c.serverVer = 1011
    response.s2c.loginUserID = 0
    response.s2c.connID = connection_id
    response.s2c.connAESKey = key
    if iv is not None:
        response.s2c.aesCBCiv = iv
    response.s2c.keepAliveInterval = keep_alive_interval
    return bytes(response.SerializeToString())


def refusal_body(message: str, ret_type: int = -1) -> bytes:
    response = official("Qot_GetDailyShortVolume_pb2").Response(retType=ret_type, retMsg=message)
    return bytes(response.SerializeToString())


class SecondGateway:
    """Serves histories on a free port of 127.0.0.1, as a context manager.

    Parameters
    ----------
    histories
        By whole code.
    script
        What becomes of each answer.
    cursor
        ``"offset"``: the number of rows given so far; ``"timestamp"``: Unix seconds of the oldest
        row given, which every row then needs.
    keep_alive_interval
        Seconds, as the handshake names them.
    cipher
        What every body is enciphered and deciphered with; None leaves them plain.
    port
        Where to listen; 0 takes a free one.
    short_interest
        Rows of short interest, newest first, by whole code.
    rank
        Rows to be ranked, as of `second_rank.make_ranked`, by market.
    plates
        Codes of the securities of each plate.
    reorder
        What becomes of all rows in order before some of them answer a query for the rank.
    tells_count
        Whether answers with ranks say how many rows there are.
    limits
        By protocol: how many requests are answered within how many seconds.
    """

    def __init__(
        self,
        histories: Mapping[str, History] | None = None,
        script: Script = obliging,
        *,
        cursor: str = "offset",
        keep_alive_interval: int = 10,
        cipher: PacketCipher | None = None,
        port: int = 0,
        short_interest: Mapping[str, Sequence[Row]] | None = None,
        rank: Mapping[str, Sequence[RankRow]] | None = None,
        plates: Mapping[str, set[str]] | None = None,
        reorder: Reorder = as_it_is,
        tells_count: bool = True,
        limits: Mapping[int, tuple[int, float]] | None = None,
    ) -> None:
        self.histories = dict(histories or {})
        self.short_interest = {
            code: History(code.partition(".")[0], rows)
            for code, rows in (short_interest or {}).items()
        }
        self.rank = dict(rank or {})
        self.plates = dict(plates or {})
        self.reorder = reorder
        self.tells_count = tells_count
        self.limits = dict(limits or {})
        self.rank_queries: list[RankQuery] = []
        self._arrivals: dict[int, list[float]] = {}
        self.script = script
        self.cursor = cursor
        self.keep_alive_interval = keep_alive_interval
        self.cipher = cipher
        self.frames: list[bytes] = []  # every frame as it came
        self.queries: list[Query] = []
        self.init_connects: list[Any] = []
        self.keep_alives: list[Any] = []
        self.complaints: list[str] = []
        self.connections = 0
        self.open_connections: dict[int, socket.socket] = {}
        self.closing = threading.Event()
        self._changed = threading.Condition(threading.RLock())
        self._counts: dict[int, int] = {}
        self._server = _Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"opend://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._shut_down(socket.SHUT_RDWR)
        self._server.server_close()  # joins the threads of the connections
        self._thread.join()
        if error is None:
            assert self.complaints == []

    def hang_up(self) -> None:
        """Close every connection, and wait until the clients have taken notice."""
        self._shut_down(socket.SHUT_WR)
        self.wait_until(lambda: not self.open_connections)

    def _shut_down(self, how: int) -> None:
        with self._changed:
            for connection in self.open_connections.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(how)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to have arrived here."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), "it never came"

    # -- one connection, in its own thread --------------------------------------------------

    def serve(self, connection: socket.socket) -> None:
        with self._changed:
            self.connections += 1
            number = self.connections
            self.open_connections[number] = connection
            self._changed.notify_all()
        if self.closing.is_set():
            self._shut_down(socket.SHUT_RDWR)  # it came after the others were closed
        try:
            for proto_id, serial, body in self._frames(connection):
                self.script(self._exchange(connection, number, proto_id, serial, body))
        except OSError:
            pass  # reset by the client
        finally:
            with self._changed:
                del self.open_connections[number]
                self._changed.notify_all()

    def _frames(self, connection: socket.socket) -> Iterator[tuple[int, int, bytes]]:
        shaken_hands = False
        while head := _receive(connection, HEADER.size):
            assert len(head) == HEADER.size, "the client closed in mid-header"
            f, t, proto_id, body_format, version, serial, length, sha1, reserved = HEADER.unpack(
                head
            )
            body = _receive(connection, length)
            assert (f + t, body_format, version, reserved) == (b"FT", 0, 0, RESERVED), head
            plaintext = body if self.cipher is None else self.cipher.decrypt(proto_id, body)
            assert sha1_of(plaintext) == sha1, "wrong SHA-1"
            assert (proto_id == INIT_CONNECT) is not shaken_hands, f"{proto_id} out of order"
            shaken_hands = True
            self.frames.append(head + body)
            yield proto_id, serial, plaintext

    def _exchange(
        self, connection: socket.socket, number: int, proto_id: int, serial: int, body: bytes
    ) -> Exchange:
        with self._changed:
            query: Query | None = None
            ranking: RankQuery | None = None
            if proto_id == INIT_CONNECT:
                self.init_connects.append(official("InitConnect_pb2").Request.FromString(body).c2s)
                answer = self._init_connect_body()
            elif proto_id == KEEP_ALIVE:
                messages = official("KeepAlive_pb2")
                c2s = messages.Request.FromString(body).c2s
                self.keep_alives.append(c2s)
                response = messages.Response(retType=0, s2c=messages.S2C(time=c2s.time))
                answer = response.SerializeToString()
            elif proto_id == SHORT_SELLING_RANK:
                messages = official(MODULES[proto_id])
                count = len(self.rank_queries) + 1
                ranking = rank_query(messages, body, count, number, time.monotonic())
                self.rank_queries.append(ranking)
                answer = self._refused(proto_id) or self.ranked(ranking)
            else:
                assert proto_id in FIELDS_OF, proto_id
                query = _query(proto_id, body, number)
                self.queries.append(query)
                asked = (query.code, query.next_key, query.num)
                is_volume = proto_id == DAILY_SHORT_VOLUME
                page = self.page if is_volume else self.interest_page
                answer = self._refused(proto_id) or page(*asked)
            self._counts[proto_id] = self._counts.get(proto_id, 0) + 1
            self._changed.notify_all()
            return Exchange(
                self._counts[proto_id],
                proto_id,
                serial,
                self._answer(proto_id, serial, answer),
                connection,
                query,
                ranking,
            )

    def _init_connect_body(self) -> bytes:
        if self.cipher is None:
            return init_connect_body(self.keep_alive_interval)
        return init_connect_body(self.keep_alive_interval, key=self.cipher.key, iv=self.cipher.iv)

    def _answer(self, proto_id: int, serial: int, plaintext: bytes) -> bytes:
        if self.cipher is None:
            return frame(proto_id, serial, plaintext)
        body = self.cipher.encrypt(proto_id, plaintext)
        return frame(proto_id, serial, body, sha1=sha1_of(plaintext))

    def _refused(self, proto_id: int) -> bytes | None:
        """The refusal of a request beyond the limit; such a one does not count."""
        if proto_id not in self.limits:
            return None
        number, seconds = self.limits[proto_id]
        now = time.monotonic()
        recent = [moment for moment in self._arrivals.get(proto_id, []) if now - moment <= seconds]
        self._arrivals[proto_id] = recent
        if len(recent) >= number:
            return refusal_body(
                f"request is too frequent, no more than {number} times every {seconds:g} seconds"
            )
        recent.append(now)
        return None

    def ranked(self, query: RankQuery) -> bytes:
        """The body that answers a query for the rank."""
        try:
            rows = in_order(query, self.rank, self.plates)
        except RefusedError as refusal:
            return refusal_body(str(refusal))
        rows = self.reorder(query, rows)
        messages = official(MODULES[SHORT_SELLING_RANK])
        return rank_body(messages, rows, query, tells_count=self.tells_count)

    def page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        """The body that answers a query, as the live gateway is known to answer it."""
        return self._page(DAILY_SHORT_VOLUME, self.histories.get(code), code, next_key, num)

    def interest_page(self, code: str, next_key: str | None, num: int | None) -> bytes:
        """The body that answers a query for short interest, in the same manner."""
        return self._page(SHORT_INTEREST, self.short_interest.get(code), code, next_key, num)

    def _page(
        self,
        proto_id: int,
        history: History | None,
        code: str,
        next_key: str | None,
        num: int | None,
    ) -> bytes:
        if history is None:
            return refusal_body(f"Unknown stock. {code.partition('.')[2]}")
        size = 10 if num is None else num
        if next_key is not None and not next_key.isdecimal():
            return refusal_body("invalid nextKey")
        begin = self._begin(history, next_key)
        rows = history.rows[begin : begin + size]
        response = official(MODULES[proto_id]).Response(retType=0, retMsg="")
        items = response.s2c.usItemList if history.market == "US" else response.s2c.hkItemList
        for row in rows:
            items.add(**row)
        for name, value in history.aggregates.items():
            setattr(response.s2c, name, value)
        response.s2c.nextKey = self._next_key(begin, rows) if len(rows) == size else "-1"
        return bytes(response.SerializeToString())

    def _begin(self, history: History, next_key: str | None) -> int:
        if next_key is None:
            return 0
        if self.cursor == "offset":
            return int(next_key)
        return sum(int(row["timestamp"]) >= int(next_key) for row in history.rows)

    def _next_key(self, begin: int, rows: Sequence[Row]) -> str:
        return str(begin + len(rows) if self.cursor == "offset" else rows[-1]["timestamp"])


def _query(proto_id: int, body: bytes, connection: int) -> Query:
    c2s = official(MODULES[proto_id]).Request.FromString(body).c2s
    market = {number: name for name, number in MARKETS.items()}[c2s.security.market]
    return Query(
        f"{market}.{c2s.security.code}",
        c2s.nextKey if c2s.HasField("nextKey") else None,
        c2s.num if c2s.HasField("num") else None,
        connection,
        time.monotonic(),
        proto_id,
    )


def _receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the connection ends."""
    data = bytearray()
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return bytes(data)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.gateway.serve(self.request)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    allow_reuse_address = True  # a gateway that comes back
    request_queue_size = 128

    def __init__(self, gateway: SecondGateway, port: int) -> None:
        self.gateway = gateway
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.gateway.complaints.append(repr(sys.exc_info()[1]))
