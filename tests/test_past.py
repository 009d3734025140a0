"""What a store knew at a moment, what was revised since, and histories that were set aside."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from store_rows import APPLE, DAYS, TENCENT, hk_rows, report, ticker, us_rows

from intake_futu_short import FutuShortStore
from intake_futu_short.errors import ConfigError, PanelError, PanelWarning, StoreError
from intake_futu_short.history.ticker_history import ROW, Revision, TickerHistory

if TYPE_CHECKING:
    from pathlib import Path

GONE = "2026-01-01"
# date -d '2026-01-02 20:00 -0500' +%s; a day and two days later.
FRIDAY, SATURDAY, SUNDAY = 1767402000.0, 1767488400.0, 1767574800.0


@pytest.fixture
def store(tmp_path: Path) -> FutuShortStore:
    """A row that came on Friday, was revised on Saturday, when another one was withdrawn."""
    gone = {name: values.tolist()[0] for name, values in us_rows([GONE]).items()}
    store = FutuShortStore(tmp_path)
    rows = us_rows(DAYS).assign(first_seen=[math.nan, math.nan, FRIDAY])
    revisions = (
        Revision(DAYS[2], "volume", 7, 2**53 + 3, SATURDAY),
        Revision(DAYS[2], "short_percent", None, 12.345, SATURDAY),
        Revision(GONE, ROW, {**gone, "first_seen": None}, None, SATURDAY),
    )
    store.save(APPLE, TickerHistory(rows, True, checked_s=SUNDAY, revisions=revisions))
    return store


def read(store: FutuShortStore, as_of: Any) -> list[list[Any]]:
    frame = store.read(columns=["volume", "short_percent"], as_of=as_of)
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


NOW = [
    ["US.AAPL", DAYS[2], 2**53 + 3, 12.345],
    ["US.AAPL", DAYS[1], 2**53 + 2, 12.345],
    ["US.AAPL", DAYS[0], 2**53 + 1, 12.345],
]
BEFORE = [
    ["US.AAPL", DAYS[2], 7, None],
    ["US.AAPL", GONE, 2**53 + 1, 12.345],
    *NOW[1:],
]


def test_rows_and_counts_are_those_of_the_moment(store: FutuShortStore) -> None:
    assert read(store, None) == NOW
    assert read(store, "2026-01-03T20:00-05:00") == NOW  # the very second
    assert read(store, "2026-01-03T19:59:59-05:00") == BEFORE
    assert read(store, "2026-01-02") == BEFORE  # the end of that day in New York
    assert read(store, "2026-01-02T19:59-05:00") == BEFORE[1:]
    # At four in New York the rows of the first fill were public.
    assert read(store, pd.Timestamp("2026-01-01 16:00", tz="America/New_York")) == BEFORE[1:]
    assert read(store, pd.Timestamp("2026-01-01 15:59", tz="America/New_York")) == NOW[1:]
    assert read(store, "2025-12-30") == NOW[2:]
    assert read(store, "2020-01-01") == []


def test_dtypes_are_those_of_now(store: FutuShortStore) -> None:
    then, now = store.read(as_of="2026-01-02"), store.read()
    pd.testing.assert_series_equal(then.dtypes, now.dtypes)
    assert then.index.equals(pd.RangeIndex(4))
    pd.testing.assert_frame_equal(store.read(as_of="2020-01-01"), now.iloc[:0])


def test_a_moment_without_a_zone_is_refused(store: FutuShortStore) -> None:
    for call in (store.read, store.to_dask):
        with pytest.raises(ConfigError, match=r"as_of must be a time with a zone .* has no zone"):
            call(as_of="2026-01-02 16:00")


def test_days_and_columns_can_be_chosen_as_of_then(store: FutuShortStore) -> None:
    frame = store.read(
        "US.AAPL", start=GONE, end=GONE, columns=["first_seen", "volume"], as_of="2026-01-02"
    )
    assert frame["volume"].tolist() == [2**53 + 1]
    assert frame["first_seen"].isna().all()
    assert list(frame) == ["code", "timestamp_str", "first_seen", "volume"]


def test_dask_gives_the_same_as_of_then(store: FutuShortStore) -> None:
    store.save(ticker("US.B"), TickerHistory(us_rows(DAYS[:1]), True))
    for as_of in ("2026-01-02", "2025-12-30", "2020-01-01"):
        lazy = store.to_dask(as_of=as_of)
        whole = lazy.compute(scheduler="synchronous")
        expected = store.read(as_of=as_of)
        pd.testing.assert_frame_equal(whole.reset_index(drop=True), expected)
        assert whole.index.is_unique


def test_reports_are_those_known_then(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    reports = (
        # Published on Friday the 9th; this store saw it before.
        {**report(5, 0.1, "2026-01-02"), "first_seen": 1767600000.0},  # 5 January, 16:00 +0800
        # Published on Friday the 16th; seen long afterwards.
        {**report(6, 0.2, "2026-01-09"), "first_seen": 1770000000.0},
    )
    store.save(TENCENT, TickerHistory(hk_rows(), True, reports=reports))

    def known(as_of: Any) -> tuple[list[Any], list[Any]]:
        frame = store.read(as_of=as_of)
        history = frame.shortvol.aggregates_history()
        return (
            frame.shortvol.aggregates["aggregated_short"].tolist(),
            history["aggregated_short"].tolist(),
        )

    assert known("2026-01-05T15:59+08:00") == ([], [])
    assert known("2026-01-05T16:00+08:00") == ([5], [5])
    assert known("2026-01-15") == ([5], [5])
    assert known("2026-01-16T16:00+08:00") == ([6], [5, 6])
    assert known(None) == ([6], [5, 6])
    lazy = store.to_dask(as_of="2026-01-15").compute(scheduler="synchronous")
    assert lazy.shortvol.aggregates["aggregated_short"].tolist() == [5]


def test_revisions_are_listed(store: FutuShortStore) -> None:
    store.save(ticker("US.B"), TickerHistory(us_rows(DAYS[:1]), True))
    listed = store.revisions()
    assert list(listed) == ["code", "day", "column", "old", "new", "seen"]
    assert listed.drop(columns="old").to_numpy().tolist() == [
        ["US.AAPL", DAYS[2], "volume", 2**53 + 3, SATURDAY],
        ["US.AAPL", DAYS[2], "short_percent", 12.345, SATURDAY],
        ["US.AAPL", GONE, "(row)", None, SATURDAY],
    ]
    assert listed["old"].tolist()[:2] == [7, None]
    assert listed["old"][2]["volume"] == 2**53 + 1
    nothing = store.revisions("US.B")
    assert len(nothing) == 0
    pd.testing.assert_series_equal(nothing.dtypes, listed.dtypes)
    with pytest.raises(PanelError, match="Sync the ticker first"):
        store.revisions(["US.AAPL", "US.C"])


def test_what_is_set_aside_is_read_only_when_asked_for(store: FutuShortStore) -> None:
    before = store.read()
    where = store.set_aside("US.AAPL")
    assert where.endswith(
        "/aside/short_volume/market=US/code=US.AAPL/2025-12-30_2026-01-02.parquet"
    )
    with pytest.raises(StoreError, match="no daily short volume is kept"):
        store.read()
    assert store.codes() == []
    pd.testing.assert_frame_equal(store.read("US.AAPL", aside=True), before)
    store.save(APPLE, TickerHistory(us_rows(["2026-02-02"]), True))
    assert store.read()["timestamp_str"].tolist() == ["2026-02-02"]
    assert len(store.read("US.AAPL", aside=True)) == 3
    store.set_aside("US.AAPL")
    assert store.read("US.AAPL", aside=True)["timestamp_str"].tolist() == [
        "2026-02-02", *DAYS[::-1],
    ]  # fmt: skip
    assert len(store.read("US.AAPL", aside=True, start=DAYS[2], as_of="2026-01-02")) == 1


def test_of_a_code_set_aside_twice_the_newest_report_is_the_newest(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    for number, day in enumerate(("2026-01-02", "2026-02-02"), 1):
        reports = ({**report(number, 0.1, day), "first_seen": float(number)},)
        store.save(TENCENT, TickerHistory(hk_rows([day]), True, reports=reports))
        store.set_aside("HK.00700")
    frame = store.read("HK.00700", aside=True)
    assert frame["timestamp_str"].tolist() == ["2026-02-02", "2026-01-02"]
    assert frame.shortvol.aggregates["aggregated_short"].tolist() == [2]
    assert frame.shortvol.aggregates_history()["aggregated_short"].tolist() == [1, 2]


def test_a_second_history_of_the_same_days_takes_no_place_of_the_first(
    store: FutuShortStore,
) -> None:
    store.set_aside("US.AAPL")
    other = us_rows(DAYS).assign(close_price=1.0)
    store.save(APPLE, TickerHistory(other, True))
    assert store.set_aside("US.AAPL").endswith("_02.parquet")
    assert (
        sorted(store.read("US.AAPL", aside=True)["close_price"]) == [1.0] * 3 + [221.112467562] * 3
    )


def test_a_history_whose_setting_aside_was_cut_short_is_moved_once(store: FutuShortStore) -> None:
    kept = store.load(APPLE)
    assert kept is not None
    first = store.set_aside("US.AAPL")
    store.save(APPLE, replace(kept, version=None))  # as if it had not been removed
    assert store.set_aside("US.AAPL") == first
    assert len(store.read("US.AAPL", aside=True)) == 3


def test_nothing_can_be_set_aside_of_what_is_not_kept(store: FutuShortStore) -> None:
    with pytest.raises(StoreError, match=r"holds nothing of US\.MSFT"):
        store.set_aside("US.MSFT")
    with pytest.raises(ConfigError):
        store.set_aside("msft")
    with pytest.raises(ConfigError, match="codes that are named"):
        store.read(aside=True)
    with pytest.raises(StoreError, match=r"nothing of US\.AAPL was set aside"):
        store.read("US.AAPL", aside=True)
    lock = store.try_lock(APPLE)
    assert lock is not None
    with lock, pytest.raises(StoreError, match="is being synced"):
        store.set_aside("US.AAPL")


@pytest.mark.parametrize(
    "revision",
    [
        Revision(DAYS[2], "nope", 1, 2, SUNDAY),
        Revision(DAYS[2], "volume", "word", 2, SUNDAY),
        Revision(DAYS[2], "volume", 10**30, 2, SUNDAY),
        Revision(DAYS[2], "timestamp_str", "x", 2, SUNDAY),
        Revision(GONE, ROW, None, None, SUNDAY),
        Revision(GONE, ROW, {}, None, SUNDAY),
    ],
)
def test_a_revision_that_cannot_be_undone_costs_its_ticker_only(
    store: FutuShortStore, revision: Revision
) -> None:
    kept = store.load(APPLE)
    assert kept is not None
    other = ticker("US.MSFT")
    store.save(other, replace(kept, version=None, revisions=(revision,)))
    with pytest.warns(PanelWarning, match=r"US\.MSFT.*cannot be undone"):
        frame = store.read(as_of="2026-01-02", errors="warn")
    assert set(frame["code"]) == {"US.AAPL"}


def test_setting_aside_makes_no_store_of_a_mistyped_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds nothing of US\.AAPL"):
        FutuShortStore(tmp_path / "mistyped").set_aside("US.AAPL")
    assert list(tmp_path.iterdir()) == []


def test_of_several_histories_that_were_set_aside_every_report_is_there(tmp_path: Path) -> None:
    store = FutuShortStore(tmp_path)
    for day, shares in (("2024-05-02", 1), ("2026-05-04", 2)):
        told = {**report(shares, 0.5, day), "first_seen": float(shares)}
        store.save(TENCENT, TickerHistory(hk_rows([day]), True, reports=(told,)))
        store.set_aside("HK.00700")
    attrs = store.read("HK.00700", aside=True).attrs
    assert json.loads(attrs["aggregates"])["HK.00700"]["aggregated_short"] == 2
    assert json.loads(attrs["aggregates_history"]) == [
        ["HK.00700", "2024-05-02", 1.0, 1, 0.5], ["HK.00700", "2026-05-04", 2.0, 2, 0.5],
    ]  # fmt: skip


def test_verify_is_a_method(store: FutuShortStore) -> None:
    table = store.verify()
    assert table["code"].tolist() == ["US.AAPL"]
    assert table["sound"].tolist() == [True]
