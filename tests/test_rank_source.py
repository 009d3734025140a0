"""The rank as a source, against a gateway on the official client's messages."""

from __future__ import annotations

import datetime as dt
import pickle
import time
import tracemalloc
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fsspec
import intake
import pandas as pd
import pytest
import yaml
from deaf_port import deaf_port
from rank_gateway import FIELDS, RankGateway, Row, codes_of, make_rank
from second_gateway import SHORT_SELLING_RANK, Exchange, official, silent_after_the_handshake
from second_rank import RANK_COUNTS, RankQuery
from second_rows import History, make_rows

from intake_futu_short import FutuShortRankSource, RankWarning
from intake_futu_short.errors import (
    ConfigError,
    GatewayTimeoutError,
    GatewayUnreachableError,
    PaginationError,
    ProtocolError,
    QuoteRightError,
)
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.rank_requests import SORTS
from intake_futu_short.ranking import Ranking
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import US
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from intake_futu_short.calls import Question, Reply


def open_rank(*gateways: RankGateway, **given: Any) -> FutuShortRankSource:
    urls = [gateway.url for gateway in gateways]
    return FutuShortRankSource(gateway=urls, **given)


def test_intake_knows_the_driver_by_its_entry_point() -> None:
    assert intake.open_futu_short_rank is FutuShortRankSource


@pytest.mark.parametrize("market", ["US", "HK"])
@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
def test_every_value_arrives_as_it_was_sent(market: str, missing: float) -> None:
    rows = make_rank(50, market=market, missing=missing)
    with RankGateway(rows) as gateway, open_rank(gateway, market=market) as source:
        frame = source.read()
    assert frame.columns.tolist() == ["code", *FIELDS.values()]
    assert frame["code"].tolist() == codes_of(rows, market)
    for sent, column in FIELDS.items():
        kind = "Int64" if sent in RANK_COUNTS else "float64"
        if sent != "name":
            assert str(frame[column].dtype) == kind
        values = frame[column].astype(object).where(frame[column].notna(), None).tolist()
        assert values == [row.get(sent) for row in rows]
    assert source.dtype == {str(name): str(kind) for name, kind in frame.dtypes.items()}


@pytest.mark.parametrize(
    ("there", "rows", "parts", "asked"),
    [
        (0, 100, [], [0]),
        (1, 100, [1], [0]),
        (35, 100, [35], [0]),
        (36, 100, [35, 1], [0, 35]),
        (100, 100, [35, 35, 30], [0, 35, 70]),
        (300, 100, [35, 35, 30], [0, 35, 70]),
        (300, 1, [1], [0]),
        (300, 35, [35], [0]),
        (300, 36, [35, 1], [0, 35]),
    ],
)
def test_partitions_are_requests_of_35_rows(
    there: int, rows: int, parts: list[int], asked: list[int]
) -> None:
    listed = make_rank(there)
    with RankGateway(listed) as gateway, open_rank(gateway, rows=rows) as source:
        frame = source.read()
        assert source.npartitions == len(parts)
        assert source.shape == (sum(parts), 18)
        assert [len(part) for part in source.read_chunked()] == parts
        assert source.discover()["shape"] == (sum(parts), 18)
        assert gateway.offsets == asked
    assert frame["code"].tolist() == codes_of(listed)[:rows]
    assert frame.index.equals(pd.RangeIndex(sum(parts)))
    assert (frame.attrs["all_count"], frame.attrs["repeated"]) == (there, 0)


@pytest.mark.parametrize(("there", "asked"), [(70, [0, 35, 70]), (71, [0, 35, 70]), (20, [0])])
def test_a_gateway_that_counts_nothing_is_asked_until_it_has_no_more(
    there: int, asked: list[int]
) -> None:
    with RankGateway(make_rank(there), all_count=None) as gateway, open_rank(gateway) as source:
        frame = source.read()
        assert gateway.offsets == asked
    assert (len(frame), frame.attrs["all_count"]) == (there, None)


