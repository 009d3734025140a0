"""What our gateway answers, asked over plain sockets with the official client's messages."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gateway_peer import (
    DAILY_SHORT_VOLUME,
    GLOBAL_STATE,
    INIT_CONNECT,
    KEEP_ALIVE,
    Peer,
    days,
    frame,
    hello,
    question,
    sample,
)
from second_gateway import official

import intake_futu_short
from intake_futu_short.errors import StoreError
from intake_futu_short.gateway import Gateway, History, Request
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

SAMPLE = Path(intake_futu_short.__file__).parent / "sample"

TOO_FREQUENT = (
    "Get daily short volume is too frequent, request failed, no more than 30 times every 30 "
    "seconds."
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(sample()) as running:
        yield running


def history(code: str, days: list[str], **more: Any) -> History:
    return History(Security.parse(code), [{"timestamp_str": day} for day in days], **more)


# The handshake, and what is not asked for rows


def test_the_handshake_gives_what_the_protocol_requires(gateway: Gateway) -> None:
    with Peer(gateway, greet=False) as one, Peer(gateway, greet=False) as two:
        first = one.ask(INIT_CONNECT, hello(), "InitConnect_pb2")
        second = two.ask(INIT_CONNECT, hello(), "InitConnect_pb2")
    assert first.retType == 0
    assert first.s2c.serverVer > 0
    assert first.s2c.HasField("loginUserID")
    assert len(first.s2c.connAESKey) == 16
    assert first.s2c.keepAliveInterval == 10
    assert not first.s2c.HasField("aesCBCiv")
    assert first.s2c.connID != second.s2c.connID
    assert first.s2c.connAESKey != second.s2c.connAESKey


@pytest.mark.parametrize(
    ("proto_id", "body"),
    [(DAILY_SHORT_VOLUME, question()), (KEEP_ALIVE, b"\x0a\x02\x08\x01"), (GLOBAL_STATE, b"")],
)
def test_before_the_handshake_everything_is_refused_and_the_connection_stays(
    gateway: Gateway, proto_id: int, body: bytes
) -> None:
    with Peer(gateway, greet=False) as peer:
        answer = peer.ask(proto_id, body, "Qot_GetDailyShortVolume_pb2")
        assert (answer.retType, answer.retMsg) == (-1, "InitConnect first")
        assert not answer.HasField("s2c")
        assert peer.ask(INIT_CONNECT, hello(), "InitConnect_pb2").retType == 0
        assert peer.page().retType == 0
    assert len(gateway.requests) == 1


def test_a_heartbeat_is_answered_with_the_time(gateway: Gateway) -> None:
    request = official("KeepAlive_pb2").Request()
    request.c2s.time = 1
    before = int(time.time())
    with Peer(gateway) as peer:
        answer = peer.ask(KEEP_ALIVE, request.SerializeToString(), "KeepAlive_pb2")
    assert answer.retType == 0
    assert before <= answer.s2c.time <= time.time()


def test_other_protocols_are_refused_under_their_own_number(gateway: Gateway) -> None:
    request = official("GetGlobalState_pb2").Request()
    request.c2s.userID = 0
    with Peer(gateway) as peer:
        answer = peer.ask(GLOBAL_STATE, request.SerializeToString(), "GetGlobalState_pb2")
        assert (answer.retType, answer.retMsg) == (-1, "unsupported protocol")
        assert peer.page().retType == 0


# Pages


def test_a_ticker_is_paged_newest_first_to_the_end(gateway: Gateway) -> None:
    with (SAMPLE / "US.AAPL.csv").open(newline="") as lines:
        expected = list(csv.DictReader(lines))
    with Peer(gateway) as peer:
        first = peer.page(num=10)
        second = peer.page(num=10, next_key=first.s2c.nextKey)
        third = peer.page(num=10, next_key=second.s2c.nextKey)
    pages = [first, second, third]
    assert [len(page.s2c.usItemList) for page in pages] == [10, 10, 9]
    assert [len(page.s2c.hkItemList) for page in pages] == [0, 0, 0]
    assert third.s2c.nextKey == "-1"
    assert days(first)[0] == "2024-10-11"
    assert days(third)[-1] == "2024-09-03"
    items = [item for page in pages for item in page.s2c.usItemList]
    for item, row in zip(items, expected, strict=True):
        assert item.timestamp == int(row["timestamp"])
        assert item.timestampStr == row["timestamp_str"]
        assert item.totalSharesShort == int(row["total_shares_short"])
        assert item.nasdaqSharesShort == int(row["nasdaq_shares_short"])
        assert item.nyseSharesShort == int(row["nyse_shares_short"])
        assert item.shortPercent == float(row["short_percent"])
        assert item.volume == int(row["volume"])
        assert item.closePrice == float(row["close_price"])
        assert item.lastClosePrice == float(row["last_close_price"])
        assert item.dailyTradeAvgRatio == float(row["daily_trade_avg_ratio"])
    assert not first.s2c.HasField("aggregatedShort")


def test_a_page_has_ten_rows_unless_asked_otherwise(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        assert len(days(peer.page())) == 10
        assert len(days(peer.page(num=1))) == 1
        assert len(days(peer.page(code="SAMPLE", num=50))) == 50


def test_missing_values_are_absent_fields_and_hk_carries_aggregates(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        page = peer.page(code="00700", market=1, num=50)
    newest = page.s2c.hkItemList[0]
    assert {field.name for field, _ in newest.ListFields()} == {
        "timestamp", "timestampStr", "lastClosePrice", "dailyTradeAvgRatio",
    }  # fmt: skip
    assert (newest.timestamp, newest.timestampStr) == (1778169600, "2026-05-08")
    assert (newest.lastClosePrice, newest.dailyTradeAvgRatio) == (477.4, 11.36)
    assert (page.s2c.aggregatedShort, page.s2c.aggregatedShortRatio) == (51480638, 0.56)
    assert page.s2c.newTimeStr == "2026-04-30"
    assert page.s2c.nextKey == "-1"


def test_after_a_last_page_that_is_full_comes_an_empty_one(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        full = peer.page(code="00700", market=1, num=5)
        last = peer.page(code="00700", market=1, num=5, next_key=full.s2c.nextKey)
        assert len(days(last)) == 5
        assert last.s2c.nextKey not in {"", "-1"}
        empty = peer.page(code="00700", market=1, num=5, next_key=last.s2c.nextKey)
    assert (empty.retType, days(empty), empty.s2c.nextKey) == (0, [], "-1")


def test_an_empty_cursor_is_none_and_the_end_leads_to_an_empty_page(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        assert days(peer.page(next_key=""))[0] == "2024-10-11"
        end = peer.page(next_key="-1")
    assert (end.retType, days(end), end.s2c.nextKey) == (0, [], "-1")


def test_a_zero_is_sent_and_an_empty_history_is_an_empty_page() -> None:
    security = Security.parse("US.Z")
    rows = [{"timestamp": 1781755200, "volume": 0, "close_price": 0.0, "nyse_shares_short": None}]
    histories = {"US.Z": History(security, rows), "HK.00000": history("HK.00000", [])}
    with Gateway(histories) as running, Peer(running) as peer:
        item = peer.page(code="Z").s2c.usItemList[0]
        empty = peer.page(code="00000", market=1)
    assert {field.name for field, _ in item.ListFields()} == {"timestamp", "volume", "closePrice"}
    assert (item.timestamp, item.volume, item.closePrice) == (1781755200, 0, 0.0)
    assert (empty.retType, days(empty), empty.s2c.nextKey) == (0, [], "-1")


def test_a_day_that_arrives_in_the_middle_of_a_walk_shifts_nothing() -> None:
    old = ["2026-06-17", "2026-06-16", "2026-06-15", "2026-06-12"]
    histories = {"US.A": history("US.A", old)}
    with Gateway(histories) as running, Peer(running) as peer:
        first = peer.page(code="A", num=2)
        histories["US.A"] = history("US.A", ["2026-06-18", *old])
        second = peer.page(code="A", num=2, next_key=first.s2c.nextKey)
        again = peer.page(code="A", num=2)
    assert days(first) == ["2026-06-17", "2026-06-16"]
    assert days(second) == ["2026-06-15", "2026-06-12"]
    assert days(again) == ["2026-06-18", "2026-06-17"]


def test_cursors_outlive_the_gateway() -> None:
    histories = sample()
    with Gateway(histories) as running, Peer(running) as peer:
        key = peer.page().s2c.nextKey
    with Gateway(histories) as running, Peer(running) as peer:
        assert days(peer.page(next_key=key))[0] == "2024-09-27"


# What is refused


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"code": "NOPE"}, "Unknown stock. NOPE"),
        ({"code": "aapl"}, "Unknown stock. aapl"),
        ({"code": "00700", "market": 11}, "Unknown stock. 00700"),
        ({"code": "600000", "market": 21}, "Only HK and US stocks and funds are supported"),
        ({"num": 0}, "num must be from 1 to 50, not 0"),
        ({"num": 51}, "num must be from 1 to 50, not 51"),
        ({"num": -1}, "num must be from 1 to 50, not -1"),
        ({"next_key": "2"}, "invalid nextKey"),
        ({"next_key": "1727755200"}, "invalid nextKey"),
        ({"next_key": "2024-10-01"}, "invalid nextKey"),
        ({"next_key": "\u9875"}, "invalid nextKey"),
        ({"next_key": "////////////////////"}, "invalid nextKey"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(
    gateway: Gateway, asked: dict[str, Any], words: str
) -> None:
    with Peer(gateway) as peer:
        answer = peer.page(**asked)
        assert (answer.retType, answer.retMsg) == (-1, words)
        assert not answer.HasField("s2c")
        assert peer.page().retType == 0


def test_a_cursor_is_good_for_its_own_ticker_and_unaltered(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        key = peer.page().s2c.nextKey
        altered = [
            key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1 :]
            for place in range(len(key))
        ]
        for wrong in [*altered, key[:-1], key + "A", key + "=", " " + key]:
            assert peer.page(next_key=wrong).retMsg == "invalid nextKey"
        assert peer.page(code="SAMPLE", next_key=key).retMsg == "invalid nextKey"
        assert peer.page(next_key=key).retType == 0


@pytest.mark.parametrize("proto_id", [INIT_CONNECT, KEEP_ALIVE, DAILY_SHORT_VOLUME])
@pytest.mark.parametrize("body", [b"", b"\xff\xff\xff", b"\x0a\x00", b"{}"])
def test_a_body_that_is_no_request_is_refused(gateway: Gateway, proto_id: int, body: bytes) -> None:
    with Peer(gateway) as peer:
        answer = peer.ask(proto_id, body, "Qot_GetDailyShortVolume_pb2")
        assert answer.retType == -1
        assert answer.retMsg.startswith("the body is not a")
        assert peer.page().retType == 0
    assert len(gateway.requests) == 1


def test_text_that_is_no_utf8_is_refused(gateway: Gateway) -> None:
    security = b"\x08\x0b\x12\x02\xff\xfe"
    body = b"\x0a\x08\x0a\x06" + security
    with Peer(gateway) as peer:
        answer = peer.ask(DAILY_SHORT_VOLUME, body, "Qot_GetDailyShortVolume_pb2")
        assert answer.retType == -1
        body = question(next_key="xy").replace(b"xy", b"\xff\xfe")
        answer = peer.ask(DAILY_SHORT_VOLUME, body, "Qot_GetDailyShortVolume_pb2")
        assert answer.retType == -1
        assert peer.page().retType == 0


def test_json_bodies_are_refused(gateway: Gateway) -> None:
    with Peer(gateway) as peer:
        peer.sock.sendall(frame(DAILY_SHORT_VOLUME, b'{"c2s":{}}', 77, body_format=1))
        proto_id, serial, body = peer.receive()
        assert (proto_id, serial) == (DAILY_SHORT_VOLUME, 77)
        answer = official("Qot_GetDailyShortVolume_pb2").Response.FromString(body)
        assert answer.retMsg == "only protobuf bodies (format 0) are supported"
        assert peer.page().retType == 0


# The limit


def test_the_limit_slides_over_all_connections_in_the_gateways_own_words() -> None:
    clock = Clock()
    with (
        Gateway(sample(), limit=(30, 30.0), clock=clock) as running,
        Peer(running) as one,
        Peer(running) as two,
    ):
        for number in range(30):
            clock.now_s = 1000.0 + number
            assert (one, two)[number % 2].page(num=1).retType == 0
        clock.now_s = 1030.0  # the 31st must come more than 30 s after the first
        for peer in (one, two, one):
            refused = peer.page(num=1)
            assert (refused.retType, refused.retMsg) == (-1, TOO_FREQUENT)
        clock.now_s = 1030.5
        assert one.page(num=1).retType == 0
        assert two.page(num=1).retMsg == TOO_FREQUENT
        clock.now_s = 1031.5
        assert two.page(num=1).retType == 0
        # The refused ones did not count; they are on record all the same.
        assert len(running.requests) == 36


def test_the_limit_counts_what_is_refused_for_another_reason_and_no_heartbeat() -> None:
    clock = Clock()
    with Gateway(sample(), limit=(2, 5.5), clock=clock) as running, Peer(running) as peer:
        heartbeat = b"\x0a\x02\x08\x01"
        assert peer.page(code="NOPE").retMsg == "Unknown stock. NOPE"
        for _ in range(3):
            assert peer.ask(KEEP_ALIVE, heartbeat, "KeepAlive_pb2").retType == 0
        assert peer.page(num=99).retMsg == "num must be from 1 to 50, not 99"
        assert peer.page().retMsg.endswith("no more than 2 times every 5.5 seconds.")
        assert peer.ask(KEEP_ALIVE, heartbeat, "KeepAlive_pb2").retType == 0


def test_requests_are_kept_as_they_arrived() -> None:
    clock = Clock()
    with Gateway(sample(), clock=clock) as running:
        with Peer(running) as peer:
            key = peer.page(num=10).s2c.nextKey
            clock.now_s = 1002.5
            peer.page(next_key=key)
            peer.page(code="00700", market=1, num=99)
            peer.page(code="600000", market=21)
        assert running.requests == [
            Request(1000.0, "US.AAPL", None, 10),
            Request(1002.5, "US.AAPL", key, None),
            Request(1002.5, "HK.00700", None, 99),
            Request(1002.5, "21.600000", None, None),
        ]


def test_of_many_requests_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake_futu_short.gateway.request_log.MAX_REMEMBERED_BYTES", 1000)
    with Gateway(sample()) as running, Peer(running) as peer:
        for num in range(1, 21):
            peer.page(num=num)
        kept = [request.num for request in running.requests]
        assert kept == [*range(1, 21)][-len(kept) :]
        assert 2 <= len(kept) <= 4
        peer.page(code="A" * 60_000)  # cut, so the others stay
        assert len(running.requests) >= 2


def test_of_long_codes_and_cursors_the_beginning_is_remembered(gateway: Gateway) -> None:
    long = "\u9875" * 20_000
    with Peer(gateway) as peer:
        assert peer.page(code=long).retMsg == f"Unknown stock. {long[:64]}"
        assert peer.page(next_key=long).retMsg == "invalid nextKey"
        assert peer.page().retType == 0
    assert [(request.code, request.next_key) for request in gateway.requests] == [
        (f"US.{long}"[:256], None),
        ("US.AAPL", long[:256]),
        ("US.AAPL", None),
    ]


def test_what_a_store_says_stays_on_this_side(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(dict[str, History]):
        def get(self, code: str, _default: Any = None) -> Any:
            raise StoreError(f"/home/me/store/{code}: File name too long")

    with Gateway(Unreadable()) as running, Peer(running) as peer:
        for _ in range(3):
            answer = peer.page()
            assert answer.retType == -1
            assert answer.retMsg == (
                "US.AAPL cannot be served now; the log of this gateway says why"
            )
        peer.page(code="MSFT")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"'{code}' cannot be served: /home/me/store/{code}: File name too long")
        for code in ("US.AAPL", "US.MSFT")
    ]
    caplog.clear()


# The official client itself


def expected_rows(code: str, page_columns: list[str]) -> list[list[Any]]:
    """Rows of a sample file in the order of the columns, read with csv alone."""
    with (SAMPLE / f"{code}.csv").open(newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["timestamp_str"], reverse=True)
    return [[number(row.get(name, "")) for name in page_columns] for row in rows]


def number(cell: str) -> int | float | str | None:
    if not cell or cell.count("-") == 2:
        return cell or None
    return int(cell) if cell.isdecimal() else float(cell)


@pytest.mark.parametrize(
    ("code", "num", "sizes"),
    [
        ("US.AAPL", 10, [10, 10, 9]),
        ("HK.00700", None, [10, 0]),
        ("HK.00700", 4, [4, 4, 2]),
        ("HK.SAMPLE", 50, [50] * 30 + [0]),
        ("US.SAMPLE", 49, [49] * 30 + [30]),
    ],
)
def test_the_official_client_reads_every_page(
    gateway: Gateway,
    official_client: Callable[..., dict[str, Any]],
    code: str,
    num: int | None,
    sizes: list[int],
) -> None:
    said = official_client(gateway.port, code, num)
    assert said["error"] is None
    mine, other = ("us", "hk") if code.startswith("US") else ("hk", "us")
    pages = [page[mine] for page in said["pages"]]
    assert [len(page["rows"]) for page in pages] == sizes
    rows = [row for page in pages for row in page["rows"]]
    assert rows == expected_rows(code, pages[0]["columns"])
    assert [page[other]["rows"] for page in said["pages"]] == [[]] * len(sizes)
    assert pages[-1]["attrs"]["next_key"] == "-1"
    if code == "HK.00700":
        assert pages[0]["attrs"] == {
            "next_key": pages[0]["attrs"]["next_key"],
            "aggregated_short": 51480638,
            "aggregated_short_ratio": 0.56,
            "new_time_str": "2026-04-30",
        }


def test_the_official_client_is_refused_in_words(
    gateway: Gateway, official_client: Callable[..., dict[str, Any]]
) -> None:
    said = official_client(gateway.port, "US.NOPE")
    assert said == {"pages": [], "error": "Unknown stock. NOPE"}
