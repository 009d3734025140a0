"""What users see of odd rows: from sources with and without a store, and from syncs."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from second_gateway import SecondGateway
from second_rows import History, make_rows

from intake_futu_short import FutuShortStore, sample, sync
from intake_futu_short.gateway import Gateway
from intake_futu_short.gateway.served import StoredHistories
from intake_futu_short.quote_context import OpenQuoteContext
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

    Row = dict[str, int | float | str]

NEVER = 4071013200  # 2099-01-02 in New York
ROWS = make_rows("US", 7, seed=1, newest="2024-10-11")
DAYS = [str(row["timestampStr"]) for row in ROWS]


def impossible(row: Row) -> Row:
    return {**row, "timestamp": NEVER, "timestampStr": "2099-01-02"}


# The odd row of A stands on its first page, that of B is the only one of the last.
A = [impossible(ROWS[0]), *ROWS]
B = [*ROWS[:6], impossible(ROWS[0])]


@pytest.fixture
def gateway() -> Iterator[SecondGateway]:
    histories = {"US.A": History("US", A), "US.B": History("US", B), "US.C": History("US", ROWS)}
    with SecondGateway(histories) as running:
        yield running


def source(gateway: Any, code: Any = "US.A", **arguments: Any) -> FutuShortSource:
    url = f"{gateway.url}?limit=off"
    return FutuShortSource(code, gateway=url, **{"num": 3, **arguments})


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


LEFT_OUT = (
    "{}: the gateway sent rows dated more than 7 days after this host's date, which are left out: "
    "2099-01-02"
)


def whole(src: FutuShortSource) -> list[list[str]]:
    return [src.read()["timestamp_str"].tolist()]


def partitions(src: FutuShortSource) -> list[list[str]]:
    return [part["timestamp_str"].tolist() for part in src.read_chunked()]


def lazily(src: FutuShortSource) -> list[list[str]]:
    return [part.compute()["timestamp_str"].tolist() for part in src.to_dask().partitions]


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("read", [whole, partitions, lazily])
def test_a_row_of_an_impossible_day_is_in_no_answer(
    gateway: SecondGateway,
    read: Callable[[FutuShortSource], list[list[str]]],
    is_stored: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for code, days in [("US.A", DAYS), ("US.B", DAYS[:6])]:
        caplog.clear()
        with source(gateway, code, store=tmp_path if is_stored else None) as src:
            pages = read(src)
        assert [day for page in pages for day in page] == days
        assert told(caplog) == [LEFT_OUT.format(code)]


def test_a_panel_names_each_ticker_once(
    gateway: SecondGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with source(gateway, ["US.A", "US.B", "US.C"]) as src:
        frame = src.read()
        assert src.npartitions == 3 + 2 + 3
    assert frame["code"].tolist() == ["US.A"] * 7 + ["US.B"] * 6 + ["US.C"] * 7
    assert frame["timestamp_str"].tolist() == [*DAYS, *DAYS[:6], *DAYS]
    assert sorted(told(caplog)) == [LEFT_OUT.format("US.A"), LEFT_OUT.format("US.B")]


def test_a_sync_keeps_no_impossible_row(
    gateway: SecondGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = sync(["US.A", "US.B"], tmp_path, f"{gateway.url}?limit=off", num=3)
    assert table["rows"].tolist() == [7, 6]
    assert sorted(told(caplog)) == [LEFT_OUT.format("US.A"), LEFT_OUT.format("US.B")]
    kept = FutuShortStore(tmp_path).read()
    assert kept["timestamp_str"].tolist() == [*DAYS, *DAYS[:6]]


@pytest.mark.parametrize("is_stored", [False, True])
def test_where_every_row_is_of_an_impossible_day_all_are_kept(
    is_stored: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = make_rows("US", 7, seed=1, newest="2099-01-02")
    with (
        SecondGateway({"US.A": History("US", rows)}) as gateway,
        source(gateway, store=tmp_path if is_stored else None) as src,
    ):
        assert src.read()["timestamp_str"].tolist() == [row["timestampStr"] for row in rows]
    assert told(caplog) == [
        "US.A: every row of an answer is dated more than 7 days after this host's date, the newest "
        "2099-01-02. The clock of this host must be wrong, and the rows are kept"
    ]


def test_a_wrong_clock_is_known_also_where_a_read_goes_on(tmp_path: Path) -> None:
    rows = make_rows("US", 7, seed=1, newest="2099-01-02")
    with (
        SecondGateway({"US.A": History("US", rows)}) as gateway,
        source(gateway, store=tmp_path) as src,
    ):
        assert [day for page in partitions(src) for day in page] == [
            row["timestampStr"] for row in rows
        ]


def test_the_raw_call_passes_rows_as_they_come(gateway: SecondGateway) -> None:
    with OpenQuoteContext(port=gateway.port) as context:
        _, frame, _ = context.get_daily_short_volume("US.A", num=3)
    assert not isinstance(frame, str)
    assert frame["timestamp_str"].tolist() == ["2099-01-02", *DAYS[:2]]


# --- a timestamp of another day

MISDATED = [
    {**row, "timestamp": int(row["timestamp"]) + (i == 4) * 86_400} for i, row in enumerate(ROWS)
]
NAMED = (
    "US.A: the gateway sent rows whose timestamp is of another day than their timestamp_str, which "
    f"counts as the day: {DAYS[4]}. df.shortvol.check() lists them all"
)


def findings(frame: pd.DataFrame) -> list[list[Any]]:
    found = frame.shortvol.check().query("what == 'timestamp'")
    days = found["date"].dt.strftime("%Y-%m-%d")
    return list(map(list, zip(days, found["code"], found["difference"], strict=True)))


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_timestamp_of_another_day_is_named_listed_and_served(
    is_stored: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path if is_stored else None
    with (
        SecondGateway({"US.A": History("US", MISDATED)}) as gateway,
        source(gateway, store=store) as src,
    ):
        frame = src.read()
        assert told(caplog) == [NAMED]
    with (
        SecondGateway({"US.A": History("US", MISDATED)}) as gateway,
        source(gateway, start=DAYS[4], end=DAYS[3]) as src,
    ):
        assert src.read()["timestamp_str"].tolist() == DAYS[3:5]
    assert frame["timestamp_str"].tolist() == DAYS
    assert frame["timestamp"].tolist() == [row["timestamp"] for row in MISDATED]
    assert findings(frame) == [[DAYS[4], "US.A", 86_400.0]]
    if is_stored:
        store_again = FutuShortStore(tmp_path)
        with Gateway(StoredHistories(store_again)) as served, source(served) as src:
            again = src.read()
        assert again.to_dict("list") == frame.to_dict("list")


# --- the order of rows


@pytest.mark.parametrize("is_stored", [False, True])
def test_rows_that_arrive_in_another_order_are_sorted(is_stored: bool, tmp_path: Path) -> None:
    order = [2, 0, 1, 5, 3, 4, 6]
    rows = [ROWS[i] for i in order]
    with (
        SecondGateway({"US.A": History("US", rows)}) as gateway,
        source(gateway, store=tmp_path if is_stored else None) as src,
    ):
        assert src.read_partition(0)["timestamp_str"].tolist() == DAYS[:3]
        assert partitions(src) == [DAYS[:3], DAYS[3:6], DAYS[6:]]
        frame = src.read()
        assert frame["total_shares_short"].tolist() == [row["totalSharesShort"] for row in ROWS]


def test_a_history_sent_oldest_first_is_whole() -> None:
    with SecondGateway({"US.A": History("US", ROWS[::-1])}) as gateway:
        with source(gateway) as src:
            assert partitions(src) == [DAYS[4:], DAYS[1:4], DAYS[:1]]
        with source(gateway, start=DAYS[2]) as src:
            assert partitions(src) == [DAYS[1:3], DAYS[:1]]


def test_a_history_sent_oldest_first_is_sorted_over_a_store(tmp_path: Path) -> None:
    with (
        SecondGateway({"US.A": History("US", ROWS[::-1])}) as gateway,
        source(gateway, store=tmp_path) as src,
    ):
        assert src.read()["timestamp_str"].tolist() == DAYS
    assert FutuShortStore(tmp_path).read()["timestamp_str"].tolist() == DAYS


# --- what a store adds


def test_frames_over_a_store_have_no_moment_in_columns_and_the_newest_report(
    tmp_path: Path,
) -> None:
    report: dict[str, int | float | str] = {
        "aggregatedShort": 51_480_638, "aggregatedShortRatio": 0.56, "newTimeStr": "2024-10-04",
    }  # fmt: skip
    rows = make_rows("HK", 7, seed=1, newest="2024-10-11")
    with SecondGateway({"HK.00001": History("HK", rows, report)}) as gateway:
        with source(gateway, "HK.00001", store=tmp_path) as src:
            read, part, lazy = src.read(), src.read_partition(1), src.to_dask().compute()
            columns = list(src.dtype)
            assert src.discover()["metadata"] == read.attrs
        with source(gateway, ["HK.00001"], store=tmp_path, refresh="never") as src:
            panel = src.read()
    for frame in (read, part, lazy, panel.drop(columns="code")):
        assert list(frame) == columns
        assert "first_seen" not in {*frame.columns, *frame.attrs}
    assert json.loads(panel.attrs["aggregates"]) == {
        "HK.00001": {
            "aggregated_short": 51_480_638, "aggregated_short_ratio": 0.56,
            "new_time_str": "2024-10-04",
        }
    }  # fmt: skip
    assert panel.attrs["aggregates_history"] == read.attrs["aggregates_history"]
    [row] = json.loads(read.attrs["aggregates_history"])
    assert (row[:2], row[3:]) == (["HK.00001", "2024-10-04"], [51_480_638, 0.56])


def test_metrics_do_not_mind_when_rows_were_first_seen() -> None:
    for code in ("HK.SAMPLE", "US.SAMPLE"):
        frame: Any = sample.frame(code).head(80)
        seen: Any = frame.assign(first_seen=1781600000.5)
        assert seen.shortvol.check().equals(frame.shortvol.check())
        assert seen.shortvol.metrics().equals(frame.shortvol.metrics())
        added = seen.shortvol.with_metrics().drop(columns="first_seen")
        assert added.equals(frame.shortvol.with_metrics())
        weeks = seen.shortvol.resample("W").drop(columns="first_seen", errors="ignore")
        assert weeks.equals(frame.shortvol.resample("W"))