@pytest.mark.parametrize("count", [-1, 0, 12])
@pytest.mark.parametrize(
    ("there", "asked"), [(20, [0]), (70, [0, 35, 70]), (80, [0, 35, 70]), (130, [0, 35, 70])]
)
def test_a_count_smaller_than_its_rows_is_none(there: int, asked: list[int], count: int) -> None:
    with RankGateway(make_rank(there), all_count=count) as gateway, open_rank(gateway) as source:
        frame = source.read()
        assert gateway.offsets == asked
        assert len(frame) == min(there, 100)
        assert frame.attrs["all_count"] == count
        assert source.npartitions == len([offset for offset in asked if offset < there])


def test_a_count_that_later_rows_contradict_is_none() -> None:
    with RankGateway(make_rank(80), all_count=36) as gateway, open_rank(gateway) as source:
        assert len(source.read()) == 80
        assert gateway.offsets == [0, 35, 70]


def test_many_more_rows_than_there_are_cost_no_memory() -> None:
    rows = make_rank(40)
    with RankGateway(rows) as gateway, open_rank(gateway, rows=10**8) as source:
        tracemalloc.start()
        try:
            frame = source.read()
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert gateway.offsets == [0, 35]
    assert frame["code"].tolist() == codes_of(rows)
    assert peak_bytes < 10_000_000


def test_what_is_asked_for_is_what_was_said() -> None:
    with RankGateway(make_rank(3, market="HK")) as gateway:
        plates = ["HK.BK1001", "HK.LIST1059", "HK.BK1001"]
        with open_rank(
            gateway, market="HK", sort="month_avg_short_ratio", descending=False, plates=plates,
            rows=7,
        ) as source:  # fmt: skip
            frame = source.read()
        with open_rank(gateway, market="HK", sort="short_number_change") as source:
            source.read()
        assert gateway.rank_queries == [
            RankQuery(1, 14, 1, 0, 7, ("HK.BK1001", "HK.LIST1059")),
            RankQuery(1, 1, 0, 0, 35, ()),
        ]
    assert frame.attrs["sort"] == "month_avg_short_ratio"
    assert frame.attrs["descending"] is False
    assert frame.attrs["plates"] == ["HK.BK1001", "HK.LIST1059"]


def test_the_names_of_the_sorts_have_the_numbers_of_the_protocol() -> None:
    kinds = official("Qot_GetShortSellingRank_pb2").ShortSellingSortField
    theirs = {name.partition("_")[2].lower(): number for name, number in kinds.items()}
    assert {name.replace("_", ""): number for name, number in SORTS.items()} == {
        name: number for name, number in theirs.items() if number
    }


def test_a_partition_asks_for_its_own_rows_and_nothing_twice() -> None:
    rows = make_rank(100)
    with RankGateway(rows) as gateway, open_rank(gateway) as source:
        assert (source.npartitions, source.shape) == (None, None)
        assert gateway.connections == 0
        part = source.read_partition(2)
        assert part["code"].tolist() == codes_of(rows)[70:]
        assert part.index.equals(pd.RangeIndex(30))
        assert gateway.offsets == [70]
        assert (source.npartitions, source.shape) == (3, None)
        assert "in part, 1 partition so far" in repr(source)
        source.read_partition(2)
        assert source.read()["code"].tolist() == codes_of(rows)
        assert source.shape == (100, 18)
        assert gateway.offsets == [0, 35, 70]
        with pytest.raises(IndexError, match="partition 3 is out of range: US short-selling rank"):
            source.read_partition(3)
        with pytest.raises(IndexError, match="counts from 0"):
            source.read_partition(-1)
        source.close()
        assert [source.npartitions, source.shape, source.metadata] == [None, None, {}]
        source.read_partition(0)
        assert gateway.offsets == [0, 0, 35, 70]


