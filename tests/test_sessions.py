from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import hand, real, same, us

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics import sessions

# --- days


def test_without_timestamp_str_the_day_is_that_of_the_market() -> None:
    # Midnight in New York is 04:00 UTC in summer and 05:00 in winter, in Hong Kong 16:00.
    us_frame = pd.DataFrame(
        {"timestamp": [1781755200, 1734325200], "total_shares_short": [1, 1], "volume": [2, 2]}
    )
    hk_frame = pd.DataFrame(
        {"timestamp": [1778169600], "short_sell_shares_traded": [1], "shares_traded": [2]}
    )
    assert [str(d.date()) for d in sessions.by_date(us_frame).index] == ["2024-12-16", "2026-06-18"]
    assert [str(d.date()) for d in sessions.by_date(hk_frame).index] == ["2026-05-08"]


def test_a_row_without_timestamp_str_takes_its_day_from_timestamp() -> None:
    frame = pd.DataFrame(
        [
            {"timestamp": 1781755200, "total_shares_short": 3, "volume": 4},
            {"timestamp_str": "2026-06-17", "total_shares_short": 1, "volume": 4},
        ]
    )
    same(metrics.pooled_short_ratio(frame, 2), [0.5, np.nan])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("timestamp_str", "18/06/2026", "timestamp_str holds something that is not a trading day"),
        ("timestamp_str", None, "1 of 2 rows have no trading day"),
        (
            "timestamp",
            1781755200_000_000_000,
            "timestamp holds something that is not a trading day",
        ),
        ("timestamp", 1781755200_000, "timestamp holds something that is not a trading day"),
        ("timestamp", None, "1 of 2 rows have no trading day"),
    ],
)
def test_a_day_that_cannot_be_told_is_refused(column: str, value: Any, message: str) -> None:
    frame = pd.DataFrame(
        {column: [real()[column][0], value], "total_shares_short": [1, 2], "volume": [3, 4]}
    )
    with pytest.raises(ConfigError, match=message):
        metrics.pooled_short_ratio(frame)
    same(metrics.short_ratio(frame), [1 / 3, 0.5])


def test_days_may_come_parsed() -> None:
    frame = real()
    for parsed in (
        pd.to_datetime(frame["timestamp_str"]),
        pd.to_datetime(frame["timestamp_str"]).dt.date,
        frame["timestamp_str"].astype("category"),
    ):
        again = frame.drop(columns="timestamp").assign(timestamp_str=parsed)
        pd.testing.assert_index_equal(sessions.by_date(again).index, sessions.by_date(frame).index)


@pytest.mark.parametrize("name", ["timestamp_str", "timestamp"])
def test_a_frame_indexed_by_its_day_column_needs_no_other(name: str) -> None:
    frame = real()
    indexed = frame.set_index(name)[["total_shares_short", "volume"]]
    expected = metrics.short_ratio_mean(frame, 5).tolist()
    same(metrics.short_ratio_mean(indexed, 5), expected, indexed.index)


@pytest.mark.parametrize("name", [None, "Date", "timestamp_str"])
def test_the_last_that_says_the_day_is_a_datetime_index(name: str | None) -> None:
    index = pd.DatetimeIndex(["2026-01-05", "2026-01-02"], name=name)
    frame = pd.DataFrame({"total_shares_short": [1, 3], "volume": [4, 4]}, index=index)
    same(metrics.pooled_short_ratio(frame, 2), [0.5, np.nan], index)
    # An index of when rows were fetched, say, says nothing where the rows themselves do.
    fetched = frame.assign(timestamp_str=["2026-01-02", "2026-01-05"])
    if name != "timestamp_str":
        same(metrics.pooled_short_ratio(fetched, 2), [np.nan, 0.5], index)


def test_timestamps_made_datetimes_keep_their_day_by_their_zone() -> None:
    seconds = pd.Series([1778169600, 1778083200])  # 16:00 UTC the day before
    frame = pd.DataFrame({"short_sell_shares_traded": [1, 1], "shares_traded": [2, 2]})
    aware = frame.assign(timestamp=pd.to_datetime(seconds, unit="s", utc=True))
    assert [str(d.date()) for d in sessions.by_date(aware).index] == ["2026-05-07", "2026-05-08"]
    naive = frame.assign(timestamp=pd.to_datetime(seconds, unit="s"))
    with pytest.raises(ConfigError, match=r"without a time zone.*utc=True"):
        sessions.by_date(naive)


def test_a_day_that_cannot_be_read_is_named_with_the_accepted_form() -> None:
    frame = us([1], [4]).assign(timestamp_str="18/06/2026")
    with pytest.raises(ConfigError) as caught:
        sessions.by_date(frame)
    assert "18/06/2026" in str(caught.value)
    assert "like 2026-01-02" in str(caught.value)
    assert "mixed" not in str(caught.value)  # pandas' advice on its own arguments


def test_moments_of_one_day_are_one_day() -> None:
    frame = us([1, 2], [4, 4])
    frame["timestamp_str"] = pd.to_datetime(["2026-01-02 00:00", "2026-01-02 09:30"])
    assert sessions.by_date(frame).index.unique().tolist() == [pd.Timestamp("2026-01-02")]


