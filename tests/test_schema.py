from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intake_futu_short import schema
from intake_futu_short.calls import SHORT_VOLUME, Table, Ticker
from intake_futu_short.errors import ProtocolError
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.pages import Page
from intake_futu_short.security import HK, US, Security

pytestmark = pytest.mark.compat

US_TABLE, HK_TABLE = SHORT_VOLUME.table(US), SHORT_VOLUME.table(HK)
TEXT = pd.Series(["a string"]).dtype

US_DTYPES = {
    "timestamp": np.dtype("int64"),
    "timestamp_str": TEXT,
    "total_shares_short": pd.Int64Dtype(),
    "nasdaq_shares_short": pd.Int64Dtype(),
    "nyse_shares_short": pd.Int64Dtype(),
    "short_percent": np.dtype("float64"),
    "volume": pd.Int64Dtype(),
    "close_price": np.dtype("float64"),
    "last_close_price": np.dtype("float64"),
    "daily_trade_avg_ratio": np.dtype("float64"),
}
HK_DTYPES = {
    "timestamp": np.dtype("int64"),
    "timestamp_str": TEXT,
    "shares_traded": pd.Int64Dtype(),
    "turnover": np.dtype("float64"),
    "short_sell_shares_traded": pd.Int64Dtype(),
    "short_sell_turnover": np.dtype("float64"),
    "open_price": np.dtype("float64"),
    "close_price": np.dtype("float64"),
    "last_close_price": np.dtype("float64"),
    "daily_trade_avg_ratio": np.dtype("float64"),
}


def us_page(*rows: dict[str, Any]) -> Page:
    items = [DailyShortVolume.UsItem(**row) for row in rows]
    return Page(items, [row.get("timestamp_str", "2026-06-18") for row in rows], "-1", {})


def hk_page(*rows: dict[str, Any]) -> Page:
    items = [DailyShortVolume.HkItem(**row) for row in rows]
    return Page(items, [row.get("timestamp_str", "2026-05-08") for row in rows], "-1", {})


@pytest.mark.parametrize(("table", "dtypes"), [(US_TABLE, US_DTYPES), (HK_TABLE, HK_DTYPES)])
def test_an_empty_frame_has_the_same_columns_and_dtypes(table: Table, dtypes: Any) -> None:
    frame = schema.to_frame([], table)
    assert frame.dtypes.to_dict() == dtypes
    assert list(frame.columns) == list(dtypes)
    assert len(frame) == 0
    assert schema.dtypes(table) == {name: str(dtype) for name, dtype in dtypes.items()}


@pytest.mark.parametrize(
    ("page", "table", "dtypes"),
    [(us_page({}), US_TABLE, US_DTYPES), (hk_page({}), HK_TABLE, HK_DTYPES)],
)
def test_a_row_of_nothing_but_its_day_keeps_the_dtypes(
    page: Page, table: Table, dtypes: Any
) -> None:
    frame = schema.to_frame([page], table)
    assert frame.dtypes.to_dict() == dtypes
    assert frame.drop(columns=["timestamp", "timestamp_str"]).isna().all(axis=None)


def test_values_come_as_they_were_sent() -> None:
    row = {
        "timestamp": 1781755200, "timestamp_str": "2026-06-18", "total_shares_short": 16797990,
        "nasdaq_shares_short": 14877499, "nyse_shares_short": 1920491, "short_percent": 19.541,
        "volume": 85962201, "close_price": 298.01, "last_close_price": 295.95,
        "daily_trade_avg_ratio": 14.17,
    }  # fmt: skip
    frame = schema.to_frame([us_page(row)], US_TABLE)
    assert frame.to_dict("records") == [row]
    assert list(frame.columns) == list(row)


def test_zero_is_a_value_and_absence_is_not() -> None:
    frame = schema.to_frame(
        [us_page({"volume": 0, "close_price": 0.0}), us_page({"timestamp_str": "2026-06-17"})],
        US_TABLE,
    )
    assert frame["volume"].tolist() == [0, pd.NA]
    assert frame["close_price"].isna().tolist() == [False, True]
    assert frame["close_price"].iloc[0] == 0.0


def test_a_missing_timestamp_is_midnight_of_the_day_in_the_market() -> None:
    frame = schema.to_frame([hk_page({"timestamp_str": "2026-05-08"})], HK_TABLE)
    assert frame["timestamp"].tolist() == [1778169600]
    us = schema.to_frame([us_page({"timestamp_str": "2024-12-16"})], US_TABLE)
    assert us["timestamp"].tolist() == [1734325200]


