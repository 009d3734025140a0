"""Tickers beside each other, all metrics in one go, and days taken together."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import reference_metrics as book
from frames import days, hand, real, same, us
from hypothesis import given
from test_trailing import near, panels, to_frame

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError

if TYPE_CHECKING:
    from collections.abc import Callable

NAN = math.nan
US_DAILY = ["short_ratio", "short_value", "venue_share", "return_1d"]
HK_DAILY = ["short_ratio", "short_turnover_ratio", "short_value", "vwap", "short_vwap", "long_vwap",
            "short_vwap_premium", "return_1d", "implied_shares"]  # fmt: skip


def tickers() -> pd.DataFrame:
    """Three of two days, out of order; of the first day one has no volume."""
    return pd.DataFrame(
        {
            "code": ["US.B", "US.A", "US.C", "US.A", "US.B"],
            "timestamp_str": ["2026-01-05", "2026-01-05", "2026-01-05", "2026-01-02", "2026-01-02"],
            "total_shares_short": [10, 30, 20, 5, 5],
            "volume": [100, 100, 100, 50, 0],
            "close_price": [9.0, 1.0, NAN, 2.0, 7.0],
        },
        index=[7, 7, 3, 2, 1],
    )


# --- all in one go


def test_metrics_of_each_market_and_window_in_order() -> None:
    windowed = list(book.WINDOWED)
    of_us = metrics.metrics(real(), (20, 5, 20))
    assert list(of_us) == US_DAILY + [f"{name}_{n}" for n in (20, 5) for name in windowed]
    frame = sample.frame("HK.SAMPLE")
    of_hk = metrics.metrics(frame)
    windowed = [*windowed, "days_to_cover"]
    assert list(of_hk) == HK_DAILY + [f"{name}_{n}" for n in (5, 20) for name in windowed]
    assert (of_hk.dtypes == np.float64).all()
    for name in of_hk:
        base, _, n = str(name).rpartition("_")
        one = getattr(metrics, base if n.isdigit() else str(name))
        alone = one(frame, int(n)) if n.isdigit() else one(frame)
        pd.testing.assert_series_equal(of_hk[name], alone, check_exact=True)
    assert of_hk["days_to_cover_20"].notna().sum() == 4


def test_metrics_leave_out_what_a_frame_has_no_columns_for() -> None:
    frame = us([1, 2], [4, 4])
    assert list(metrics.metrics(frame, ())) == ["short_ratio"]
    shorts = frame.drop(columns="volume")
    assert list(metrics.metrics(shorts, 1)) == ["short_volume_surge_1"]
    turnovers = sample.frame("HK.SAMPLE")[["timestamp_str", "short_sell_turnover", "turnover"]]
    assert list(metrics.metrics(turnovers))[:2] == ["short_turnover_ratio", "short_value"]


def test_metrics_of_no_rows_have_all_columns() -> None:
    for code in ("US.SAMPLE", "HK.SAMPLE"):
        frame = sample.frame(code)
        empty = metrics.metrics(frame.iloc[:0])
        assert (empty.dtypes == np.float64).all()
        assert list(empty) == list(metrics.metrics(frame.head(3)))
        assert len(empty) == 0


@pytest.mark.parametrize("windows", ["5", 2.5, None, ("5",), (0,), (True,), [5, -1]])
def test_windows_are_whole_numbers(windows: Any) -> None:
    with pytest.raises(ConfigError, match="windows must be"):
        metrics.metrics(real(), windows)


def test_min_periods_fits_the_shortest_window() -> None:
    with pytest.raises(ConfigError, match="min_periods must be a whole number from 1 to 5"):
        metrics.metrics(real(), (20, 5), min_periods=6)
    with pytest.raises(ConfigError, match=r"metrics .*2026-06-12 is there more than once"):
        metrics.metrics(pd.concat([real(), real().iloc[[4]]]))


def test_with_metrics_adds_columns_to_a_copy() -> None:
    frame = real()
    frame.attrs["code"] = "US.AAPL"
    more = metrics.with_metrics(frame, 5)
    assert list(more) == [*frame, *metrics.metrics(frame, 5)]
    assert more.attrs == {"code": "US.AAPL"}
    pd.testing.assert_frame_equal(frame, real())
    pd.testing.assert_frame_equal(metrics.with_metrics(more, 5), more)
    stale = more.assign(short_ratio=0.0)
    pd.testing.assert_frame_equal(metrics.with_metrics(stale, 5), more)


def test_with_metrics_of_repeated_index_labels() -> None:
    frame = real().set_axis([0] * 57, axis=0)
    more = metrics.with_metrics(frame, 5)
    same(more["short_ratio"], metrics.short_ratio(real()).tolist(), frame.index)


def test_with_metrics_keeps_attrs_that_cannot_be_compared() -> None:
    frame = real()
    frame.attrs["weights"] = np.array([1, 2])
    assert metrics.with_metrics(frame, 5).attrs["weights"].tolist() == [1, 2]


# --- by date


def test_dollar_weighted_ratio_by_hand() -> None:
    answer = metrics.dollar_weighted_short_ratio(tickers())
    # The 5th: (9 * 10 + 1 * 30) / (9 * 100 + 1 * 100), the ticker without a price left out.
    # The 2nd: (2 * 5 + 7 * 5) / (2 * 50 + 7 * 0).
    same(
        answer,
        [0.45, 0.12],
        pd.DatetimeIndex(["2026-01-02", "2026-01-05"], name="date").as_unit("ns"),
    )
    nothing = tickers().assign(close_price=NAN)
    same(metrics.dollar_weighted_short_ratio(nothing), [NAN, NAN])
    same(metrics.dollar_weighted_short_ratio(tickers().iloc[:0]), [])


def test_rank_by_hand() -> None:
    frame = tickers()
    answer = metrics.rank(frame, "short_ratio")
    assert answer.name == "short_ratio_rank_by_date"
    same(answer, [1 / 3, 1.0, 2 / 3, 1.0, NAN], frame.index)
    values = pd.Series([2.0, 2.0, NAN, 1.0, np.inf], index=frame.index)
    same(metrics.rank(frame, values), [0.75, 0.75, NAN, 1.0, NAN])
    assert metrics.rank(frame, values).name == "metric_rank_by_date"
    same(metrics.rank(frame, "volume"), [2 / 3, 2 / 3, 2 / 3, 1.0, 0.5])
    same(metrics.rank(us([1], [2]), "short_ratio"), [1.0])


@given(panels())
def test_rank_of_any_panel_is_that_by_the_book(rows: list[book.Row]) -> None:
    near(
        metrics.rank(to_frame(rows), "short_ratio"), [book.rank_by_date(rows, row) for row in rows]
    )


def test_a_metric_is_named_with_its_window_or_has_twenty_days() -> None:
    frame = real().assign(code="US.AAPL", my_factor=1.0)
    for name in ("short_ratio_mean", "short_ratio_mean_20"):
        expected = metrics.short_ratio_mean(frame).sort_index(ascending=False)
        same(metrics.pivot(frame, name)["US.AAPL"], expected.tolist())
    assert metrics.pivot(frame, "my_factor").notna().all(axis=None)
    hk = sample.frame("HK.SAMPLE")
    assert metrics.pivot(hk, "days_to_cover_5").notna().sum().tolist() == [4]
    assert metrics.pivot(hk, "implied_shares").columns.tolist() == ["HK.SAMPLE"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("short_ratios", "no metric and no column 'short_ratios'.*short_ratio_mean"),
        ("short_ratio_mean_x", "no metric and no column"),
        ("short_ratio_mean_0", "n must be a whole number"),
        ("timestamp_str", "'timestamp_str' does not hold numbers"),
        (5, "a metric is a name or a Series, not int"),
        (pd.Series([1.0]), "does not have the index of the frame"),
    ],
)
def test_what_is_no_metric_is_refused(metric: Any, message: str) -> None:
    for function in (metrics.rank, metrics.pivot):
        with pytest.raises(ConfigError, match=message):
            function(real(), metric)


def test_pivot_by_hand() -> None:
    table = metrics.pivot(tickers(), "short_ratio")
    assert table.index.equals(pd.DatetimeIndex(["2026-01-02", "2026-01-05"]))
    assert (table.index.name, table.columns.name) == ("date", "code")
    assert table.columns.tolist() == ["US.A", "US.B", "US.C"]
    np.testing.assert_array_equal(table, [[0.1, NAN, NAN], [0.3, 0.1, 0.2]])
    assert (table.dtypes == np.float64).all()


def test_pivot_of_one_ticker_is_named_by_what_is_known() -> None:
    frame = us([1], [2])
    assert metrics.pivot(frame, "short_ratio").columns.tolist() == ["US"]
    frame.attrs["code"] = "US.A"
    assert metrics.pivot(frame, "short_ratio").columns.tolist() == ["US.A"]
    assert metrics.pivot(frame.iloc[:0], "short_ratio").shape == (0, 0)
    assert metrics.pivot(hand().iloc[:0], "short_ratio").shape == (0, 0)


@pytest.mark.parametrize(
    "of",
    [
        metrics.dollar_weighted_short_ratio,
        lambda frame: metrics.rank(frame, "short_ratio"),
        lambda frame: metrics.pivot(frame, "short_ratio"),
        lambda frame: metrics.resample(frame, "W"),
    ],
)
def test_a_ticker_with_a_day_twice_is_refused(of: Any) -> None:
    frame = pd.concat([tickers(), tickers().iloc[[0]]])
    with pytest.raises(ConfigError, match=r"2026-01-05 of US.B is there more than once"):
        of(frame)


# --- periods


def test_weeks_by_hand() -> None:
    # 2026-01-01 is a Thursday: two days, then Monday to Friday without the Wednesday.
    frame = us([1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60])
    frame["timestamp_str"] = [days(9)[i] for i in (0, 1, 4, 5, 7, 8)]
    frame = frame.assign(
        timestamp=0,
        short_percent=99.0,
        close_price=[10.0, 11, 12, 13, 14, 15],
        last_close_price=[9.0, 10, 11, 12, 13, 14],
        daily_trade_avg_ratio=1.0,
        mine="x",
    )
    frame.attrs["code"] = "US.A"
    weeks = metrics.resample(frame.iloc[::-1], "W")
    expected = pd.DataFrame(
        {
            "total_shares_short": pd.array([3, 18], dtype="Int64"),
            "volume": pd.array([30, 180], dtype="Int64"),
            "close_price": [11.0, 15.0],
            "last_close_price": [9.0, 11.0],
            "short_percent": [10.0, 10.0],
        },
        index=pd.DatetimeIndex(["2026-01-04", "2026-01-11"], name="date").as_unit("ns"),
    )
    pd.testing.assert_frame_equal(weeks, expected[list(weeks)], check_freq=False)
    assert weeks.attrs == {"code": "US.A", "resampled": "W-SUN"}
    same(metrics.short_ratio_mean(weeks, 2), [NAN, 0.1], weeks.index)
    same(metrics.return_1d(weeks), [11.0 / 9.0 - 1, 15.0 / 11.0 - 1])
    pd.testing.assert_frame_equal(metrics.resample(weeks, "W"), weeks, check_freq=False)


def test_what_is_of_days_refuses_weeks() -> None:
    frame = sample.frame("HK.SAMPLE")
    frame.attrs["new_time_str"] = "2026-06-05"  # a Friday
    weeks = metrics.resample(frame, "W-FRI")
    assert "2026-06-05" in weeks.index
    for of in (metrics.days_to_cover, lambda f: f.shortvol.check()):
        with pytest.raises(NotShortVolumeError, match=r"each row .* is a period of W-FRI"):
            of(weeks)
    assert [n for n in metrics.metrics(frame) if n not in metrics.metrics(weeks)] == [
        "days_to_cover_5", "days_to_cover_20",
    ]  # fmt: skip
    for freq in ("D", "B", "C", dt.timedelta(days=1)):
        days = metrics.resample(frame, freq)
        assert "resampled" not in days.attrs
        assert metrics.days_to_cover(days).notna().any()


@pytest.mark.parametrize("freq", ["W", "W-FRI", "ME", "QE", "YE", "MS", pd.offsets.MonthEnd()])
@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
def test_periods_are_those_of_pandas(freq: Any, code: str) -> None:
    frame = sample.frame(code)
    periods = metrics.resample(frame, freq)
    short = "total_shares_short" if code == "US.SAMPLE" else "short_sell_shares_traded"
    dated = frame.set_index(pd.to_datetime(frame["timestamp_str"])).sort_index()
    theirs = dated[short].resample(freq).sum()
    theirs = theirs[theirs > 0]
    assert periods[short].tolist() == theirs.tolist()
    assert periods.index.tolist() == theirs.index.tolist()
    assert periods[short].dtype == "Int64"


def test_periods_of_a_panel_are_those_of_each_ticker() -> None:
    parts = [sample.frame("US.SAMPLE").head(70), sample.frame("US.AAPL")]
    panel = pd.concat([p.assign(code=p.attrs["code"]) for p in parts]).sample(frac=1)
    months = metrics.resample(panel, "ME")
    assert months.index.names == ["code", "date"]
    for part in parts:
        alone = metrics.resample(part, "ME")
        of_panel = months.xs(part.attrs["code"])
        assert isinstance(of_panel, pd.DataFrame)
        pd.testing.assert_frame_equal(of_panel, alone, check_freq=False)
    assert metrics.metrics(months, 2)["short_ratio"].notna().all()


def test_a_value_missing_on_one_day_is_missing_of_the_period() -> None:
    frame = us([1, None, 3], [10, 20, 30]).assign(short_percent=1.0)
    year = metrics.resample(frame, "YE")
    assert year["total_shares_short"].tolist() == [pd.NA]
    assert year["volume"].tolist() == [60]
    assert year["short_percent"].isna().all()


def test_fractions_stay_fractions() -> None:
    assert metrics.resample(us([0.5, 0.25], [1.0, 2.0]), "YE")["total_shares_short"].tolist() == [
        0.75
    ]


def test_no_rows_no_periods() -> None:
    for frame in (real().iloc[:0], hand().iloc[:0], sample.frame("HK.SAMPLE").iloc[:0]):
        assert len(metrics.resample(frame, "W")) == 0


@pytest.mark.parametrize(
    "freq",
    ["weekly", "XX", "-1W", 5.5, None, "", "0D", "ns", "h", "36h", "bh", pd.DateOffset(months=1)],
)
def test_what_is_no_period_is_refused(freq: Any) -> None:
    with pytest.raises(
        ConfigError, match="is not a period that this pandas knows, such as 'W', 'ME'"
    ):
        metrics.resample(real(), freq)


def test_without_days_nothing_goes_by_days() -> None:
    frame = real()[["total_shares_short", "volume"]]
    with pytest.raises(NotShortVolumeError, match="does not have its trading days"):
        metrics.resample(frame, "W")
    with pytest.raises(NotShortVolumeError, match="does not have its trading days"):
        metrics.pivot(frame, "short_ratio")


# --- nothing looks ahead


@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
def test_what_comes_later_changes_nothing_before(code: str) -> None:
    one = sample.frame(code).head(60).drop(columns="timestamp")
    panel = pd.concat([one.assign(code="X.1"), one.iloc[::2].assign(code="X.2")], ignore_index=True)
    today = one["timestamp_str"].iloc[20]
    report = {"aggregated_short": 7, "aggregated_short_ratio": 0.1, "new_time_str": today}
    panel.attrs["aggregates"] = json.dumps({"X.1": report, "X.2": report})
    later = panel["timestamp_str"] > today
    changed = panel.copy()
    columns = panel.columns.difference(["code", "timestamp_str"])
    changed.loc[later, columns] = panel.loc[later, columns] * 3 + 1
    views: list[Callable[[pd.DataFrame], Any]] = [
        lambda frame: metrics.metrics(frame, (2, 7), min_periods=2).loc[~later],
        lambda frame: metrics.rank(frame, "short_ratio_zscore_5").loc[~later],
        lambda frame: metrics.pivot(frame, "short_ratio_mean_5").loc[:today],
        lambda frame: metrics.dollar_weighted_short_ratio(frame).loc[:today],
        lambda frame: metrics.resample(frame, "D").loc[pd.IndexSlice[:, :today], :],
    ]
    for view in views:
        now, then = view(panel), view(changed)
        assert now.notna().to_numpy().any()
        assert now.equals(then)
    assert not metrics.metrics(panel, 2).equals(metrics.metrics(changed, 2))
