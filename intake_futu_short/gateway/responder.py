"""A gateway's answers: a frame → the body of its answer. Pure.

The caller passes histories, times and identities in. `server` has the sockets.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from intake_futu_short.calls import SHORT_INTEREST, SHORT_SELLING_RANK, SHORT_VOLUME
from intake_futu_short.errors import StoreError
from intake_futu_short.gateway.newest import NewestRows
from intake_futu_short.gateway.ranked import COUNT, SORT_KEYS, objection, sort
from intake_futu_short.gateway.request_log import MAX_TEXT, RefusedError, RequestLog
from intake_futu_short.opend.cipher import Aes, Algorithm
from intake_futu_short.opend.connection import INIT_CONNECT, KEEP_ALIVE
from intake_futu_short.opend.messages_pb2 import InitConnect, KeepAlive, Security
from intake_futu_short.opend.replies import OK, text
from intake_futu_short.opend.wire import PROTOBUF
from intake_futu_short.security import MARKETS, US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from intake_futu_short.calls import Call
    from intake_futu_short.gateway.histories import History
    from intake_futu_short.gateway.request_log import Request
    from intake_futu_short.opend.cipher import Cipher
    from intake_futu_short.opend.wire import Frame

__all__ = ["ConnectedClient", "Responder"]

FAILED = -1
END = "-1"
SERVER_VERSION = 1011  # 10.11: the protocol counts 100 * major + minor
KEEP_ALIVE_S = 10
DEFAULT_NUM = 10

# Characters of a code that a refusal repeats.
MAX_SHOWN = 64

_CHECK_BYTES = 5
_MARKETS_BY_NUMBER = {market.number: market for market in MARKETS.values()}

_log = logging.getLogger(__name__)


@dataclass
class ConnectedClient:
    """The client at the other end of one connection."""

    connection_id: int
    # 16 characters each. The handshake has a key even if nothing is encrypted. Without a vector,
    # AES_CBC is not offered, as with an old OpenD.
    aes_key: str
    aes_cbc_iv: str | None = None
    # The RSA key until InitConnect has been answered, AES from then on; None encrypts nothing.
    cipher: Cipher | None = None
    # Whether InitConnect has been answered.
    is_known: bool = False


class Responder:
    """Answers frames one by one, from any number of clients and threads.

    Parameters
    ----------
    served : mapping of Call to mapping of str to History
        The histories of short volume and of short interest, by code. A history is looked up at
        every request, so that a trading day may be added meanwhile. The rank is computed from both.
    limit : (int, float), optional
        How many requests are answered in how many seconds, for each call and over all clients. A
        request refused for this reason does not count. A request refused for another one does.
    clock : callable
        Seconds that never go back.
    lock : context manager
        Guards the counts and the log of requests. It is never held during a lookup.
    """

    def __init__(
        self,
        served: Mapping[Call, Mapping[str, History]],
        limit: tuple[int, float] | None,
        clock: Callable[[], float],
        lock: AbstractContextManager[Any],
    ) -> None:
        self._served = {call.proto_id: (call, histories) for call, histories in served.items()}
        self._newest = NewestRows(served[SHORT_VOLUME], served[SHORT_INTEREST], clock)
        self._request_log = RequestLog(limit, clock, lock)
        self._complaint = ""

    @property
    def requests(self) -> list[Request]:
        """The newest requests for rows, in the order of their arrival."""
        return self._request_log.requests

    def gives_rows(self, proto_id: int) -> bool:
        """Whether answers with this protocol id hold rows."""
        return proto_id in self._served or proto_id == SHORT_SELLING_RANK.proto_id

    def answer(self, client: ConnectedClient, frame: Frame, *, unix_s: int) -> bytes:
        """Body of the answer to an intact, decrypted frame; `unix_s` is the time of day."""
        try:
            answer = self._answer(client, frame, unix_s)
        except RefusedError as refusal:
            # Every response message of the protocol has the fields of a refusal.
            answer = InitConnect.Response(ret_type=FAILED, ret_msg=str(refusal))
        body: bytes = answer.SerializeToString()
        return body

    def _answer(self, client: ConnectedClient, frame: Frame, unix_s: int) -> Any:
        if frame.body_format != PROTOBUF:
            raise RefusedError("only protobuf bodies (format 0) are supported")
        if frame.proto_id == INIT_CONNECT:
            return _init_connect(client, _c2s(InitConnect, frame.body, "handshake"))
        if not client.is_known:
            raise RefusedError("InitConnect first")
        if frame.proto_id == KEEP_ALIVE:
            _c2s(KeepAlive, frame.body, "heartbeat")
            return KeepAlive.Response(ret_type=OK, s2c=KeepAlive.S2C(time=unix_s))
        if frame.proto_id in self._served:
            return self._rows(*self._served[frame.proto_id], frame.body)
        if frame.proto_id == SHORT_SELLING_RANK.proto_id:
            return self._rank(SHORT_SELLING_RANK, frame.body)
        raise RefusedError("unsupported protocol")

    def _rows(self, call: Call, histories: Mapping[str, History], body: bytes) -> Any:
        c2s = _c2s(call.messages, body, f"request for {call.title}")
        market = _MARKETS_BY_NUMBER.get(c2s.security.market)
        symbol = text(c2s.security.code)
        code = f"{market.name if market else c2s.security.market}.{symbol}"
        next_key = text(c2s.next_key) if c2s.HasField("next_key") else None
        num = c2s.num if c2s.HasField("num") else None
        self._request_log.admit(call, code, next_key, num)
        if market is None:
            raise RefusedError("Only HK and US stocks and funds are supported")
        history = self._look_up(histories, code) if len(code) <= MAX_TEXT else None
        if history is None:
            raise RefusedError(f"Unknown stock. {symbol[:MAX_SHOWN]}")
        num = DEFAULT_NUM if num is None else num
        if not 1 <= num <= call.max_rows:
            raise RefusedError(f"num must be from 1 to {call.max_rows}, not {num}")
        first = _first_row(call, code, history, next_key)
        rows = history.rows[first : first + num]
        table = call.table(market)
        s2c = call.messages.S2C()
        items = getattr(s2c, table.field)
        for row in rows:
            items.add(**row)  # protobuf leaves None out
        # Like a live gateway, send a cursor with every full page, even with the last one.
        is_full = len(rows) == num
        s2c.next_key = _cursor(call, code, history.days[first + num - 1]) if is_full else END
        for name in table.attr_names:
            if getattr(history, name) is not None:
                setattr(s2c, name, getattr(history, name))
        return call.messages.Response(ret_type=OK, s2c=s2c)

    def _rank(self, call: Call, body: bytes) -> Any:
        c2s = _c2s(call.messages, body, f"request for {call.title}")
        number = c2s.market if c2s.HasField("market") else US.number
        market = _MARKETS_BY_NUMBER.get(number)
        count = c2s.count if c2s.HasField("count") else None
        self._request_log.admit(
            call, market.name if market else str(number), None, count, c2s.offset
        )
        words = objection(c2s)
        if market is None or words is not None:
            raise RefusedError(words)
        try:
            rows = self._newest.of(market)
        except StoreError as error:
            raise self._unserved(market.name, error) from error
        # 0 stands for the first key, as 1 does.
        key = SORT_KEYS[max(c2s.sort_field - 1, 0)]
        page = sort(rows, key, descending=c2s.sort_dir == 0)[c2s.offset :]
        s2c = call.messages.S2C(all_count=len(rows))
        for row in page[: COUNT if count is None else count]:
            security = Security(market=market.number, code=row.security.symbol)
            sent = {name: row.values.get(name) for name in call.table(market).column_names}
            s2c.items.add(security=security, **sent)
        return call.messages.Response(ret_type=OK, s2c=s2c)

    def _look_up(self, histories: Mapping[str, History], code: str) -> History | None:
        try:
            return histories.get(code)
        except StoreError as error:
            raise self._unserved(code, error) from error

    def _unserved(self, what: str, error: StoreError) -> RefusedError:
        # The error's text may name files of this host, so only the log has it. An error that
        # repeats is logged once.
        if str(error) != self._complaint:
            self._complaint = str(error)
            _log.warning("%a cannot be served: %s", what, error)
        return RefusedError(
            f"{what[:MAX_SHOWN]} cannot be served now; the log of this gateway says why"
        )


def _c2s(messages: Any, body: bytes, what: str) -> Any:
    """Content of a request."""
    request = messages.Request()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise RefusedError(f"the body is not a {what}") from error
    if not request.IsInitialized():
        raise RefusedError(f"the body is not a {what}")
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
            raise RefusedError(
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
    """Index of the newest row after a cursor. None and "" mean the newest page."""
    if not next_key:
        return 0
    if next_key == END:
        return len(history.rows)
    try:
        day = base64.urlsafe_b64decode(next_key)[:-_CHECK_BYTES].decode()
    except ValueError:  # not base64, or not text inside
        day = ""
    if _cursor(call, code, day) != next_key:
        raise RefusedError("invalid nextKey")
    return len(history.days) - bisect_left(history.days[::-1], day)


def _cursor(call: Call, code: str, day: str) -> str:
    """Cursor to the rows older than a day. It stays right when a newer day is added meanwhile.

    It is encoded so that clients neither read nor build cursors. A checksum binds it to its call
    and code.
    """
    check = hashlib.sha256(f"{call.name} {code} {day}".encode()).digest()[:_CHECK_BYTES]
    return base64.urlsafe_b64encode(day.encode() + check).decode()
