"""What any bytes from a gateway may come to, for hypothesis and for coverage-guided fuzzing.

Each target takes arbitrary bytes and raises nothing but an `AssertionError`, or what should not
have escaped from the package.
"""

from __future__ import annotations

import json

from second_gateway import MARKETS, frame, init_connect_body, make_rows, official

from intake_futu_short import table
from intake_futu_short.errors import FutuShortError, GatewayError, ProtocolError
from intake_futu_short.opend import replies
from intake_futu_short.opend.connection import Connection, Failed
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.opend.wire import HEADER_BYTES, MAX_BODY_BYTES
from intake_futu_short.pages import Walk
from intake_futu_short.security import Security

SECURITIES = {"US": Security.parse("US.AAPL"), "HK": Security.parse("HK.00700")}
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
    """Bodies of the answers to one walk; the first byte says of which market."""
    market = "HK" if data[:1] > b"\x7f" else "US"
    bodies = iter(data[1:].split(BOUNDARY))

    def fetch(next_key: str | None) -> DailyShortVolume.S2C:
        return replies.decode(
            DailyShortVolume.Response, next(bodies, b"\x08\x00\x22\x00"), "fuzz"
        ).s2c

    security = SECURITIES[market]
    walk = Walk(fetch, security)
    try:
        while walk.next_page() is not None:
            pass
    except FutuShortError:
        pass  # what was walked before must make a frame all the same
    try:
        frame = table.to_frame(walk.pages, security.market)
    except ProtocolError:
        return  # a count beyond any, which is found when the rows become columns
    assert {str(n): str(t) for n, t in frame.dtypes.items()} == table.dtypes(security.market)
    days = [day for page in walk.pages for day in page.days]
    assert len(days) == len(set(days)) == len(frame)
    json.dumps(table.attributes(security, walk.next_key, walk.aggregates), allow_nan=False)


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
        for market, flag in zip(MARKETS, (b"\xff", b"\x00"), strict=True)
    ]


TARGETS = {"stream": stream, "answers": answers}