@pytest.mark.parametrize("metric", ["metrics", "latest", "by_date", "check"])
def test_a_list_in_the_place_of_a_code_is_named(metric: str) -> None:
    frame = sample.frame("US.AAPL").head(2)
    frame["code"] = [["US.AAPL"], ["US.AAPL"]]
    with pytest.raises(ConfigError, match=r"not a code: list of length 1$"):
        getattr(frame.shortvol, metric)()


def test_rows_without_a_code_are_a_ticker_of_their_own() -> None:
    panel = us([1, 1, 3, 3], [4, 4, 4, 4], code=[None, "US.A", None, "US.A"])
    same(metrics.pooled_short_ratio(panel, 2), [np.nan, np.nan, 0.5, 0.5])


def test_a_frame_that_says_no_days_has_no_windows() -> None:
    frame = real()[["total_shares_short", "volume"]]
    with pytest.raises(NotShortVolumeError, match="timestamp_str, timestamp or date"):
        metrics.pooled_short_ratio(frame)


# --- by_date


def test_by_date_is_an_ascending_copy_with_attrs() -> None:
    frame = real()
    frame.attrs["code"] = "US.AAPL"
    dated = sessions.by_date(frame)
    assert dated.index.name == "date"
    assert dated.index.dtype == "datetime64[ns]"
    assert dated.index[0] == pd.Timestamp("2024-09-03")
    assert dated["timestamp_str"].tolist() == frame["timestamp_str"].tolist()[::-1]
    assert list(dated) == list(frame)
    assert dated.attrs == {"code": "US.AAPL"}
    dated["volume"] = 0
    dated.attrs["code"] = "changed"
    pd.testing.assert_frame_equal(frame, real())
    assert frame.attrs == {"code": "US.AAPL"}


def test_by_date_of_a_panel_is_indexed_by_code_and_date() -> None:
    dated = sessions.by_date(hand())
    assert dated.index.names == ["code", "date"]
    assert dated.index.levels[1].dtype == "datetime64[ns]"  # type: ignore[attr-defined] # a MultiIndex
    assert dated.index.is_monotonic_increasing
    assert dated.loc[("US.B", "2026-01-06"), "total_shares_short"] == 5
    assert "code" not in dated


@pytest.mark.parametrize("frame", [real(), hand(), real().iloc[:1], hand().iloc[:0]])
def test_by_date_of_by_date_is_the_same_again(frame: pd.DataFrame) -> None:
    dated = sessions.by_date(frame)
    pd.testing.assert_frame_equal(sessions.by_date(dated), dated)
    # Also when the days are in the index alone, or in columns of their own.
    bare = dated.drop(columns=["timestamp", "timestamp_str"], errors="ignore")
    pd.testing.assert_frame_equal(sessions.by_date(bare), bare)
    pd.testing.assert_frame_equal(sessions.by_date(dated.reset_index()), dated)


@pytest.mark.parametrize("frame", [real(), hand()])
def test_metrics_of_by_date_are_those_of_the_frame(frame: pd.DataFrame) -> None:
    with_answer = frame.assign(answer=metrics.pooled_short_ratio(frame, 3))
    dated = sessions.by_date(with_answer)
    same(
        metrics.pooled_short_ratio(dated[["total_shares_short", "volume"]], 3),
        dated["answer"].tolist(),
        dated.index,
    )


def test_by_date_keeps_the_order_of_rows_of_one_day() -> None:
    frame = us([1, 2, 3], [4, 4, 4]).assign(timestamp_str="2026-01-02")
    assert sessions.by_date(frame)["total_shares_short"].tolist() == [1, 2, 3]


# --- numbers that no float is


NO_FLOATS = [10**400, -(10**400), 10**309, Fraction(10**400), Decimal("sNaN"), 1j, object()]


@pytest.mark.parametrize("number", NO_FLOATS, ids=lambda number: f"{number!r:.20}")
@pytest.mark.parametrize("name", ["volume", "total_shares_short", "close_price"])
def test_a_number_that_no_float_is_is_named(name: str, number: Any) -> None:
    frame = sample.frame("US.AAPL").astype({name: object})
    frame.loc[3, name] = number
    with pytest.raises(ConfigError, match=f"^{name} holds something that is not a number: "):
        metrics.metrics(frame)
    with pytest.raises(ConfigError, match=f"^{name} holds something that is not a number: "):
        metrics.resample(frame, "W")


@pytest.mark.parametrize("number", NO_FLOATS, ids=lambda number: f"{number!r:.20}")
def test_a_report_that_no_float_is_is_named(number: Any) -> None:
    frame = sample.frame("HK.SAMPLE")
    frame.attrs["aggregated_short"] = number
    with pytest.raises(ConfigError, match="aggregated_short"):
        metrics.days_to_cover(frame)


@pytest.mark.parametrize("code", [10**400, ["US.AAPL"], object()])
def test_attrs_that_name_no_code_name_none(code: Any) -> None:
    frame = sample.frame("US.AAPL")
    frame.attrs["code"] = code
    assert sessions.code_of(frame) is None
    assert "unknown" in repr(frame.shortvol)
