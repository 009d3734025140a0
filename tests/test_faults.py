"""What can go wrong on the wire: each ends in its named error, soon, or does no harm."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from second_gateway import (
    INIT_CONNECT,
    Exchange,
    Script,
    SecondGateway,
    frame,
    official,
    refusal_body,
)
from second_rows import DAILY_SHORT_VOLUME, FIELDS, History, make_rows

from intake_futu_short.errors import (
    FutuShortError,
    GatewayDisconnectedError,
    GatewayTimeoutError,
    PaginationError,
    ProtocolError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
    UnknownSecurityError,
)
from intake_futu_short.source import FutuShortSource

TIMEOUT_S = 0.5
# Far beyond every deadline there is: a guard against hangs only.
GUARD_S = 20.0
ROWS = make_rows("US", 270)
HISTORIES = {
    "US.AAPL": History("US", ROWS),
    "HK.00700": History("HK", make_rows("HK", 60), {"aggregatedShort": 51480638}),
}

pytestmark = pytest.mark.usefixtures("no_thread_left")


Act = Callable[[Exchange], None]


@dataclass(frozen=True)
class Fault:
    """What is done instead of answering, and what must come of it."""

    act: Act
    error: type[FutuShortError]
    words: str
    code: str = "US.AAPL"


def raw(content: bytes, **wrong: Any) -> Act:
    """Answer with this body; `wrong` spoils its header."""
    return lambda exchange: exchange.send(
        frame(exchange.proto_id, exchange.serial, content, **wrong)
    )


def page(spoil: bytes = b"", **fields: Any) -> Act:
    """Answer with a page; the text `spoil` in it is made no UTF-8."""
    messages = official("Qot_GetDailyShortVolume_pb2")
    response = messages.Response(retType=0, s2c=messages.S2C(**fields))
    content = bytes(response.SerializeToString())
    assert spoil in content
    return raw(content.replace(spoil, b"\xff\xfe" + spoil[2:]) if spoil else content)


def refusal(message: str, ret_type: int = -1) -> Act:
    return raw(refusal_body(message, ret_type))


def nothing(_: Exchange) -> None:
    pass


def hang_up(exchange: Exchange) -> None:
    exchange.close()


def cut(size: int) -> Act:
    def act(exchange: Exchange) -> None:
        exchange.send(exchange.answer[:size])
        exchange.close()

    return act


def stall(exchange: Exchange) -> None:
    exchange.send(exchange.answer[:-1])


UNDECODABLE = b"\x08\x00\x22\x7f\x0a"
MINUS_ONE = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # retType -1
DAY = {"timestamp": 1781755200, "timestampStr": "2026-06-18"}

# No good frame, or no good message.
BROKEN = {
    "wrong SHA-1": Fault(raw(b"\x08\x00", sha1=bytes(20)), ProtocolError, "SHA-1"),
    "no message": Fault(raw(UNDECODABLE), ProtocolError, "is not a message of the protocol"),
    "2 GiB": Fault(raw(b"", length=2**31), ProtocolError, "claims a body of 2147483648 bytes"),
    "4 GiB": Fault(raw(b"", length=2**32 - 1), ProtocolError, "claims a body of 4294967295 bytes"),
    "another version": Fault(raw(b"", version=1), ProtocolError, "version 1"),
    "JSON": Fault(raw(b'{"retType": 0}', body_format=1), ProtocolError, "format 1"),
    "HTTP": Fault(lambda e: e.send(b"HTTP/1.0 400 Bad"), ProtocolError, "not the OpenD protocol"),
    "no s2c": Fault(raw(b"\x08\x00"), ProtocolError, "no content (no s2c)"),
    "no retType": Fault(raw(b"\x22\x00"), ProtocolError, "no retType"),
    "empty body": Fault(raw(b""), ProtocolError, "no retType"),
}
# No answer, or not all of it.
SILENT = {
    "closed": Fault(hang_up, GatewayDisconnectedError, "closed the connection"),
    "closed in the header": Fault(cut(20), GatewayDisconnectedError, "closed the connection"),
    "closed in the body": Fault(cut(60), GatewayDisconnectedError, "closed the connection"),
    "no answer": Fault(nothing, GatewayTimeoutError, "0.5 s"),
    "an answer that stalls": Fault(stall, GatewayTimeoutError, "0.5 s"),
}
# An answer that says no, in the words that are on record.
REFUSED = {
    "rate, Chinese": Fault(
        refusal("获取每日卖空频率太高，请求失败，每30秒最多30次。"),  # noqa: RUF001 - its words
        RateLimitError,
        "Wait 30 seconds",
    ),
    "rate, English": Fault(
        refusal(
            "Get daily short volume is too frequent, request failed, no more than 30 times every "
            "30 seconds."
        ),
        RateLimitError,
        "too frequent",
    ),
    "unknown, Chinese": Fault(refusal("未知股票 BBKCF"), UnknownSecurityError, "Check the code"),
    "unknown, English": Fault(refusal("Unknown stock. SQ"), UnknownSecurityError, "US.AAPL"),
    "no right, Chinese": Fault(refusal("行情权限不足"), QuoteRightError, "no right"),
    "no right, English": Fault(
        refusal("US OTC market quote is not available for SSLZY"), QuoteRightError, "no right"
    ),
    "unsupported": Fault(
        refusal("Only HK and A-share stocks and funds are supported; check the code"),
        ReplyError,
        "Only HK and A-share",
    ),
    "server": Fault(refusal("NN_ProtoRet_SvrFailed"), ReplyError, "update OpenD"),
    "timeout": Fault(refusal("NN_ProtoRet_TimeOut", -100), ReplyError, "retType -100"),
    "cut off": Fault(
        refusal("NN_ProtoRet_ByDisConnOrCacnel", -200), ReplyError, "its login and its network"
    ),
    "no word": Fault(raw(MINUS_ONE), ReplyError, "without a word (retType -1)"),
    "words that are no UTF-8": Fault(raw(MINUS_ONE + b"\x12\x02\xff\xfe"), ReplyError, "retType"),
}
# A message whose content cannot be.
ABSURD = {
    "a day that is not UTF-8": Fault(
        page(b"2026-06-18", usItemList=[DAY]), ProtocolError, "trading day"
    ),
    "a cursor that is not UTF-8": Fault(
        page(b"KEY", usItemList=[DAY], nextKey="KEY"), ProtocolError, "next_key is not UTF-8"
    ),
    "a row without a day": Fault(
        page(usItemList=[DAY, {"volume": 5}]), ProtocolError, "neither timestamp nor timestamp_str"
    ),
    "a day that is none": Fault(
        page(usItemList=[{"timestampStr": "2026-02-30"}]), ProtocolError, "2026-02-30"
    ),
    "a day beyond the calendar": Fault(
        page(usItemList=[{"timestamp": 2**62}]), ProtocolError, str(2**62)
    ),
    "rows of HK": Fault(page(hkItemList=[DAY]), ProtocolError, "another market"),
}
ABSURD_AT_ONCE = {
    "a date that is not UTF-8": Fault(
        page(b"DATE", hkItemList=[DAY], newTimeStr="DATE"),
        ProtocolError,
        "new_time_str is not UTF-8",
        "HK.00700",
    ),
    "rows of US": Fault(page(usItemList=[DAY]), ProtocolError, "another market", "HK.00700"),
    "a count beyond 63 bits": Fault(
        page(usItemList=[{**DAY, "volume": 2**63}]), ProtocolError, f"volume = {2**63}"
    ),
    "a count beyond 63 bits, HK": Fault(
        page(hkItemList=[{**DAY, "sharesTraded": 2**64 - 1}]),
        ProtocolError,
        f"shares_traded = {2**64 - 1}",
        "HK.00700",
    ),
}


def at(proto_id: int, numbers: int | range, act: Act) -> Script:
    """Do so at the n-th request of a protocol, from 1, and right at all others."""
    chosen = range(numbers, numbers + 1) if isinstance(numbers, int) else numbers

    def script(exchange: Exchange) -> None:
        if exchange.proto_id == proto_id and exchange.number in chosen:
            act(exchange)
        else:
            exchange.send(exchange.answer)

    return script


def failure(source: FutuShortSource, fault: Fault) -> FutuShortError:
    """The error of a read, which must be the fault's."""
    begin = time.monotonic()
    with pytest.raises(fault.error) as caught:
        source.read()
    assert time.monotonic() - begin < GUARD_S
    assert type(caught.value) is fault.error
    assert fault.words in str(caught.value)
    return caught.value


