from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from intake_futu_short import table
from intake_futu_short.errors import ProtocolError
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.pages import Aggregates, Page
from intake_futu_short.security import HK, US, Security

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
    return Page(items, [row.get("timestamp_str", "2026-06-18") for row in rows], "-1", Aggregates())


def hk_page(*rows: dict[str, Any]) -> Page:
    items = [DailyShortVolume.HkItem(**row) for row in rows]
    return Page(items, [row.get("timestamp_str", "2026-05-08") for row in rows], "-1", Aggregates())


@pytest.mark.parametrize(("market", "dtypes"), [(US, US_DTYPES), (HK, HK_DTYPES)])
def test_an_empty_frame_has_the_same_columns_and_dtypes(market: Any, dtypes: Any) -> None:
    frame = table.to_frame([], market)
    assert frame.dtypes.to_dict() == dtypes
    assert list(frame.columns) == list(dtypes)
    assert len(frame) == 0
    assert table.dtypes(market) == {name: str(dtype) for name, dtype in dtypes.items()}


@pytest.mark.parametrize(
    ("page", "market", "dtypes"),
    [(us_page({}), US, US_DTYPES), (hk_page({}), HK, HK_DTYPES)],
)
def test_a_row_of_nothing_but_its_day_keeps_the_dtypes(page: Any, market: Any, dtypes: Any) -> None:
    frame = table.to_frame([page], market)
    assert frame.dtypes.to_dict() == dtypes
    assert frame.drop(columns=["timestamp", "timestamp_str"]).isna().all(axis=None)


def test_values_come_as_they_were_sent() -> None:
    row = {
        "timestamp": 1781755200, "timestamp_str": "2026-06-18", "total_shares_short": 16797990,
        "nasdaq_shares_short": 14877499, "nyse_shares_short": 1920491, "short_percent": 19.541,
        "volume": 85962201, "close_price": 298.01, "last_close_price": 295.95,
        "daily_trade_avg_ratio": 14.17,
    }  # fmt: skip
    frame = table.to_frame([us_page(row)], US)
    assert frame.to_dict("records") == [row]
    assert list(frame.columns) == list(row)


def test_zero_is_a_value_and_absence_is_not() -> None:
    frame = table.to_frame(
        [us_page({"volume": 0, "close_price": 0.0}), us_page({"timestamp_str": "2026-06-17"})], US
    )
    assert frame["volume"].tolist() == [0, pd.NA]
    assert frame["close_price"].isna().tolist() == [False, True]
    assert frame["close_price"].iloc[0] == 0.0


def test_a_missing_timestamp_is_midnight_of_the_day_in_the_market() -> None:
    frame = table.to_frame([hk_page({"timestamp_str": "2026-05-08"})], HK)
    assert frame["timestamp"].tolist() == [1778169600]
    us = table.to_frame([us_page({"timestamp_str": "2024-12-16"})], US)
    assert us["timestamp"].tolist() == [1734325200]


def test_pages_follow_each_other_on_one_range_index() -> None:
    pages = [
        us_page({"timestamp_str": "2026-06-18"}, {"timestamp_str": "2026-06-17"}),
        us_page({"timestamp_str": "2026-06-16"}),
    ]
    frame = table.to_frame(pages, US)
    assert frame["timestamp_str"].tolist() == ["2026-06-18", "2026-06-17", "2026-06-16"]
    assert frame.index.equals(pd.RangeIndex(3))


def test_counts_up_to_the_largest_are_exact() -> None:
    frame = table.to_frame([us_page({"volume": 2**63 - 1})], US)
    assert frame["volume"].tolist() == [2**63 - 1]


def test_a_larger_count_is_an_error_that_names_it() -> None:
    page = us_page(
        {"timestamp_str": "2026-06-18"}, {"timestamp_str": "2026-06-17", "volume": 2**63}
    )
    with pytest.raises(ProtocolError, match=f"row of 2026-06-17 has volume = {2**63}"):
        table.to_frame([page], US)


def test_attributes_of_us_and_hk() -> None:
    aggregates = Aggregates(51_480_638, 0.56, "2026-04-30")
    assert table.attributes(Security.parse("US.AAPL"), "abc", aggregates) == {
        "code": "US.AAPL", "market": "US", "next_key": "abc",
    }  # fmt: skip
    assert table.attributes(Security.parse("HK.00700"), None, aggregates) == {
        "code": "HK.00700", "market": "HK", "next_key": None, "aggregated_short": 51_480_638,
        "aggregated_short_ratio": 0.56, "new_time_str": "2026-04-30",
    }  # fmt: skip