def test_moments_are_in_utc_and_unknown_where_the_seconds_are() -> None:
    seconds = pd.Series([1728604800.0, np.nan, 0.5], index=[7, 8, 9])
    moments = schema.moments(seconds)
    assert moments.index.tolist() == [7, 8, 9]
    assert [str(moment) for moment in moments] == [
        "2024-10-11 00:00:00+00:00",
        "NaT",
        "1970-01-01 00:00:00.500000+00:00",
    ]
    for none in (seconds[:0], seconds[1:2]):
        assert isinstance(schema.moments(none).dtype, pd.DatetimeTZDtype)


def test_pages_follow_each_other_on_one_range_index() -> None:
    pages = [
        us_page({"timestamp_str": "2026-06-18"}, {"timestamp_str": "2026-06-17"}),
        us_page({"timestamp_str": "2026-06-16"}),
    ]
    frame = schema.to_frame(pages, US_TABLE)
    assert frame["timestamp_str"].tolist() == ["2026-06-18", "2026-06-17", "2026-06-16"]
    assert frame.index.equals(pd.RangeIndex(3))


def test_counts_up_to_the_largest_are_exact() -> None:
    frame = schema.to_frame([us_page({"volume": 2**63 - 1})], US_TABLE)
    assert frame["volume"].tolist() == [2**63 - 1]


def test_a_larger_count_is_an_error_that_names_it() -> None:
    page = us_page(
        {"timestamp_str": "2026-06-18"}, {"timestamp_str": "2026-06-17", "volume": 2**63}
    )
    with pytest.raises(ProtocolError, match=f"row of 2026-06-17 has volume = {2**63}"):
        schema.to_frame([page], US_TABLE)


AAPL, TENCENT = (Ticker(Security.parse(code), SHORT_VOLUME) for code in ("US.AAPL", "HK.00700"))
REPORT = {"aggregated_short": 51_480_638, "aggregated_short_ratio": 0.56,
          "new_time_str": "2026-04-30"}  # fmt: skip
NOTHING = dict.fromkeys(REPORT)


def test_attributes_of_us_and_hk() -> None:
    assert schema.attributes(AAPL, "abc", REPORT) == {
        "code": "US.AAPL", "market": "US", "next_key": "abc",
    }  # fmt: skip
    hk = {"code": "HK.00700", "market": "HK", "next_key": None}
    assert schema.attributes(TENCENT, None, REPORT) == {**hk, **REPORT}
    assert schema.attributes(TENCENT, None, {"aggregated_short": 0}) == {
        **hk, **NOTHING, "aggregated_short": 0,
    }  # fmt: skip
    assert schema.attributes(TENCENT, None, {}) == {**hk, **NOTHING}
    assert schema.attributes(TENCENT, None, None) == {**hk, **NOTHING}


def test_a_zero_that_is_there_is_told_from_a_count_that_is_absent_row_by_row() -> None:
    frame = schema.to_frame(
        [us_page({"volume": 5}, {"volume": 0}, {}, {"volume": 7}, {"close_price": 1.5})], US_TABLE
    )
    assert frame["volume"].tolist() == [5, 0, pd.NA, 7, pd.NA]
    assert frame["close_price"].isna().tolist() == [True, True, True, True, False]


def test_timestamps_come_as_they_were_sent_and_only_the_missing_are_worked_out() -> None:
    page = us_page(
        {"timestamp": 1781755200, "timestamp_str": "2026-06-18"},
        {"timestamp": 0, "timestamp_str": "1970-01-01"},
        {"timestamp_str": "2024-12-16"},
    )
    frame = schema.to_frame([page], US_TABLE)
    assert frame["timestamp"].tolist() == [1781755200, 0, 1734325200]


def test_the_largest_count_is_the_one_that_an_error_names() -> None:
    page = us_page(
        {"timestamp_str": "2026-06-18", "volume": 2**63},
        {"timestamp_str": "2026-06-17", "volume": 2**64 - 1},
        {"timestamp_str": "2026-06-16", "volume": 5},
    )
    with pytest.raises(ProtocolError) as caught:
        schema.to_frame([page], US_TABLE)
    assert str(caught.value).startswith(f"the row of 2026-06-17 has volume = {2**64 - 1}, more")
    assert isinstance(caught.value.__cause__, OverflowError)


def test_frames_of_tickers_are_put_under_each_other_with_their_codes() -> None:
    first = schema.to_frame([us_page({"volume": 1}, {"volume": 2})], US_TABLE)
    none = schema.to_frame([], US_TABLE)
    last = schema.to_frame([us_page({"volume": 3})], US_TABLE)
    panel = schema.with_code([first, none, last], ["US.A", "US.B", "US.C"])
    assert panel["code"].tolist() == ["US.A", "US.A", "US.C"]
    assert panel["volume"].tolist() == [1, 2, 3]
    assert list(panel.columns) == ["code", *US_DTYPES]
    assert panel["code"].dtype == TEXT
    assert panel.index.equals(pd.RangeIndex(3))
    assert panel.drop(columns="code").dtypes.to_dict() == US_DTYPES