# A fault may pass, and is asked again; an answer that says no, or whose rows cannot be, will not
# change. Without a limit here, so that "too frequent" is not asked again after a window.
PASSING = {**BROKEN, **SILENT}
LASTING = {**REFUSED, **ABSURD, **ABSURD_AT_ONCE}


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_a_no_is_its_named_error_and_is_not_asked_again(fault: Fault) -> None:
    with (
        SecondGateway(HISTORIES, at(DAILY_SHORT_VOLUME, 1, fault.act)) as gateway,
        closing(
            FutuShortSource(fault.code, gateway=f"{gateway.url}?limit=off", timeout=TIMEOUT_S)
        ) as source,
    ):
        error = failure(source, fault)
        # What is wrong with the rows says whose they are; all else says where it came from.
        rows_are_wrong = fault in {**ABSURD, **ABSURD_AT_ONCE}.values()
        assert rows_are_wrong or gateway.url in str(error)
        assert len(gateway.queries) == 1


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_stays_is_its_named_error_after_three_times(fault: Fault) -> None:
    with (
        SecondGateway(HISTORIES, at(DAILY_SHORT_VOLUME, range(1, 99), fault.act)) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
    ):
        error = failure(source, fault)
        assert gateway.url in str(error)
        assert "asked 3 times" in str(error)
        assert type(error.__cause__) is fault.error
        assert fault.words in str(error.__cause__)
    assert [query.next_key for query in gateway.queries] == [None] * 3


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_does_no_harm(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    with (
        SecondGateway(HISTORIES, at(DAILY_SHORT_VOLUME, range(4, 6), fault.act)) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
    ):
        frame = source.read()
    assert frame["timestamp_str"].tolist() == [row["timestampStr"] for row in ROWS]
    asked = [query.next_key for query in gateway.queries]
    assert asked == [None, "50", "100", "150", "150", "150", "200", "250"]
    said = [r.getMessage() for r in caplog.records if "asked for again" in r.getMessage()]
    assert len(said) == 2
    assert "page after '150'" in said[0]
    assert "(time 2 of 3)" in said[0]
    assert fault.words in said[0]


HANDSHAKES = {
    **BROKEN,
    **SILENT,
    "refused": Fault(refusal("请先登录"), ReplyError, "'请先登录' (retType -1)"),
    "refused without a word": Fault(raw(MINUS_ONE), ReplyError, "without a word"),
}


@pytest.mark.parametrize("fault", HANDSHAKES.values(), ids=HANDSHAKES)
def test_a_fault_in_the_handshake_is_its_named_error(fault: Fault) -> None:
    with (
        SecondGateway(HISTORIES, at(INIT_CONNECT, 1, fault.act)) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
    ):
        error = failure(source, fault)
        assert gateway.url in str(error)
        assert gateway.queries == []
        # A first connection is not tried again by itself; asking again tries again.
        assert gateway.connections == 1
        assert len(source.read()) == len(ROWS)


def test_a_connection_closed_after_the_handshake_is_an_error_of_the_request() -> None:
    def closing_after_the_handshake(exchange: Exchange) -> None:
        exchange.send(exchange.answer)
        exchange.close()

    with (
        SecondGateway(HISTORIES, closing_after_the_handshake) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
        pytest.raises(GatewayDisconnectedError, match=gateway.url),
    ):
        source.read()


RESUMED = {**PASSING, **REFUSED, **ABSURD}


@pytest.mark.parametrize("fault", RESUMED.values(), ids=RESUMED)
def test_after_a_fault_in_the_middle_the_next_read_goes_on_from_there(fault: Fault) -> None:
    times = 3 if fault in PASSING.values() else 1
    with (
        SecondGateway(HISTORIES, at(DAILY_SHORT_VOLUME, range(4, 4 + times), fault.act)) as gateway,
        closing(
            FutuShortSource("US.AAPL", gateway=f"{gateway.url}?limit=off", timeout=TIMEOUT_S)
        ) as source,
    ):
        failure(source, fault)
        assert source.npartitions is None
        assert source.shape is None
        assert len(source.read_partition(2)) == 50  # what was answered is there

        frame = source.read()
        assert frame["timestamp_str"].tolist() == [row["timestampStr"] for row in ROWS]
        assert frame["volume"].tolist() == [row["volume"] for row in ROWS]
        assert source.npartitions == 6
        assert source.shape == (270, len(FIELDS["US"]))
    asked = [query.next_key for query in gateway.queries]
    assert asked == [None, "50", "100", *["150"] * times, "150", "200", "250"]


@pytest.mark.parametrize("at_once", [0, 1, 60])
def test_a_late_answer_to_a_page_that_was_given_up_is_not_taken_for_the_next(at_once: int) -> None:
    late: list[Exchange] = []

    def stalling_once(exchange: Exchange) -> None:
        if exchange.proto_id == DAILY_SHORT_VOLUME and exchange.number == 2:
            exchange.send(exchange.answer[:at_once])
            late.append(exchange)
            return
        if late:
            stalled = late.pop()
            stalled.send(stalled.answer[at_once:])
        exchange.send(exchange.answer)

    with (
        SecondGateway(HISTORIES, stalling_once) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
    ):
        frame = source.read()
        assert frame["timestamp_str"].tolist() == [row["timestampStr"] for row in ROWS]
        # Nothing whole came while the answer was waited for: the connection may be dead.
        assert gateway.connections == 2


# -- cursors ------------------------------------------------------------------------------------


def cursors(following: Callable[[str | None], str], days: Callable[[int], list[str]]) -> Script:
    """Answer the n-th query with these days, and with the cursor that follows the one it had."""

    def script(exchange: Exchange) -> None:
        if exchange.query is None:
            exchange.send(exchange.answer)
            return
        rows = [{"timestampStr": day} for day in days(exchange.number)]
        page(usItemList=rows, nextKey=following(exchange.query.next_key))(exchange)

    return script


def fresh_days(number: int) -> list[str]:
    return [ROWS[number]["timestampStr"]]  # type: ignore[list-item]  # a text, as made


@pytest.mark.parametrize(
    ("after", "asked"),
    [
        ({None: "A", "A": "A"}, [None, "A"]),
        ({None: "A", "A": "B", "B": "A"}, [None, "A", "B"]),
        ({None: "A", "A": "B", "B": "C", "C": "B"}, [None, "A", "B", "C"]),
    ],
)
def test_a_cursor_that_comes_back_is_an_error_and_no_loop(
    after: dict[str | None, str], asked: list[str | None]
) -> None:
    with (
        SecondGateway(HISTORIES, cursors(after.__getitem__, fresh_days)) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
    ):
        for _ in range(2):  # reading again asks nothing new
            with pytest.raises(PaginationError, match=r"US\.AAPL.*came a second time"):
                source.read()
        assert [query.next_key for query in gateway.queries] == asked


@pytest.mark.parametrize("days", [[], ["2026-06-18"]], ids=["no rows", "the same row"])
def test_new_cursors_without_new_rows_come_to_an_end(days: list[str]) -> None:
    def following(next_key: str | None) -> str:
        return str(int(next_key or 0) + 1)

    with (
        SecondGateway(HISTORIES, cursors(following, lambda _: days)) as gateway,
        closing(FutuShortSource("US.AAPL", gateway=gateway.url, timeout=TIMEOUT_S)) as source,
    ):
        with pytest.raises(PaginationError, match=r"US\.AAPL"):
            source.read()
        assert len(gateway.queries) < 30  # within what the gateway allows at once
