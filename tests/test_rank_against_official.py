"""The short-selling rank: our context beside the unchanged official client.

Both ask the second gateway, which the package has no part in, and at the end the package's own.
"""

from __future__ import annotations

import math
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from beside_official import assert_same_frame, bodies, unlimited
from hypothesis import given, settings
from hypothesis import strategies as st
from official_client import OfficialClient, plain
from second_gateway import (
    SHORT_SELLING_RANK,
    Exchange,
    SecondGateway,
    frame,
    obliging,
    official,
    refusal_body,
)
from second_rank import MARKETS, RANK_COUNTS, RANK_FIELDS, RankQuery, RankRow, make_ranked

from intake_futu_short import RET_ERROR, RET_OK, OpenQuoteContext
from intake_futu_short.gateway import sample_gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CALL = "get_short_selling_rank"
# As the official client has them in ``ShortSellingSortField``, its proto numbers them so.
SORT_FIELDS = {
    "N/A": 0,
    "SHORT_NUMBER_CHANGE": 1,
    "SHORT_RATIO_CHANGE": 2,
    "SHORT_NUMBER": 3,
    "SHORT_RATIO": 4,
    "VOLUME": 5,
    "POSITION_VOLUME": 6,
    "POSITION_RATIO": 7,
    "DAYS_TO_COVER": 8,
    "WEEK_AVG_VOLUME": 9,
    "WEEK_AVG_SHORT_NUMBER": 10,
    "WEEK_AVG_SHORT_RATIO": 11,
    "MONTH_AVG_VOLUME": 12,
    "MONTH_AVG_SHORT_NUMBER": 13,
    "MONTH_AVG_SHORT_RATIO": 14,
}
SORT_DIRS = {"DESCENDING": 0, "ASCENDING": 1}
US = make_ranked("US", 83, seed=1, missing=0.2)
HK = make_ranked("HK", 12, seed=2)
PLATES = {
    "US.BK2024": {str(row["security"]) for row in US[:20]},
    "US.BK2025": {str(row["security"]) for row in US[15:27]},
    "US.EMPTY": set(),
}
NO_S2C = b"\x08\x00"


@pytest.fixture(scope="module")
def gateway() -> Iterator[SecondGateway]:
    with SecondGateway(rank={"US": US, "HK": HK}, plates=PLATES) as server:
        yield server


def compare(
    gateway: SecondGateway, client: OfficialClient, *asked: dict[str, Any]
) -> list[tuple[int, dict[str, Any]]]:
    """Ask both clients, and give the rank after it was found to be the same."""
    before = len(bodies(gateway, SHORT_SELLING_RANK))
    theirs = client.calls(gateway.port, *((CALL, arguments) for arguments in asked))
    with unlimited(gateway.port) as context:
        ours = [plain(context.get_short_selling_rank(**arguments)) for arguments in asked]
    for (our_ret, ours_data), (their_ret, their_data) in zip(ours, theirs, strict=True):
        assert our_ret == their_ret == RET_OK
        assert ours_data[0] == their_data[0]
        assert type(ours_data[0]) is int
        assert_same_frame(ours_data[1], their_data[1])
    sent = bodies(gateway, SHORT_SELLING_RANK)[before:]
    assert sent[: len(asked)] == sent[len(asked) :]
    return [(data[0], data[1]) for _, data in ours]


def codes(answer: tuple[int, dict[str, Any]]) -> list[str]:
    return [row[0] for row in answer[1]["rows"]]


def test_every_order_of_every_market(
    gateway: SecondGateway, official_process: OfficialClient
) -> None:
    ways = list(product(MARKETS, SORT_FIELDS, SORT_DIRS))
    asked = [
        {"market": market, "sort_field": field, "sort_dir": direction, "count": 35}
        for market, field, direction in ways
    ]
    answers = compare(gateway, official_process, *asked)
    assert {answer[0] for answer in answers} == {83, 12}
    queries = gateway.rank_queries[-len(asked) :]
    for query, (market, field, direction) in zip(queries, ways, strict=True):
        assert query.market == MARKETS[market]
        assert query.sort_field == SORT_FIELDS[field]
        assert query.sort_dir == SORT_DIRS[direction]


def test_what_is_left_open_is_not_sent(
    gateway: SecondGateway, official_process: OfficialClient
) -> None:
    nothing, (count, all_rows) = compare(gateway, official_process, {}, {"count": None})
    assert nothing == (count, all_rows)
    assert (count, len(all_rows["rows"])) == (83, 10)
    by_default, open_count = gateway.rank_queries[-2:]
    assert by_default.count == 10
    assert open_count.count is None
    for query in (by_default, open_count):
        assert (query.market, query.sort_field, query.sort_dir) == (None, None, None)
        assert (query.offset, query.plates) == (None, ())