def test_beyond_the_rows_wanted_nothing_is_asked() -> None:
    with RankGateway(make_rank(300)) as gateway, open_rank(gateway) as source:
        with pytest.raises(IndexError, match="has fewer partitions"):
            source.read_partition(3)
        assert gateway.rank_queries == []


def test_attrs_say_when_it_was_asked_and_metadata_has_them() -> None:
    before = time.time()
    with (
        RankGateway(make_rank(40)) as gateway,
        open_rank(gateway, metadata={"desk": "a"}) as source,
    ):
        frame = source.read()
        asked = dt.datetime.fromisoformat(frame.attrs["asked"])
        assert asked.utcoffset() == dt.timedelta(0)
        assert before - 0.001 <= asked.timestamp() <= time.time()
        assert source.metadata == {"desk": "a", **frame.attrs}
    assert set(frame.attrs) == {
        "market", "sort", "descending", "plates", "all_count", "asked", "repeated",
    }  # fmt: skip


def test_dask_partitions_are_the_requests() -> None:
    pytest.importorskip("dask.dataframe")
    with RankGateway(make_rank(80)) as gateway, open_rank(gateway) as source:
        lazy = source.to_dask()
        frame = source.read()
        assert gateway.offsets == [0, 35, 70]
    assert lazy.npartitions == 3
    pd.testing.assert_frame_equal(lazy.compute(), frame)


class Told(fsspec.Callback):  # type: ignore[misc]  # fsspec has no types
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[int] = []

    def absolute_update(self, value: int) -> None:
        self.values.append(value)


def test_a_callback_is_told_of_the_requests() -> None:
    told = Told()
    with RankGateway(make_rank(100)) as gateway, open_rank(gateway) as source:
        source.read(callback=told)
    assert told.values == sorted(set(told.values))
    assert told.values[-1] == 3


def test_rows_are_shown_once_though_the_markets_share_a_field() -> None:
    class Shown:
        rows = 0

        def show(self, tickers: int, pages: int, rows: int, wait_s: float) -> None:
            self.rows = rows

        def close(self) -> None:
            """Nothing to put away."""

    shown = Shown()
    with RankGateway(make_rank(20)) as gateway:
        gateways = open_gateways([GatewayURL.parse(gateway.url)], 5.0)
        ranking = Ranking(US, "short_ratio", descending=True, rows=35, plates=())
        with closing(gateways):
            read({"": iter_question(ranking)}, gateways, shown)
    assert shown.rows == 20


def iter_question(ranking: Ranking) -> Generator[Question, Reply, None]:
    yield ranking.question(0)


# -- a list that moves ---------------------------------------------------------------------------


def in_front(rows: list[Row], times: int) -> list[Row]:
    """Another ticker comes into the list at its top after each answer."""
    return [{"security": {"market": 11, "code": f"NEW{times}"}}, *rows]


def out_of_it(rows: list[Row], _: int) -> list[Row]:
    """The first ticker leaves the list after each answer."""
    return rows[1:]


def test_of_a_ticker_that_comes_twice_the_first_row_stays_and_a_warning_counts() -> None:
    rows = make_rank(200)
    with RankGateway(rows, shift=in_front, all_count=None) as gateway, open_rank(gateway) as source:
        with pytest.warns(
            RankWarning, match="US short-selling rank: 2 rows came twice and stayed"
        ) as told:
            frame = source.read()
        assert len(told) == 1
        assert told[0].filename == __file__
        # Of rows 35 to 69 and 70 to 99 the first is the one before.
        assert frame["code"].tolist() == codes_of(rows)[:98]
        assert frame.attrs["repeated"] == 2
        assert [len(part) for part in source.read_chunked()] == [35, 34, 29]
        assert source.read_partition(1).attrs["repeated"] == 1
        assert source.npartitions == 3