def test_frames_put_under_each_other_bear_the_attributes_that_all_share() -> None:
    frames = [schema.to_frame([us_page({})], US_TABLE) for _ in range(2)]
    for frame in frames:
        frame.attrs["market"] = "US"
    assert schema.with_code(frames, ["US.A", "US.B"]).attrs == {"market": "US"}
    frames[1].attrs["market"] = "HK"
    assert schema.with_code(frames, ["US.A", "US.B"]).attrs == {}


@pytest.mark.parametrize(("table", "dtypes"), [(US_TABLE, US_DTYPES), (HK_TABLE, HK_DTYPES)])
def test_a_panel_has_a_first_column_with_the_code(table: Table, dtypes: Any) -> None:
    names = {name: str(dtype) for name, dtype in dtypes.items()}
    assert list(schema.dtypes(table, panel=True).items()) == [("code", str(TEXT)), *names.items()]
    assert list(schema.dtypes(table)) == list(names)


def test_a_frame_can_be_written_to() -> None:
    frame = schema.to_frame([us_page({"volume": 1}), us_page({"volume": 2})], US_TABLE)
    frame.loc[0, "volume"] = 9
    frame["volume"] = frame["volume"] + 1
    assert frame["volume"].tolist() == [10, 3]


def report(day: str | None, shares: int | None = None, ratio: float | None = None) -> Any:
    return {"aggregated_short": shares, "aggregated_short_ratio": ratio, "new_time_str": day}


def test_reports_are_rows_of_code_day_moment_shares_and_percent() -> None:
    seen = {
        "HK.00001": [
            {**report("2026-05-08", 7, 0.1), "first_seen": 1778803200.25},
            report("2026-04-30", 5, 0.56),
        ],
        "HK.00700": [{**report("2026-04-24", 3, 0.2), "first_seen": None}],
    }
    assert json.loads(schema.reports(seen, HK_TABLE)) == [
        ["HK.00001", "2026-05-08", 1778803200.25, 7, 0.1],
        ["HK.00001", "2026-04-30", None, 5, 0.56],
        ["HK.00700", "2026-04-24", None, 3, 0.2],
    ]


def test_a_report_that_comes_again_is_one_and_one_that_says_nothing_is_none() -> None:
    seen = {
        "HK.1": [report("2026-04-30", 5, 0.5), report(None), {}, report("2026-04-30", 5, 0.5)],
        "HK.2": [],
        "HK.3": [report(None), {**report(None), "first_seen": 1.0}],
    }
    assert json.loads(schema.reports(seen, HK_TABLE)) == [["HK.1", "2026-04-30", None, 5, 0.5]]


def test_a_report_that_comes_again_was_seen_when_it_first_came() -> None:
    again = [
        {**report("2026-04-30", 5), "first_seen": moment} for moment in (None, 30.0, 20.0, 40.0)
    ]
    assert json.loads(schema.reports({"HK.1": again}, HK_TABLE)) == [
        ["HK.1", "2026-04-30", 20.0, 5, None]
    ]


def test_a_correction_that_is_taken_back_is_a_report_of_its_own() -> None:
    came = [("2026-04-30", 5), ("2026-04-30", 6), ("2026-05-08", 7), ("2026-04-30", 5)]
    seen = [{**report(*each), "first_seen": float(n)} for n, each in enumerate(came)]
    assert json.loads(schema.reports({"HK.1": seen}, HK_TABLE)) == [
        ["HK.1", "2026-04-30", 0.0, 5, None], ["HK.1", "2026-04-30", 1.0, 6, None],
        ["HK.1", "2026-05-08", 2.0, 7, None], ["HK.1", "2026-04-30", 3.0, 5, None],
    ]  # fmt: skip


def test_a_corrected_report_and_one_without_its_day_are_kept() -> None:
    seen = {
        "HK.1": [
            {**report("2026-04-30", 5), "first_seen": 30.0},
            {**report("2026-04-30", 6), "first_seen": 20.0},
            report("2026-04-30", 7), report(None, 0), report("2026-01-02"),
        ]
    }  # fmt: skip
    assert json.loads(schema.reports(seen, HK_TABLE)) == [
        ["HK.1", "2026-04-30", 30.0, 5, None], ["HK.1", "2026-04-30", 20.0, 6, None],
        ["HK.1", "2026-04-30", None, 7, None], ["HK.1", None, None, 0, None],
        ["HK.1", "2026-01-02", None, None, None],
    ]  # fmt: skip
