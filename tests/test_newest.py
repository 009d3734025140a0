"""``df.shortvol.latest()``: the newest session of each ticker."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from frames import real, us

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError

A = us([10, 20, 30, 60], [100, 100, 100, 100], code="US.A", close_price=[1.0, 2.0, 3.0, 4.0])
B = us([40, 20, 10], [100, 100, 100], code="US.B", close_price=[9.0, 8.0, 7.0])
C = us([0, 0, 0, 5], [0, 0, 0, 0], code="US.C", close_price=[1.0, 1.0, 1.0, 1.0])
# Of three tickers the second lacks the newest session, and the third has no ratio.
PANEL = pd.concat([C, B, A], ignore_index=True).sample(frac=1, random_state=5)


def test_a_row_a_ticker_with_all_metrics_sorted() -> None:
    found = PANEL.shortvol.latest(by="short_ratio_zscore_3", windows=3)
    assert found.columns.tolist() == [
        "code", "date", "sessions_behind", "volume", "close_price",
        "short_ratio", "short_value",
        "short_ratio_mean_3", "pooled_short_ratio_3", "short_ratio_zscore_3",
        "abnormal_short_ratio_3", "short_volume_surge_3", "short_ratio_rank_3",
    ]  # fmt: skip
    assert found.index.tolist() == [0, 1, 2]
    assert found["code"].tolist() == ["US.A", "US.B", "US.C"]
    assert found["date"].dtype == "datetime64[ns]"
    assert found["date"].dt.strftime("%m-%d").tolist() == ["01-04", "01-03", "01-04"]
    assert found["sessions_behind"].tolist() == [0, 1, 0]
    assert found["volume"].tolist() == [100, 100, 0]
    assert found["close_price"].tolist()[:2] == [4.0, 7.0]
    first = found.iloc[0]
    assert first["short_ratio"] == 0.6
    assert first["short_value"] == 240.0
    assert first["short_ratio_mean_3"] == pytest.approx(1.1 / 3)
    assert first["pooled_short_ratio_3"] == 110 / 300
    assert first["short_ratio_zscore_3"] == pytest.approx(4.0)
    assert first["abnormal_short_ratio_3"] == pytest.approx(2.0)
    assert first["short_volume_surge_3"] == 3.0
    assert first["short_ratio_rank_3"] == 1.0
    # Three days are no window of three and the day after it.
    assert math.isnan(found["short_ratio_zscore_3"][1])
    assert found["short_ratio_rank_3"][1] == 1 / 3


def test_the_order_is_by_any_metric_or_column_and_missing_values_are_last() -> None:
    def codes(by: str, **more: bool) -> str:
        found = PANEL.shortvol.latest(by=by, windows=(), **more)
        return "".join(code[-1] for code in found["code"])

    assert codes("short_ratio") == "ABC"
    assert codes("short_ratio", ascending=True) == "BAC"
    assert codes("short_ratio_mean_2", ascending=True) == "BAC"
    assert codes("close_price") == "BAC"
    assert codes("total_shares_short") == "ABC"
    assert codes("sessions_behind") == "BAC"
    assert codes("code") == "CBA"
    assert codes("date", ascending=True) == "BAC"


def test_equal_tickers_are_in_the_order_of_their_codes() -> None:
    panel = pd.concat([A.assign(code=code) for code in ("US.Z", "US.M", "US.A")])
    for ascending in (True, False):
        found = panel.shortvol.latest(by="short_ratio", ascending=ascending)
        assert found["code"].tolist() == ["US.A", "US.M", "US.Z"]


def test_no_more_tickers_than_wanted() -> None:
    assert PANEL.shortvol.latest(by="short_ratio", n=2)["code"].tolist() == ["US.A", "US.B"]
    assert len(PANEL.shortvol.latest(by="short_ratio", n=None)) == 3
    many = pd.concat([A.assign(code=f"US.T{i}") for i in range(25)])
    assert len(many.shortvol.latest()) == 20


@pytest.mark.parametrize(
    ("by", "last_columns"),
    [
        ("short_ratio_mean_2", ["short_ratio_rank_3", "short_ratio_mean_2"]),
        ("short_volume_surge", ["short_ratio_rank_3", "short_volume_surge_20"]),
        ("short_ratio_mean_02", ["short_ratio_rank_3", "short_ratio_mean_2"]),
        ("total_shares_short", ["short_volume_surge_3", "short_ratio_rank_3"]),
    ],
)
def test_what_it_is_sorted_by_is_there(by: str, last_columns: list[str]) -> None:
    found = PANEL.shortvol.latest(by=by, windows=3)
    assert found.columns.tolist()[-2:] == last_columns
    assert ("total_shares_short" in found) == (by == "total_shares_short")


def test_the_metrics_are_those_of_the_whole_history() -> None:
    rng = np.random.default_rng(7)
    parts = []
    for i, length in enumerate([1, 5, 20, 21, 22, 60, 61, 200, 700]):
        rows = us(
            list(rng.uniform(0, 90, length)), list(rng.uniform(90, 100, length)), code=f"US.{i}"
        )
        rows.loc[rng.uniform(size=length) < 0.05, "volume"] = math.nan
        parts.append(rows)
    panel = pd.concat(parts).sample(frac=1, random_state=1)
    newest = panel.index == panel.groupby("code")["timestamp_str"].transform("size") - 1
    for min_periods in (None, 3):
        windows = (3, 20, 60)
        whole = metrics.metrics(panel, windows, min_periods=min_periods)[newest]
        whole.index = pd.Index(panel["code"][newest])
        found = metrics.latest(panel, n=None, windows=windows, min_periods=min_periods)
        by_code = found.set_index("code")[whole.columns].loc[whole.index]
        pd.testing.assert_frame_equal(by_code, whole, check_exact=True)
        scores = metrics.short_ratio_zscore(panel, 59, min_periods=min_periods)[newest]
        other = metrics.latest(
            panel, "short_ratio_zscore_59", None, windows=(3,), min_periods=min_periods
        )
        found_scores = other.set_index("code")["short_ratio_zscore_59"].loc[panel["code"][newest]]
        np.testing.assert_array_equal(found_scores.to_numpy(), scores.to_numpy())


def test_one_ticker_of_either_market() -> None:
    found = sample.frame("US.AAPL").shortvol.latest()
    assert found["code"].tolist() == ["US.AAPL"]
    # The gateway's own daily_trade_avg_ratio of that day is 17.30 percent.
    assert found[["volume", "sessions_behind"]].to_numpy().tolist() == [[31759188, 0]]
    assert found["pooled_short_ratio_20"].round(4).tolist() == [0.1730]
    found = sample.frame("HK.SAMPLE").shortvol.latest(by="short_turnover_ratio")
    assert found.columns.tolist()[:5] == [
        "code", "date", "sessions_behind", "shares_traded", "close_price",
    ]  # fmt: skip
    assert "days_to_cover_20" in found
    assert found.attrs["market"] == "HK"


def test_frames_without_codes_and_with_days_in_the_index() -> None:
    found = real().shortvol.latest(by="volume")
    assert len(found) == 1
    assert found["code"].isna().all()
    indexed = PANEL.shortvol.by_date()
    pd.testing.assert_frame_equal(
        indexed.shortvol.latest(by="short_ratio"),
        PANEL.shortvol.latest(by="short_ratio"),
        check_dtype=False,
    )
    assert indexed.equals(PANEL.shortvol.by_date())


def test_rows_that_were_read_for_the_windows_count_whatever_the_start_is() -> None:
    frame = PANEL.copy()
    frame.attrs["start"] = "2026-01-04"
    found = frame.shortvol.latest(by="short_ratio_mean_3", windows=3)
    assert found["code"].tolist() == ["US.A", "US.B", "US.C"]
    assert frame.attrs == found.attrs == {"start": "2026-01-04"}


def test_positions_that_are_given() -> None:
    hk = us([10] * 12, [100] * 12, code="HK.00001").rename(
        columns={"total_shares_short": "short_sell_shares_traded", "volume": "shares_traded"}
    )
    # As of Wednesday, 31 December: published on Friday, 9 January.
    reported = pd.DataFrame({"as_of": ["2025-12-31"], "aggregated_short": [500]})
    found = metrics.latest(hk, "days_to_cover_10", windows=(), positions=reported)
    assert found["days_to_cover_10"].tolist() == [5.0]
    with pytest.raises(NotShortVolumeError, match="days_to_cover"):
        metrics.latest(hk, "days_to_cover_10", windows=())


def test_a_frame_without_rows() -> None:
    found = PANEL.iloc[:0].shortvol.latest()
    assert len(found) == 0
    assert found.columns.tolist()[:3] == ["code", "date", "sessions_behind"]
    assert "short_ratio_zscore_20" in found


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no column 'zscore'\. Metrics: short_ratio, "):
        PANEL.shortvol.latest(by="zscore")
    with pytest.raises(ConfigError, match="must be the name of a metric or column, not 3"):
        PANEL.shortvol.latest(by=3)
    with pytest.raises(NotShortVolumeError, match="short_turnover_ratio works for HK frames only"):
        PANEL.shortvol.latest(by="short_turnover_ratio")
    for n in (0, -1, 2.5, True, "20"):
        with pytest.raises(ConfigError, match="n must be a whole number of at least 1"):
            PANEL.shortvol.latest(n=n)
    with pytest.raises(ConfigError, match="windows must be"):
        PANEL.shortvol.latest(windows="20")
    with pytest.raises(ConfigError, match="is there more than once"):
        pd.concat([A, A]).shortvol.latest()