def test_a_partition_in_somebodys_hands_keeps_its_rows() -> None:
    rows = make_rank(70)
    with RankGateway(rows, shift=in_front, all_count=70) as gateway:
        source = open_rank(gateway, rows=70)
        held = source.read_partition(1)
        assert held["code"].tolist() == codes_of(rows)[35:]
        first = source.read_partition(0)
        assert first["code"].tolist() == ["US.NEW1", *codes_of(rows)[:34]]
        assert source.read_partition(1)["code"].equals(held["code"])
        assert source.read()["code"].tolist() == [*first["code"], *held["code"]]
        source.close()


def test_a_list_that_got_shorter_is_told_from_its_counts() -> None:
    rows = make_rank(100)
    with (
        RankGateway(rows, shift=out_of_it) as gateway,
        open_rank(gateway) as source,
        pytest.warns(RankWarning, match="the gateway counted 98 to 100 tickers meanwhile"),
    ):
        frame = source.read()
    # Two tickers moved up across the end of a part; nobody can know which.
    assert len(frame) == 98
    assert not {"US.T35", "US.T71"} & set(frame["code"])


def test_a_gateway_that_lists_less_than_it_counts_is_told() -> None:
    with RankGateway(make_rank(50), all_count=9000) as gateway, open_rank(gateway) as source:
        with pytest.warns(RankWarning, match="9,000 tickers and gave 50 of the 100"):
            frame = source.read()
        assert frame.attrs["all_count"] == 9000
        assert (len(frame), source.npartitions) == (50, 2)


def test_a_gateway_that_knows_no_offset_is_an_error_and_no_endless_read() -> None:
    class Deaf(RankGateway):
        def ranked(self, query: RankQuery) -> bytes:
            return super().ranked(replace(query, offset=0))

    with Deaf(make_rank(300), all_count=None) as gateway, open_rank(gateway, rows=9999) as source:
        with pytest.raises(PaginationError, match=r"rows 36 to 70.*all 35 rows came before"):
            source.read()
        assert gateway.offsets == [0, 35]


def test_more_rows_than_were_asked_for_are_not_taken() -> None:
    class Generous(RankGateway):
        def ranked(self, query: RankQuery) -> bytes:
            return super().ranked(replace(query, count=35))

    rows = make_rank(100)
    with Generous(rows) as gateway, open_rank(gateway, rows=40) as source:
        assert source.read()["code"].tolist() == codes_of(rows)[:40]


# -- answers that cannot be ----------------------------------------------------------------------


def unnamed(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "security"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (unnamed, "row 3 names no security"),
        (
            lambda row: {**row, "security": {"market": 1, "code": "00700"}},
            "'00700' of the market 1",
        ),
        (lambda row: {**row, "security": {"market": 11, "code": ""}}, "the code ''"),
        (lambda row: {**row, "security": {"market": 11, "code": "A {{ b }}"}}, "has the code"),
    ],
)
def test_a_row_of_nobody_or_of_another_market_is_an_error(
    spoil: Callable[[Row], Row], words: str
) -> None:
    rows = make_rank(9)
    rows[3] = spoil(rows[3])
    with (
        RankGateway(rows) as gateway,
        open_rank(gateway) as source,
        pytest.raises(ProtocolError, match=rf"US short-selling rank \(rows 1 to 35\).*{words}"),
    ):
        source.read()


class Spoiling(RankGateway):
    """Sends a byte that no UTF-8 has in the place of each ``~``."""

    def ranked(self, query: RankQuery) -> bytes:
        return super().ranked(query).replace(b"~", b"\xff")


def test_a_text_that_is_no_utf8_is_replaced_in_a_name_and_refused_in_a_code() -> None:
    security = {"market": 11, "code": "A"}
    with Spoiling([{"security": security, "name": "~A"}]) as gateway, open_rank(gateway) as source:
        assert source.read()["name"].tolist() == ["\ufffdA"]
    with (
        Spoiling([{"security": {**security, "code": "A~"}}]) as gateway,
        open_rank(gateway) as source,
        pytest.raises(ProtocolError, match="row 0 has a code that is no UTF-8"),
    ):
        source.read()


