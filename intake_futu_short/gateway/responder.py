"""What a gateway answers: a frame → the body of the answer. Pure.

Histories, times and identities are handed in; `gateway` has the sockets.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError

from intake_futu_short.arguments import MAX_ROWS_A_PAGE
from intake_futu_short.errors import StoreError
from intake_futu_short.opend.cipher import Aes, Algorithm
from intake_futu_short.opend.connection import DAILY_SHORT_VOLUME, INIT_CONNECT, KEEP_ALIVE
from intake_futu_short.opend.messages_pb2 import DailyShortVolume, InitConnect, KeepAlive
from intake_futu_short.opend.replies import OK
from intake_futu_short.opend.wire import PROTOBUF
from intake_futu_short.pages import END
from intake_futu_short.security import AGGREGATE_NAMES, MARKETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intake_futu_short.gateway.histories import History
    from intake_futu_short.opend.cipher import Cipher
    from intake_futu_short.opend.wire import Frame

    Answer = InitConnect.Response | KeepAlive.Response | DailyShortVolume.Response

__all__ = ["ConnectedClient", "Request", "Responder"]

FAILED = -1

SERVER_VERSION = 1011  # 10.11: the protocol counts 100 * major + minor
KEEP_ALIVE_S = 10
DEFAULT_NUM = 10

# A gateway may run for months: the newest are kept, 28 MB of them.
MAX_REQUESTS = 100_000

_CHECK_BYTES = 5


@dataclass
class ConnectedClient:
    """Who is at the other end of one connection.

    Attributes
    ----------
    connection_id : int
        Unlike that of every other connection.
    aes_key : str
        16 characters; the handshake must name one, also where nothing is enciphered.
    aes_cbc_iv : str or None
        16 characters; None when AES_CBC is not to be had, as in an old OpenD.
    cipher : Cipher or None
        Deciphers what the client sends next: the RSA key until InitConnect has been answered, AES
        from then on. None: nothing is enciphered.
    is_known : bool
        Whether InitConnect has been answered.
    """

    connection_id: int
    aes_key: str
    aes_cbc_iv: str | None = None
    cipher: Cipher | None = None
    is_known: bool = False


@dataclass(frozen=True)
class Request:
    """A request for daily short volume that arrived, whatever became of it.

    Attributes
    ----------
    arrived_s : float
        Seconds on the gateway's clock.
    code : str
        Market and symbol; a market that is neither US nor HK stands as its number.
    next_key : str or None
        Cursor; None when the request carried none.
    num : int or None
        Rows a page; None when the request left it open.
    """

    arrived_s: float
    code: str
    next_key: str | None
    num: int | None


class Responder:
    """Answers one frame after the other.

    Parameters
    ----------
    histories : mapping of str to History
        By code. Looked up at every request, so that a trading day may be added meanwhile; its
        `StoreError` is answered as a refusal.
    limit : (int, float), optional
        Requests for daily short volume within how many seconds, over all clients: more than so
        many seconds must lie between the first of them and the next one. What is refused for
        this does not count itself; what is refused for another reason does.

    Attributes
    ----------
    requests : deque of Request
        Those that arrived, in order; the newest 100,000.
    """

    def __init__(
        self, histories: Mapping[str, History], limit: tuple[int, float] | None = None
    ) -> None:
        self._histories = histories
        self._limit = limit
        self._arrivals: deque[float] = deque()
        self.requests: deque[Request] = deque(maxlen=MAX_REQUESTS)

    def answer(
        self, client: ConnectedClient, frame: Frame, *, arrived_s: float, unix_s: int
    ) -> bytes:
        """Body of the answer to an intact frame.

        Parameters
        ----------
        client : ConnectedClient
            Who asks.
        frame : Frame
            What is asked.
        arrived_s : float
            When it arrived, by a clock that never goes back.
        unix_s : int
            The time of day, as Unix seconds.
        """
        return self._answer(client, frame, arrived_s, unix_s).SerializeToString()

    def _answer(
        self, client: ConnectedClient, frame: Frame, arrived_s: float, unix_s: int
    ) -> Answer:
        if frame.body_format != PROTOBUF:
            return _refusal("only protobuf bodies (format 0) are supported")
        if frame.proto_id == INIT_CONNECT:
            return _init_connect(client, frame.body)
        if not client.is_known:
            return _refusal("InitConnect first")
        if frame.proto_id == KEEP_ALIVE:
            return _keep_alive(frame.body, unix_s)
        if frame.proto_id == DAILY_SHORT_VOLUME:
            return self._daily_short_volume(frame.body, arrived_s)
        return _refusal("unsupported protocol")

    def _daily_short_volume(self, body: bytes, arrived_s: float) -> Answer:
        asked = _parse(DailyShortVolume.Request(), body)
        if asked is None:
            return _refusal("the body is not a Qot_GetDailyShortVolume.Request")
        c2s = asked.c2s
        market = _MARKETS_BY_NUMBER.get(c2s.security.market)
        request = Request(
            arrived_s=arrived_s,
            code=f"{market.name if market else c2s.security.market}.{c2s.security.code}",
            next_key=c2s.next_key if c2s.HasField("next_key") else None,
            num=c2s.num if c2s.HasField("num") else None,
        )
        self.requests.append(request)
        if self._limit is not None and self._is_too_frequent(arrived_s, *self._limit):
            return _refusal(_TOO_FREQUENT.format(*self._limit))
        if market is None:
            return _refusal("Only HK and US stocks and funds are supported")
        try:
            history = self._histories.get(request.code)
        except StoreError as error:
            return _refusal(str(error))
        if history is None:
            return _refusal(f"Unknown stock. {c2s.security.code}")
        return _page(history, request)

    def _is_too_frequent(self, now_s: float, count: int, period_s: float) -> bool:
        while self._arrivals and now_s - self._arrivals[0] > period_s:
            self._arrivals.popleft()
        if len(self._arrivals) >= count:
            return True
        self._arrivals.append(now_s)
        return False


_MARKETS_BY_NUMBER = {market.number: market for market in MARKETS.values()}
_TOO_FREQUENT = (
    "Get daily short volume is too frequent, request failed, "
    "no more than {} times every {:g} seconds."
)

Message = TypeVar("Message", InitConnect.Request, KeepAlive.Request, DailyShortVolume.Request)


def _parse(message: Message, body: bytes) -> Message | None:
    try:
        message.ParseFromString(body)
    except DecodeError:
        return None
    return message if message.IsInitialized() else None


def _refusal(words: str) -> Answer:
    # The fields of a refusal are the same in every response of the protocol.
    return InitConnect.Response(ret_type=FAILED, ret_msg=words)


def _init_connect(client: ConnectedClient, body: bytes) -> Answer:
    asked = _parse(InitConnect.Request(), body)
    if asked is None:
        return _refusal("the body is not an InitConnect.Request")
    algorithm = asked.c2s.packet_enc_algo
    if client.cipher is not None and algorithm not in set(Algorithm):
        return _refusal(f"packetEncAlgo must be one of {[*map(int, Algorithm)]}, not {algorithm}")
    client.is_known = True
    s2c = InitConnect.S2C(
        server_ver=SERVER_VERSION,
        login_user_id=0,
        conn_id=client.connection_id,
        conn_aes_key=client.aes_key,
        keep_alive_interval=KEEP_ALIVE_S,
    )
    if client.cipher is not None:
        client.cipher = _agreed(Algorithm(algorithm), client, s2c)
    return InitConnect.Response(ret_type=OK, s2c=s2c)


def _agreed(asked: Algorithm, client: ConnectedClient, s2c: InitConnect.S2C) -> Aes:
    """The cipher of what follows the handshake, whose answer tells the client of it."""
    if asked is not Algorithm.AES_CBC:
        return Aes(asked, client.aes_key.encode())
    if client.aes_cbc_iv is None:
        return Aes(Algorithm.FTAES_ECB, client.aes_key.encode())
    s2c.aes_cbc_iv = client.aes_cbc_iv
    return Aes(asked, client.aes_key.encode(), client.aes_cbc_iv.encode())


def _keep_alive(body: bytes, unix_s: int) -> Answer:
    if _parse(KeepAlive.Request(), body) is None:
        return _refusal("the body is not a KeepAlive.Request")
    return KeepAlive.Response(ret_type=OK, s2c=KeepAlive.S2C(time=unix_s))


def _page(history: History, request: Request) -> Answer:
    """The newest page without a cursor (an empty one is none), else what the cursor points to."""
    num = DEFAULT_NUM if request.num is None else request.num
    if not 1 <= num <= MAX_ROWS_A_PAGE:
        return _refusal(f"num must be from 1 to {MAX_ROWS_A_PAGE}, not {num}")
    first = _first_row(history, request.next_key)
    if first is None:
        return _refusal("invalid nextKey")
    rows = history.rows[first : first + num]
    s2c = DailyShortVolume.S2C()
    for row in rows:
        item = s2c.us_items.add() if history.security.market.name == "US" else s2c.hk_items.add()
        for name, value in row.items():
            if value is not None:
                setattr(item, name, value)
    # A full page does not tell whether it is the last; as on a live gateway, an empty one follows.
    is_full = len(rows) == num
    s2c.next_key = _cursor(request.code, history.days[first + num - 1]) if is_full else END
    for name in AGGREGATE_NAMES:
        value = getattr(history, name)
        if value is not None:
            setattr(s2c, name, value)
    return DailyShortVolume.Response(ret_type=OK, s2c=s2c)


def _first_row(history: History, next_key: str | None) -> int | None:
    """Index of the newest row that a cursor leaves; None when the cursor was not made here."""
    if not next_key:
        return 0
    if next_key == END:
        return len(history.rows)
    try:
        before = base64.urlsafe_b64decode(next_key)[:-_CHECK_BYTES].decode()
    except ValueError:  # no base64, or what it holds is no text
        return None
    if _cursor(history.security.code, before) != next_key:
        return None
    return sum(day >= before for day in history.days)


def _cursor(code: str, day: str) -> str:
    """Cursor to what is older than a day: it stays right when a newer day is added meanwhile.

    Encoded, so that nobody reads or makes one, and bound to its code by a checksum.
    """
    check = hashlib.sha256(f"{code} {day}".encode()).digest()[:_CHECK_BYTES]
    return base64.urlsafe_b64encode(day.encode() + check).decode()
