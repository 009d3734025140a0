"""Short interest: our context beside the unchanged official client, each reading the same gateway.

Two gateways: the second one, which the package has no part in, and the package's own.
"""

from __future__ import annotations

import math
import sys
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from beside_official import assert_same_frame, assert_same_pages, bodies, interest_pages, unlimited
from hypothesis import given, settings
from hypothesis import strategies as st
from official_client import SHORT_INTEREST as OFFICIAL_CALL
from official_client import OfficialClient, plain
from second_gateway import Exchange, SecondGateway, frame, obliging, official, refusal_body
from second_rows import COUNTS, INTEREST_FIELDS, SHORT_INTEREST, make_rows
from second_rows import History as SecondHistory

from intake_futu_short import RET_ERROR, RET_OK
from intake_futu_short.calls import SHORT_INTEREST as CALL
from intake_futu_short.gateway import Gateway, History
from intake_futu_short.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from second_rows import Row

MARKETS = ["US", "HK"]
NO_S2C = b"\x08\x00"
# What the package's own gateway serves; it looks at each request.
OWN: dict[str, History] = {}


def code_of(market: str) -> str:
    return f"{market}.T"


def own_history(market: str, rows: Sequence[Row]) -> History:
    """The same for the package's own gateway, which knows rows by their columns."""
    columns = INTEREST_FIELDS[market]
    named = [{columns[name]: value for name, value in row.items()} for row in rows]
    return History(Security.parse(code_of(market)), named, call=CALL)


class Both:
    """The two gateways, with the same rows."""

    def __init__(self, client: OfficialClient, own: Gateway, second: SecondGateway) -> None:
        self._client = client
        self._own = own
        self._second = second

    def compare(self, market: str, rows: Sequence[Row], num: int | None) -> list[int]:
        """Read them with both clients, and count the rows of the pages."""
        code = code_of(market)
        OWN[code] = own_history(market, rows)
        self._second.short_interest[code] = SecondHistory(market, rows)
        counts: list[list[int]] = []
        for port in (self._own.port, self._second.port):
            said = self._client.read(port, code, num, None, OFFICIAL_CALL)
            assert said["error"] is None
            assert_same_pages(interest_pages(port, code, num), said["pages"])
            counts.append([len(page[market.lower()]["rows"]) for page in said["pages"]])
        assert counts[0] == counts[1]
        return counts[0]


@pytest.fixture(scope="module")
def both(official_process: OfficialClient) -> Iterator[Both]:
    with Gateway({}, short_interest=OWN) as own, SecondGateway() as second:
        yield Both(official_process, own, second)


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize(
    ("number", "num", "pages"),
    [
        (0, None, [0]),
        (1, None, [1]),
        (10, None, [10, 0]),
        (23, None, [10, 10, 3]),
        (1, 1, [1, 0]),
        (50, 50, [50, 0]),
        (57, 50, [50, 7]),
        (6, 3, [3, 3, 0]),
    ],
)
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_pages_of_every_size(
    both: Both, market: str, number: int, num: int | None, pages: list[int], missing: float
) -> None:
    rows = make_rows(market, number, seed=number, missing=missing, call=SHORT_INTEREST)
    assert both.compare(market, rows, num) == pages