def test_the_largest_counts_have_room() -> None:
    rows = make_rank(2, missing=1.0)
    rows[0] |= {"volume": 2**63 - 1, "shortNumberChange": -(2**63)}
    with RankGateway(rows) as gateway, open_rank(gateway) as source:
        frame = source.read()
    assert frame["volume"].tolist() == [2**63 - 1, pd.NA]
    assert frame["short_number_change"].iloc[0] == -(2**63)


# -- gateways that fail ---------------------------------------------------------------------------


def test_a_gateway_that_is_down_is_named() -> None:
    with RankGateway([]) as gone:
        url = gone.url
    with (
        FutuShortRankSource(gateway=url) as source,
        pytest.raises(GatewayUnreachableError, match=url),
    ):
        source.read()
    with (
        deaf_port() as port,
        FutuShortRankSource(gateway=f"opend://127.0.0.1:{port}", timeout=0.5) as source,
        pytest.raises(GatewayUnreachableError),
    ):
        source.read_partition(0)


def test_a_refusal_has_the_gateways_words_and_what_came_is_kept() -> None:
    with RankGateway(make_rank(100)) as gateway, open_rank(gateway) as source:
        source.read_partition(0)
        gateway.refusal = "No quote right"
        with pytest.raises(QuoteRightError, match=r"rank \(rows 36 to 70\).*'No quote right'"):
            source.read()
        gateway.refusal = None
        assert len(source.read()) == 100
        assert gateway.offsets.count(0) == 1


def test_a_gateway_that_is_silent_is_a_timeout() -> None:
    with (
        RankGateway(make_rank(3), script=silent_after_the_handshake) as gateway,
        open_rank(gateway, timeout=0.2) as source,
        pytest.raises(GatewayTimeoutError, match="short-selling rank"),
    ):
        source.read()


def test_a_connection_that_ends_is_made_again() -> None:
    rows = make_rank(100)

    def hang_up_once(exchange: Exchange) -> None:
        if (exchange.proto_id, exchange.number) == (SHORT_SELLING_RANK, 2):
            exchange.close()
        exchange.send(exchange.answer)

    with RankGateway(rows, script=hang_up_once) as gateway, open_rank(gateway) as source:
        assert source.read()["code"].tolist() == codes_of(rows)
        assert gateway.connections == 2


def test_several_gateways_share_the_work_and_one_that_is_down_costs_nothing() -> None:
    rows = make_rank(350)
    with RankGateway([]) as gone:
        pass
    with RankGateway(rows) as one, RankGateway(rows) as other:
        with open_rank(one, other, rows=350) as source:
            assert source.read()["code"].tolist() == codes_of(rows)
        assert len(one.rank_queries) + len(other.rank_queries) == 10
        with open_rank(gone, one, rows=350) as source:
            assert len(source.read()) == 350


def test_its_limit_is_its_own() -> None:
    history = {"US.T": History("US", make_rows("US", 3))}
    with RankGateway(make_rank(3), histories=history) as gateway:
        # Two of each within an hour: a third of either would wait for that long.
        url = f"{gateway.url}?limit=2/3600"
        for _ in range(2):
            with FutuShortRankSource(gateway=url) as rank:
                assert len(rank.read()) == 3
            with FutuShortSource("US.T", gateway=url) as volume:
                assert len(volume.read()) == 3


# -- a source is a value ---------------------------------------------------------------------------