def test_columns_are_the_documented_ones(
    gateway: SecondGateway, official_process: OfficialClient
) -> None:
    ((_, rows),) = compare(gateway, official_process, {"market": "HK"})
    assert rows["columns"] == list(RANK_FIELDS.values())
    assert rows["attrs"] == {}
    assert rows["dtypes"][6] == "int64"


def test_paging_by_offset_gives_every_row_once(
    gateway: SecondGateway, official_process: OfficialClient
) -> None:
    asked = [{"count": 35, "offset": offset} for offset in (0, 35, 70, 83, 1000)]
    answers = compare(gateway, official_process, *asked)
    assert [len(codes(answer)) for answer in answers] == [35, 35, 13, 0, 0]
    assert {code for answer in answers for code in codes(answer)} == {r["security"] for r in US}


def test_plates_are_sent_in_their_order(
    gateway: SecondGateway, official_process: OfficialClient
) -> None:
    asked = [
        {"plate_list": plates, "count": 35}
        for plates in (["US.BK2025"], ["US.BK2025", "US.BK2024"], ["US.EMPTY"], [])
    ]
    answers = compare(gateway, official_process, *asked)
    assert [answer[0] for answer in answers] == [12, 27, 0, 83]
    assert gateway.rank_queries[-3].plates == ("US.BK2025", "US.BK2024")


def test_any_iterable_of_plates_will_do(gateway: SecondGateway) -> None:
    with unlimited(gateway.port) as context:
        ret, data = context.get_short_selling_rank(plate_list=(p for p in ("US.BK2024",)))
    assert ret == RET_OK
    assert data[0] == 20


@pytest.mark.parametrize("market", MARKETS)
def test_a_market_without_rows(market: str, official_process: OfficialClient) -> None:
    with SecondGateway() as gateway:
        ((count, rows),) = compare(gateway, official_process, {"market": market})
    assert count == 0
    assert rows["rows"] == []
    assert rows["columns"] == list(RANK_FIELDS.values())
    assert set(rows["dtypes"]) == {"object"}


@pytest.mark.parametrize("number", [1, 35])
@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_absent_fields_are_words(
    number: int, missing: float, official_process: OfficialClient
) -> None:
    rows = make_ranked("US", number, seed=number, missing=missing)
    with SecondGateway(rank={"US": rows}, tells_count=False) as gateway:
        ((count, got),) = compare(gateway, official_process, {"count": 35})
    assert count == 0  # nobody said
    absent = sum(len(RANK_FIELDS) - len(row) for row in rows)
    assert sum(row.count("N/A") for row in got["rows"]) == absent


def test_one_field_absent_at_a_time(official_process: OfficialClient) -> None:
    (row,) = make_ranked("US", 1)
    rows = [
        {**{k: v for k, v in row.items() if k != name}, "security": f"US.{i}"}
        for i, name in enumerate(list(RANK_FIELDS)[1:])
    ]
    with SecondGateway(rank={"US": rows}) as gateway:
        alone = [{"count": 1, "offset": i, "sort_field": "WEEK_AVG_VOLUME"} for i in range(17)]
        answers = compare(gateway, official_process, {"count": 35}, *alone)
    assert [answer[1]["rows"][0].count("N/A") for answer in answers] == [1] * 18


@st.composite
def some_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for i in range(draw(st.integers(0, 6))):
        row: dict[str, Any] = {"security": draw(st.sampled_from([f"US.T{i}", "US.BRK.B", "HK.1"]))}
        row["name"] = draw(st.none() | st.text(st.characters(exclude_categories=["Cs"])))
        for name in list(RANK_FIELDS)[2:]:
            in_range = st.integers(-(2**63), 2**63 - 1) if name in RANK_COUNTS else st.floats()
            row[name] = draw(st.none() | in_range)
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows


@settings(max_examples=40)
@given(some_rows())
def test_any_rows(
    gateway: SecondGateway, official_process: OfficialClient, rows: list[dict[str, Any]]
) -> None:
    gateway.rank["US"] = rows
    try:
        as_they_are = {"sort_field": "WEEK_AVG_VOLUME", "count": 35}
        ((count, got),) = compare(gateway, official_process, as_they_are)
    finally:
        gateway.rank["US"] = US
    assert count == len(got["rows"]) == len(rows)


