"""What any bytes from a gateway may come to, for hypothesis and for coverage-guided fuzzing.

Each target takes arbitrary bytes and raises nothing but an `AssertionError`, or what should not
have escaped from the package.
"""

from __future__ import annotations

import contextlib
import json
from itertools import count
from typing import TYPE_CHECKING

from second_gateway import frame, init_connect_body, official
from second_rows import make_rows
from walked import run

from intake_futu_short import schema
from intake_futu_short.calls import SHORT_VOLUME, Reply, Ticker
from intake_futu_short.errors import FutuShortError, GatewayError, ProtocolError
from intake_futu_short.opend import replies
from intake_futu_short.opend.connection import Connection, Failed
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.opend.wire import HEADER_BYTES, MAX_BODY_BYTES
from intake_futu_short.security import Security
from intake_futu_short.walk import Walk

if TYPE_CHECKING:
    from intake_futu_short.calls import Question

TICKERS = {
    market: Ticker(Security.parse(code), SHORT_VOLUME)
    for market, code in (("US", "US.AAPL"), ("HK", "HK.00700"))
}
# Between two bodies of one walk.
BOUNDARY = b"\xff\x00\xff"


def stream(data: bytes) -> None:
    """Bytes of a connection, cut into pieces of the size that the first byte names."""
    size, rest = 1 + (data[0] if data else 0), data[1:]
    connection = Connection("opend://fuzz")
    connection.open()
    connection.receive_data(frame(1001, 1, init_connect_body()))
    serial = connection.request(3248, b"")
    connection.keep_alive(0)
    connection.events_received()
    for begin in range(0, len(rest), size):
        connection.receive_data(rest[begin : begin + size])
        assert connection._reader.unfinished < HEADER_BYTES + MAX_BODY_BYTES
        for event in connection.events_received():
            if isinstance(event, Failed):
                assert isinstance(event.error, GatewayError)
                connection.receive_data(rest)
                assert connection.events_received() == []  # the first failure is the last event
                return
            assert event.serial == serial  # type: ignore[union-attr]  # the handshake is over


def answers(data: bytes) -> None:
    """Bodies of the answers to one walk.

    The first byte says of which market; two of its values say that each answer comes over a
    connection of its own.
    """
    market = "HK" if data[:1] > b"\x7f" else "US"
    bodies = iter(data[1:].split(BOUNDARY))
    asked = count()

    def reply(_: Question) -> Reply:
        body = next(bodies, b"\x08\x00\x22\x00")
        issuer = next(asked) if data[:1] in {b"\x01", b"\xfe"} else 0
        try:
            return Reply(replies.decode(DailyShortVolume.Response, body, "fuzz").s2c, None, issuer)
        except GatewayError as error:
            return Reply(None, error, issuer)

    ticker = TICKERS[market]
    walk = Walk(ticker)
    with contextlib.suppress(FutuShortError):
        run(walk.load(), reply)
    # What was walked before an error must make a frame all the same.
    try:
        frame = schema.to_frame(walk.pages, ticker.table)
    except ProtocolError:
        return  # a count beyond any, which is found when the rows become columns
    assert {str(n): str(t) for n, t in frame.dtypes.items()} == schema.dtypes(ticker.table)
    days = [day for page in walk.pages for day in page.days]
    assert len(days) == len(set(days)) == len(frame)
    json.dumps(schema.attributes(ticker, walk.next_key, walk.attrs), allow_nan=False)


def body(market: str, rows: int, next_key: str = "-1", seed: int = 1) -> bytes:
    """A valid answer, to begin from."""
    messages = official("Qot_GetDailyShortVolume_pb2")
    answer = messages.Response(retType=0, s2c=messages.S2C(nextKey=next_key))
    items = answer.s2c.usItemList if market == "US" else answer.s2c.hkItemList
    for row in make_rows(market, rows, seed=seed, missing=0.1):
        items.add(**row)
    if market == "HK":
        answer.s2c.aggregatedShort = 51480638
        answer.s2c.aggregatedShortRatio = 0.56
        answer.s2c.newTimeStr = "2026-04-30"
    return bytes(answer.SerializeToString())


def seeds(target: str) -> list[bytes]:
    """Valid inputs of a target."""
    if target == "stream":
        one = frame(3248, 2, body("US", 3)) + frame(1003, 0, b"push") + frame(1004, 3, b"\x08\x00")
        return [bytes([size]) + one for size in (0, 30, 255)]
    return [
        flag + BOUNDARY.join([body(market, 3, "key"), body(market, 5, "-1")])
        for market, flag in (("HK", b"\xff"), ("US", b"\x00"), ("HK", b"\xfe"), ("US", b"\x01"))
    ]


TARGETS = {"stream": stream, "answers": answers}