def test_a_source_is_the_value_of_its_arguments() -> None:
    written: dict[str, Any] = {"rows": "70", "descending": "False", "plates": "['HK.BK1001']"}
    source = FutuShortRankSource("HK", **written, gateway="opend://10.0.0.5")
    same = FutuShortRankSource("HK", "short_ratio", False, 70, ("HK.BK1001",), "opend://10.0.0.5")
    assert source == same
    assert hash(source) == hash(same)
    assert source != FutuShortRankSource("HK", rows=70)
    assert source != FutuShortSource("US.AAPL")
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - ours
    (entry,) = yaml.safe_load(source.yaml())["sources"].values()
    assert entry["args"] == {
        "market": "HK", "sort": "short_ratio", "descending": False, "rows": 70,
        "plates": ["HK.BK1001"], "gateway": "opend://10.0.0.5:11111", "timeout": 12.0,
    }  # fmt: skip
    assert source(rows=3) == FutuShortRankSource(**{**entry["args"], "rows": 3})
    assert repr(source).splitlines()[0] == "FutuShortRankSource: short-selling rank"
    assert "rows=70" in repr(source)
    assert "<caption>FutuShortRankSource" in source._repr_html_()


def test_what_a_template_left_open_is_the_default() -> None:
    given: dict[str, Any] = dict.fromkeys(
        ["market", "sort", "descending", "rows", "plates", "gateway", "rsa_key", "timeout"], ""
    )
    assert FutuShortRankSource(**given) == FutuShortRankSource()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"market": "us"}, r"market must be one of US, HK, not 'us'. Did you mean 'US'\?"),
        ({"market": 11}, "market must be one of US, HK, not 11"),
        ({"sort": "SHORT_RATIO"}, "Did you mean 'short_ratio'"),
        ({"sort": "short_position_ratio"}, r"days_to_cover.*Did you mean 'position_ratio'"),
        ({"sort": 4}, "sort must be one of short_number_change"),
        ({"rows": 0}, "rows must be a whole number, 1 to 2147483647"),
        ({"rows": 2**31}, "rows must be a whole number"),
        ({"rows": "some"}, "rows must be a whole number"),
        ({"descending": "down"}, "descending must be true or false, not 'down'"),
        ({"descending": 1}, "descending must be true or false, not 1"),
        ({"plates": "BK2024"}, r"plates must be codes of plates such as 'US\.BK2024'"),
        ({"plates": []}, "plates is an empty list"),
        ({"plates": ["US.BK2024", "HK.BK1001"]}, r"plates names HK\.BK1001.*market US"),
        ({"gateway": "10.0.0.5"}, "has no scheme"),
        ({"timeout": 0}, "timeout must be"),
        ({"metadata": 3}, "metadata must be a mapping"),
    ],
)
def test_what_cannot_be_is_refused_when_the_source_is_made(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        FutuShortRankSource(**given)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("rank://US", {}),
        ("rank://HK/?sort=volume&rows=200", {"market": "HK", "sort": "volume", "rows": 200}),
        (
            "rank://US?descending=false&plates=US.BK2024,US.BK2025",
            {"descending": False, "plates": ["US.BK2024", "US.BK2025"]},
        ),
        ("rank://US?sort=&plates=US%2EBK2024", {"plates": "US.BK2024"}),
    ],
)
def test_a_watchlist_is_a_source(url: str, same: dict[str, Any]) -> None:
    assert FutuShortRankSource.of_url(url) == FutuShortRankSource(**same)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rank:US", "must be a market and options, as in 'rank://US"),
        ("rank://", "must be a market and options"),
        ("rank://US/AAPL", "must be a market and options"),
        ("rank://US#top", "must be a market and options"),
        ("rank://[US", "rank://"),
        ("rank://SH", r"watchlist 'rank://SH': market must be one of US, HK"),
        ("rank://US?rows=none", "rows must be a whole number"),
        ("rank://US?rows=1&rows=2", "has twice: 'rows'"),
        ("rank://US?gateway=sample://", "an unknown option: 'gateway'.*sort, descending, rows"),
    ],
)
def test_a_watchlist_that_cannot_be_is_refused_with_what_can(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FutuShortRankSource.of_url(url)