def test_extreme_numbers(official_process: OfficialClient) -> None:
    counts = [0, -(2**63), 2**63 - 1, 2**53 + 1]
    numbers = [-0.0, 5e-324, sys.float_info.max, math.inf, -math.inf, math.nan]
    rows = make_ranked("US", 12)
    for i, row in enumerate(rows):
        for j, name in enumerate(list(RANK_FIELDS)[2:]):
            of_kind = counts if name in RANK_COUNTS else numbers
            row[name] = of_kind[(i + j) % len(of_kind)]
    with SecondGateway(rank={"US": rows}) as gateway:
        compare(gateway, official_process, {"sort_field": "MONTH_AVG_VOLUME", "count": 35})


def test_rows_that_repeat_and_offsets_that_shift_are_given_as_they_came(
    official_process: OfficialClient,
) -> None:
    def shift(query: RankQuery, rows: list[RankRow]) -> list[RankRow]:
        # Each time that the second page is asked for, three newcomers have come in at the top.
        return [*rows[-3:], *rows[:-3]] if query.offset else rows

    rows = make_ranked("US", 20)
    with SecondGateway(rank={"US": [*rows, rows[0]]}, reorder=shift) as gateway:
        answers = compare(gateway, official_process, {"offset": 0}, {"offset": 10})
    assert answers[0][0] == answers[1][0] == 21
    assert len(set(codes(answers[0])) & set(codes(answers[1]))) == 3


def answering(body: Callable[[], bytes]) -> Callable[[Exchange], None]:
    """A script that answers every query for the rank with one body."""

    def script(exchange: Exchange) -> None:
        if exchange.rank_query is None:
            obliging(exchange)
        else:
            exchange.send(frame(SHORT_SELLING_RANK, exchange.serial, body()))

    return script


def response(fill: Callable[[Any], None]) -> bytes:
    messages = official("Qot_GetShortSellingRank_pb2")
    answer = messages.Response(retType=0, s2c=messages.S2C())
    fill(answer.s2c)
    return bytes(answer.SerializePartialToString())


OTHER_MARKETS = [0, 2, 3, 21, 22, 31, 41, 51, 61, 71, 81, 91, 101, 102, -1]


def test_securities_of_any_market_are_named_as_the_official_client_names_them(
    official_process: OfficialClient,
) -> None:
    def fill(s2c: Any) -> None:
        for market in OTHER_MARKETS:
            s2c.dataList.add().security.MergeFrom(
                official("Qot_Common_pb2").Security(market=market, code="A.B")
            )

    with SecondGateway(script=answering(lambda: response(fill))) as gateway:
        (answer,) = compare(gateway, official_process, {})
    assert codes(answer)[:5] == ["N/A.A.B", "HK_FUTURE.A.B", "N/A.A.B", "SH.A.B", "SZ.A.B"]


def test_a_row_that_names_no_security_is_given_as_the_official_client_gives_it(
    official_process: OfficialClient,
) -> None:
    body = response(lambda s2c: s2c.dataList.add(name="nobody"))
    with SecondGateway(script=answering(lambda: body)) as gateway:
        (answer,) = compare(gateway, official_process, {})
    assert codes(answer) == ["N/A."]


def test_success_without_content_is_no_empty_rank_here(official_process: OfficialClient) -> None:
    with (
        SecondGateway(script=answering(lambda: NO_S2C)) as gateway,
        unlimited(gateway.port) as context,
    ):
        ((their_ret, theirs),) = official_process.calls(gateway.port, (CALL, {}))
        ret, message = context.get_short_selling_rank()
    # The official client takes it for a market without short selling.
    assert their_ret == RET_OK
    assert theirs[0] == 0
    assert theirs[1]["rows"] == []
    assert ret == RET_ERROR
    assert "no content" in str(message)