@st.composite
def some_rows(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """Rows of one market, with any fields but those that tell the day left out."""
    market = draw(st.sampled_from(MARKETS))
    number = draw(st.integers(0, 12))
    rows = []
    for row in make_rows(market, number, call=SHORT_INTEREST):
        kept: dict[str, Any] = {}
        for name, value in row.items():
            if name in {"timestamp", "timestampStr"}:
                kept[name] = value
            elif name in COUNTS:
                kept[name] = draw(st.none() | st.integers(0, 2**64 - 1))
            else:
                kept[name] = draw(st.none() | st.floats())
        one_day = draw(st.sampled_from(["timestamp", "timestampStr", ""]))
        rows.append({k: v for k, v in kept.items() if v is not None and k != one_day})
    return market, rows


@settings(max_examples=40)
@given(some_rows(), st.none() | st.integers(1, 13))
def test_any_rows(both: Both, drawn: tuple[str, list[dict[str, Any]]], num: int | None) -> None:
    market, rows = drawn
    assert sum(both.compare(market, rows, num)) == len(rows)


def patterns(market: str) -> list[dict[str, int | float | str]]:
    """A row for every set of fields that can be there, none among them."""
    names = list(INTEREST_FIELDS[market])
    (row,) = make_rows(market, 1, call=SHORT_INTEREST)
    return [
        {name: row[name] for name in kept}
        for size in range(len(names) + 1)
        for kept in combinations(names, size)
    ]


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("num", [1, 50])
def test_fields_absent_in_every_pattern(
    market: str, num: int, official_process: OfficialClient
) -> None:
    rows = patterns(market)
    assert len(rows) == 2 ** len(INTEREST_FIELDS[market])
    # What comes alone has other dtypes than what comes among others; a reading has 100 pages.
    parts = {f"{market}.P{i}": rows[i : i + 90] for i in range(0, len(rows), 90)}
    with SecondGateway(short_interest=parts) as gateway:
        for code, part in parts.items():
            said = official_process.read(gateway.port, code, num, None, OFFICIAL_CALL)
            assert said["error"] is None
            assert_same_pages(interest_pages(gateway.port, code, num), said["pages"])
            key = market.lower()
            assert sum(len(page[key]["rows"]) for page in said["pages"]) == len(part)


@pytest.mark.parametrize("market", MARKETS)
def test_extreme_numbers(both: Both, market: str) -> None:
    counts = [0, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    numbers = [-0.0, 5e-324, sys.float_info.max, -1.5, math.inf, -math.inf, math.nan]
    rows = make_rows(market, 14, call=SHORT_INTEREST)
    for i, row in enumerate(rows):
        for j, name in enumerate(list(INTEREST_FIELDS[market])[2:]):
            of_kind = counts if name in COUNTS else numbers
            row[name] = of_kind[(i + j) % len(of_kind)]
    assert both.compare(market, rows, 3) == [3, 3, 3, 3, 2]


@pytest.mark.parametrize(
    ("next_key", "num", "sent"),
    [(None, None, None), ("", None, None), ("", 7, None), ("10", 5, "10"), ("-1", None, "-1")],
)
def test_the_request_is_the_official_client_s(
    next_key: str | None, num: int | None, sent: str | None, official_process: OfficialClient
) -> None:
    asked: dict[str, Any] = {"code": "US.T", "next_key": next_key, "num": num}
    rows = make_rows("US", 12, call=SHORT_INTEREST)
    with SecondGateway(short_interest={"US.T": rows}) as gateway, unlimited(gateway.port) as ours:
        ret, *_ = ours.get_short_interest(**asked)
        (theirs,) = official_process.calls(gateway.port, (OFFICIAL_CALL, asked))
        assert ret == theirs[0] == (RET_ERROR if next_key == "-1" else RET_OK)
        assert [(query.next_key, query.num) for query in gateway.queries] == [(sent, num)] * 2
        our_body, their_body = bodies(gateway, SHORT_INTEREST)
        assert our_body == their_body


@pytest.mark.parametrize(
    "asked",
    [
        {"code": None},
        {"code": 700},
        {"code": "00700"},
        {"code": "US"},
        {"code": "NO.T"},
        {"code": "US.T", "num": "many"},
        {"code": "US.T", "next_key": 5},
        {"code": "US.NONE"},
        {"code": "US.T", "next_key": "no cursor"},
    ],
    ids=str,
)
def test_what_goes_wrong_has_the_official_shape(
    asked: dict[str, Any], official_process: OfficialClient
) -> None:
    rows = make_rows("US", 3, call=SHORT_INTEREST)
    with SecondGateway(short_interest={"US.T": rows}) as gateway, unlimited(gateway.port) as ours:
        (theirs,) = official_process.calls(gateway.port, (OFFICIAL_CALL, asked))
        ret, message, nothing = ours.get_short_interest(**asked)
    assert ret == theirs[0] == RET_ERROR
    assert isinstance(message, str)
    assert isinstance(theirs[1], str)
    assert nothing is theirs[2] is None


@pytest.mark.parametrize("ret_type", [-1, -100, -400, 7])
def test_a_refusal_is_told_in_its_words(ret_type: int, official_process: OfficialClient) -> None:
    def refuse(exchange: Exchange) -> None:
        if exchange.query is not None:
            body = refusal_body("no luck today", ret_type)
            exchange.send(frame(SHORT_INTEREST, exchange.serial, body))
        else:
            obliging(exchange)

    with SecondGateway(script=refuse) as gateway, unlimited(gateway.port) as ours:
        (theirs,) = official_process.calls(gateway.port, (OFFICIAL_CALL, {"code": "US.T"}))
        ret, message, nothing = ours.get_short_interest("US.T")
    assert theirs == [RET_ERROR, "no luck today", None]
    assert (ret, nothing) == (RET_ERROR, None)
    assert "no luck today" in str(message)


def test_success_without_content_is_no_empty_page_here(official_process: OfficialClient) -> None:
    def say_nothing(exchange: Exchange) -> None:
        if exchange.query is not None:
            exchange.send(frame(SHORT_INTEREST, exchange.serial, NO_S2C))
        else:
            obliging(exchange)

    with SecondGateway(script=say_nothing) as gateway, unlimited(gateway.port) as ours:
        (theirs,) = official_process.calls(gateway.port, (OFFICIAL_CALL, {"code": "US.T"}))
        ret, message, nothing = ours.get_short_interest("US.T")
    # The official client takes it for the end of the history; then a history would be cut short.
    assert theirs[0] == RET_OK
    assert theirs[1]["rows"] == []
    assert theirs[1]["attrs"] == {"next_key": "-1"}
    assert (ret, nothing) == (RET_ERROR, None)
    assert "no content" in str(message)


def test_an_answer_without_rows_and_cursor_is_the_last_page(
    official_process: OfficialClient,
) -> None:
    def empty(exchange: Exchange) -> None:
        if exchange.query is not None:
            messages = official("Qot_GetShortInterest_pb2")
            response = messages.Response(retType=0, s2c=messages.S2C())
            exchange.send(frame(SHORT_INTEREST, exchange.serial, response.SerializeToString()))
        else:
            obliging(exchange)

    with SecondGateway(script=empty) as gateway, unlimited(gateway.port) as ours:
        (theirs,) = official_process.calls(gateway.port, (OFFICIAL_CALL, {"code": "HK.T"}))
        answer = ours.get_short_interest("HK.T")
    assert plain(answer)[0] == theirs[0] == RET_OK
    for our_frame, their_frame in zip(plain(answer)[1:], theirs[1:], strict=True):
        assert_same_frame(our_frame, their_frame)
        assert our_frame["attrs"] == {"next_key": "-1"}


def test_rows_repeated_and_rows_of_both_markets_are_given_as_they_came(
    official_process: OfficialClient,
) -> None:
    us = make_rows("US", 4, call=SHORT_INTEREST)
    hk = make_rows("HK", 3, call=SHORT_INTEREST, missing=0.3)

    def mixed(exchange: Exchange) -> None:
        if exchange.query is not None:
            messages = official("Qot_GetShortInterest_pb2")
            response = messages.Response(retType=0, s2c=messages.S2C(nextKey="more"))
            for row in [*us, us[1], us[1]]:
                response.s2c.usItemList.add(**row)
            for row in [hk[2], *hk]:
                response.s2c.hkItemList.add(**row)
            exchange.send(frame(SHORT_INTEREST, exchange.serial, response.SerializeToString()))
        else:
            obliging(exchange)

    with SecondGateway(script=mixed) as gateway, unlimited(gateway.port) as ours:
        (theirs,) = official_process.calls(gateway.port, (OFFICIAL_CALL, {"code": "US.T"}))
        answer = plain(ours.get_short_interest("US.T"))
    assert [len(theirs[1]["rows"]), len(theirs[2]["rows"])] == [6, 4]
    assert answer[0] == theirs[0] == RET_OK
    for our_frame, their_frame in zip(answer[1:], theirs[1:], strict=True):
        assert_same_frame(our_frame, their_frame)
