"""What a gateway answers: a frame → the body of the answer. Pure.

Histories, times and identities are handed in; `server` has the sockets.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import sys
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from intake_futu_short.errors import StoreError
from intake_futu_short.opend.cipher import Aes, Algorithm
from intake_futu_short.opend.connection import INIT_CONNECT, KEEP_ALIVE
from intake_futu_short.opend.messages_pb2 import InitConnect, KeepAlive
from intake_futu_short.opend.replies import OK, text
from intake_futu_short.opend.wire import PROTOBUF
from intake_futu_short.security import MARKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from intake_futu_short.calls import Call
    from intake_futu_short.gateway.histories import History
    from intake_futu_short.opend.cipher import Cipher
    from intake_futu_short.opend.wire import Frame

__all__ = ["ConnectedClient", "Request", "Responder"]

FAILED = -1
END = "-1"
SERVER_VERSION = 1011  # 10.11: the protocol counts 100 * major + minor
KEEP_ALIVE_S = 10
DEFAULT_NUM = 10

# No code or cursor is as long, but a request has room for 64 KB of them.
MAX_TEXT = 256
# What of them a refusal repeats.
MAX_SHOWN = 64
# About 100,000 ordinary requests.
MAX_REMEMBERED_BYTES = 32 * 2**20

_CHECK_BYTES = 5
_MARKETS_BY_NUMBER = {market.number: market for market in MARKETS.values()}

_log = logging.getLogger(__name__)


@dataclass
class ConnectedClient:
    """The client at the other end of one connection."""

    connection_id: int
    # 16 characters each. The handshake names a key even where nothing is encrypted. Without a
    # vector AES_CBC is not offered, as by an old OpenD.
    aes_key: str
    aes_cbc_iv: str | None = None
    # The RSA key until InitConnect has been answered, AES from then on; None encrypts nothing.
    cipher: Cipher | None = None
    # Whether InitConnect has been answered.
    is_known: bool = False


@dataclass(frozen=True)
class Request:
    """A request for rows that arrived, whatever the answer was.

    Attributes
    ----------
    arrived_s : float
        Seconds on the gateway's clock.
    code : str
        Market and symbol, cut after 256 characters. A market other than US and HK is given by its
        number.
    next_key : str or None
        Cursor, cut after 256 characters; None when the request carried none.
    num : int or None
        Rows a page; None when the request left it open.
    """

    arrived_s: float
    code: str
    next_key: str | None
    num: int | None


class _RefusedError(Exception):
    """The answer is no, in these words."""


class Responder:
    """Answers one frame after the other, of any number of clients, in any threads.

    Parameters
    ----------
    served : mapping of Call to mapping of str to History
        The calls that are answered, and the histories of each by code. A history is looked up at
        every request, so that a trading day may be added meanwhile.
    limit : (int, float), optional
        Requests that are answered within how many seconds, of each call and over all clients. A
        request that is refused for this reason does not count; one refused for another does.
    clock : callable
        Seconds that never go back.
    lock : context manager
        Lets one thread at a time count and remember; never held during a lookup.
    """

    def __init__(
        self,
        served: Mapping[Call, Mapping[str, History]],
        limit: tuple[int, float] | None,
        clock: Callable[[], float],
        lock: AbstractContextManager[Any],
    ) -> None:
        self._served = {call.proto_id: (call, histories) for call, histories in served.items()}
        self._limit = limit
        self._clock = clock
        self._lock = lock  # guards the next three
        self._arrivals: dict[str, deque[float]] = {call.name: deque() for call in served}
        self._requests: deque[Request] = deque()
        self._remembered_bytes = 0
        self._complaint = ""

    @property
    def requests(self) -> list[Request]:
        """The newest requests for rows, in the order of their arrival."""
        with self._lock:
            return list(self._requests)

    def gives_rows(self, proto_id: int) -> bool:
        """Whether answers under this protocol id hold rows."""
        return proto_id in self._served

    def answer(self, client: ConnectedClient, frame: Frame, *, unix_s: int) -> bytes:
        """Body of the answer to an intact, decrypted frame; `unix_s` is the time of day."""
        try:
            answer = self._answer(client, frame, unix_s)
        except _RefusedError as refusal:
            # The fields of a refusal are the same in every response of the protocol.
            answer = InitConnect.Response(ret_type=FAILED, ret_msg=str(refusal))
        body: bytes = answer.SerializeToString()
        return body

    def _answer(self, client: ConnectedClient, frame: Frame, unix_s: int) -> Any:
        if frame.body_format != PROTOBUF:
            raise _RefusedError("only protobuf bodies (format 0) are supported")
        if frame.proto_id == INIT_CONNECT:
            return _init_connect(client, _c2s(InitConnect, frame.body, "handshake"))
        if not client.is_known:
            raise _RefusedError("InitConnect first")
        if frame.proto_id == KEEP_ALIVE:
            _c2s(KeepAlive, frame.body, "heartbeat")
            return KeepAlive.Response(ret_type=OK, s2c=KeepAlive.S2C(time=unix_s))
        if frame.proto_id in self._served:
            return self._rows(*self._served[frame.proto_id], frame.body)
        raise _RefusedError("unsupported protocol")

    def _rows(self, call: Call, histories: Mapping[str, History], body: bytes) -> Any:
        c2s = _c2s(call.messages, body, f"request for {call.title}")
        market = _MARKETS_BY_NUMBER.get(c2s.security.market)
        symbol = text(c2s.security.code)
        code = f"{market.name if market else c2s.security.market}.{symbol}"
        next_key = text(c2s.next_key) if c2s.HasField("next_key") else None
        num = c2s.num if c2s.HasField("num") else None
        self._admit(call, code[:MAX_TEXT], None if next_key is None else next_key[:MAX_TEXT], num)
        if market is None:
            raise _RefusedError("Only HK and US stocks and funds are supported")
        history = self._look_up(histories, code) if len(code) <= MAX_TEXT else None
        if history is None:
            raise _RefusedError(f"Unknown stock. {symbol[:MAX_SHOWN]}")
        num = DEFAULT_NUM if num is None else num
        if not 1 <= num <= call.max_rows:
            raise _RefusedError(f"num must be from 1 to {call.max_rows}, not {num}")
        first = _first_row(call, code, history, next_key)
        rows = history.rows[first : first + num]
        table = call.table(market)
        s2c = call.messages.S2C()
        items = getattr(s2c, table.field)
        for row in rows:
            items.add(**row)  # protobuf leaves None out
        # As on a live gateway, a full page does not tell whether it is the last.
        is_full = len(rows) == num
        s2c.next_key = _cursor(call, code, history.days[first + num - 1]) if is_full else END
        for name in table.attr_names:
            if getattr(history, name) is not None:
                setattr(s2c, name, getattr(history, name))
        return call.messages.Response(ret_type=OK, s2c=s2c)

    def _admit(self, call: Call, code: str, next_key: str | None, num: int | None) -> None:
        """Remember a request, and refuse it when the limit has no room for it."""
        with self._lock:
            request = Request(self._clock(), code, next_key, num)
            self._requests.append(request)
            self._remembered_bytes += _bytes(request)
            while self._remembered_bytes > MAX_REMEMBERED_BYTES:
                self._remembered_bytes -= _bytes(self._requests.popleft())
            if self._limit is None:
                return
            count, seconds = self._limit
            arrivals = self._arrivals[call.name]
            # More than so many seconds must lie between the first request and the next one.
            while arrivals and request.arrived_s - arrivals[0] > seconds:
                arrivals.popleft()
            if len(arrivals) < count:
                arrivals.append(request.arrived_s)
                return
        raise _RefusedError(
            f"Get {call.title} is too frequent, request failed, "
            f"no more than {count} times every {seconds:g} seconds."
        )

    def _look_up(self, histories: Mapping[str, History], code: str) -> History | None:
        try:
            return histories.get(code)
        except StoreError as error:
            # Its words may name files of this host. Who asks again and again fills no log.
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("%a cannot be served: %s", code, error)
            raise _RefusedError(
                f"{code[:MAX_SHOWN]} cannot be served now; the log of this gateway says why"
            ) from error


def _bytes(request: Request) -> int:
    """Memory that a request takes, roughly."""
    return 200 + sys.getsizeof(request.code) + sys.getsizeof(request.next_key)


def _c2s(messages: Any, body: bytes, what: str) -> Any:
    """Content of a request."""
    request = messages.Request()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise _RefusedError(f"the body is not a {what}") from error
    if not request.IsInitialized():
        raise _RefusedError(f"the body is not a {what}")
    return request.c2s


def _init_connect(client: ConnectedClient, c2s: InitConnect.C2S) -> InitConnect.Response:
    s2c = InitConnect.S2C(
        server_ver=SERVER_VERSION,
        login_user_id=0,
        conn_id=client.connection_id,
        conn_aes_key=client.aes_key,
        keep_alive_interval=KEEP_ALIVE_S,
    )
    if client.cipher is not None:
        if c2s.packet_enc_algo not in set(Algorithm):
            raise _RefusedError(
                f"packetEncAlgo must be one of {[*map(int, Algorithm)]}, not {c2s.packet_enc_algo}"
            )
        algorithm, vector = Algorithm(c2s.packet_enc_algo), b""
        if algorithm is Algorithm.AES_CBC and client.aes_cbc_iv is None:
            algorithm = Algorithm.FTAES_ECB
        elif algorithm is Algorithm.AES_CBC and client.aes_cbc_iv is not None:
            s2c.aes_cbc_iv = client.aes_cbc_iv
            vector = client.aes_cbc_iv.encode()
        client.cipher = Aes(algorithm, client.aes_key.encode(), vector)
    client.is_known = True
    return InitConnect.Response(ret_type=OK, s2c=s2c)


def _first_row(call: Call, code: str, history: History, next_key: str | None) -> int:
    """Index of the newest row behind a cursor. None and "" stand for the newest page."""
    if not next_key:
        return 0
    if next_key == END:
        return len(history.rows)
    try:
        day = base64.urlsafe_b64decode(next_key)[:-_CHECK_BYTES].decode()
    except ValueError:  # no base64, or its content is no text
        day = ""
    if _cursor(call, code, day) != next_key:
        raise _RefusedError("invalid nextKey")
    return len(history.days) - bisect_left(history.days[::-1], day)


def _cursor(call: Call, code: str, day: str) -> str:
    """Cursor to the rows older than a day: it stays right when a newer day is added meanwhile.

    It is encoded so that nobody reads or makes one, and a checksum binds it to call and code.
    """
    check = hashlib.sha256(f"{call.name} {code} {day}".encode()).digest()[:_CHECK_BYTES]
    return base64.urlsafe_b64encode(day.encode() + check).decode()