@pytest.mark.parametrize("ret_type", [-1, -400, 3])
def test_a_refusal_is_told_in_its_words(ret_type: int, official_process: OfficialClient) -> None:
    body = refusal_body("无权限", ret_type)
    with (
        SecondGateway(script=answering(lambda: body)) as gateway,
        unlimited(gateway.port) as context,
    ):
        theirs = official_process.calls(gateway.port, (CALL, {}))
        ret, message = context.get_short_selling_rank()
    assert theirs == [[RET_ERROR, "无权限"]]
    assert ret == RET_ERROR
    assert "无权限" in str(message)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"market": "SH"}, "market must be one of US, HK, not 'SH'"),
    ({"market": "us"}, "market must be one of US, HK"),
    ({"market": "N/A"}, "market must be one of US, HK"),
    ({"market": 11}, "market must be one of US, HK, not 11"),
    ({"market": ["US"]}, "market must be one of US, HK"),
    ({"sort_field": "short_ratio"}, "sort_field must be one of N/A, SHORT_NUMBER_CHANGE,"),
    ({"sort_field": 4}, "MONTH_AVG_SHORT_RATIO, not 4"),
    ({"sort_field": "CLOSE_PRICE"}, "not 'CLOSE_PRICE'"),
    ({"sort_dir": "UP"}, "sort_dir must be one of DESCENDING, ASCENDING, not 'UP'"),
    ({"sort_dir": 0}, "sort_dir must be one of DESCENDING, ASCENDING, not 0"),
    ({"count": 0}, "count must be a whole number, 1 to 35 (rows), not 0"),
    ({"count": 36}, "count must be a whole number, 1 to 35 (rows), not 36"),
    ({"count": "many"}, "count must be a whole number"),
    ({"count": 2.5}, "count must be a whole number"),
    ({"offset": -1}, "offset must be a whole number, 0 to 2147483647 (rows to pass over), not -1"),
    ({"offset": 2**31}, "offset must be a whole number"),
    ({"offset": True}, "offset must be a whole number"),
    ({"plate_list": "US.BK2024"}, "plate_list must be a list of codes of plates"),
    ({"plate_list": 2024}, "plate_list must be a list of codes of plates"),
    ({"plate_list": ["BK2024"]}, "'BK2024' is not a code"),
    ({"plate_list": [None]}, "code must be a string"),
    ({"plate_list": ["HK.BK1001"]}, "plate_list names HK.BK1001, and the rank is of the market US"),
    ({"market": "HK", "plate_list": ["US.BK2024"]}, "the rank is of the market HK"),
]


@pytest.mark.parametrize(("asked", "says"), WRONG, ids=[str(asked) for asked, _ in WRONG])
def test_what_cannot_be_is_a_message_and_is_not_asked(asked: dict[str, Any], says: str) -> None:
    with SecondGateway() as gateway, OpenQuoteContext(port=gateway.port) as context:
        ret, message = context.get_short_selling_rank(**asked)
        assert gateway.connections == 0
    assert ret == RET_ERROR
    assert isinstance(message, str)
    assert says in message


@pytest.mark.parametrize(
    "asked",
    [{"count": "7"}, {"count": 7.0}, {"offset": "3"}, {"offset": 3.0, "count": 35}],
    ids=str,
)
def test_numbers_may_be_written_otherwise(
    asked: dict[str, Any], gateway: SecondGateway, official_process: OfficialClient
) -> None:
    compare(gateway, official_process, asked)


def test_a_gateway_that_is_down_is_a_message() -> None:
    with SecondGateway() as gateway:
        port = gateway.port
    with OpenQuoteContext(port=port) as context:
        ret, message = context.get_short_selling_rank()
    assert ret == RET_ERROR
    assert "no gateway answers at opend://127.0.0.1" in str(message)


def test_an_order_of_the_second_gateway_is_right() -> None:
    rows: Sequence[RankRow] = [
        {"security": "US.A", "shortRatio": 1.0},
        {"security": "US.B"},
        {"security": "US.C", "shortRatio": 3.0},
    ]
    with SecondGateway(rank={"US": rows}) as gateway, unlimited(gateway.port) as context:
        found = [
            plain(context.get_short_selling_rank(sort_field="SHORT_RATIO", sort_dir=direction))
            for direction in SORT_DIRS
        ]
    assert [codes(data) for _, data in found] == [
        ["US.C", "US.A", "US.B"],
        ["US.A", "US.C", "US.B"],
    ]


def test_over_the_package_s_own_gateway(official_process: OfficialClient) -> None:
    asked: list[dict[str, Any]] = [
        {"market": market, "sort_field": field, "sort_dir": direction}
        for market, field, direction in product(MARKETS, SORT_FIELDS, SORT_DIRS)
    ]
    asked += [{}, {"count": 1}, {"offset": 1, "count": 35}, {"offset": 1000}]
    with sample_gateway() as server:
        theirs = official_process.calls(server.port, *((CALL, arguments) for arguments in asked))
        with unlimited(server.port) as context:
            ours = [plain(context.get_short_selling_rank(**arguments)) for arguments in asked]
    for (our_ret, our_data), (their_ret, their_data) in zip(ours, theirs, strict=True):
        assert our_ret == their_ret == RET_OK
        assert our_data[0] == their_data[0] > 0
        assert_same_frame(our_data[1], their_data[1])
    assert len(ours[-3][1][1]["rows"]) == 1
    assert ours[-1][1][1]["rows"] == []
