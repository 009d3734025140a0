"""``start=``: metrics of rows that are shown, whose windows look back at rows that are not."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from frames import hand, real, us
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trailing import panels, to_frame

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics import registry
from intake_futu_short.metrics.trailing import band

if TYPE_CHECKING:
    from collections.abc import Callable

    import reference_metrics as book

CUTS: list[Callable[..., Any]] = [
    metrics.metrics,
    metrics.with_metrics,
    *[one.function for one in registry.windowed()],
]


def shown(frame: pd.DataFrame, start: str) -> Any:
    return pd.to_datetime(frame["timestamp_str"]) >= pd.Timestamp(start)


@pytest.mark.parametrize("function", CUTS)
@pytest.mark.parametrize("code", ["US.SAMPLE", "HK.SAMPLE"])
def test_what_is_shown_is_that_of_the_whole_history(
    function: Callable[..., Any], code: str
) -> None:
    frame = sample.frame(code).head(90)
    options: dict[str, Any] = {}
    if code == "US.SAMPLE" and function is metrics.days_to_cover:
        options["positions"] = pd.DataFrame({"as_of": ["2026-05-15"], "shares_short": [10**6]})
    frame = frame.sample(frac=1, random_state=4)
    whole = function(frame, **options)
    rows = shown(frame, "2026-05-20")
    assert 15 < rows.sum() < 25
    for start in ("2026-05-20", dt.date(2026, 5, 20), pd.Timestamp("2026-05-20")):
        answer = function(frame, start=start, **options)
        pd.testing.assert_index_equal(answer.index, frame.index[rows])
        test = pd.testing.assert_series_equal
        if isinstance(whole, pd.DataFrame):
            test = pd.testing.assert_frame_equal  # type: ignore[assignment] # either will do
        test(answer, whole[rows], check_exact=True)
        assert not answer.isna().to_numpy().all()
    told = frame.copy()
    told.attrs["start"] = "2026-05-20"
    from_attrs = function(told, **options)
    np.testing.assert_array_equal(from_attrs.index, frame.index[rows])
    assert from_attrs.attrs["start"] == "2026-05-20"
    assert len(function(told, start="2026-06-10", **options)) < 10
    assert len(function(told, start="2000-01-01", **options)) == 90
    assert len(function(frame, start="2027-01-01", **options)) == 0


@settings(max_examples=40)
@given(panels(), st.integers(0, 26), st.integers(1, 6), st.data())
def test_with_enough_rows_before_it_is_that_of_any_history(
    rows: list[book.Row], start: int, n: int, data: st.DataObject
) -> None:
    least = data.draw(st.none() | st.integers(1, n))
    frame = to_frame(rows)
    day = f"{pd.Timestamp('2026-01-01') + pd.Timedelta(days=start):%Y-%m-%d}"
    answer = metrics.metrics(frame, n, min_periods=least, start=day)
    whole = metrics.metrics(frame, n, min_periods=least)
    later = np.array([row["day"] >= start for row in rows], dtype=bool)
    pd.testing.assert_frame_equal(answer, whole[later], check_exact=True)
    # What a source with warmup=n returns: of each ticker the n rows before the start, too.
    kept = [
        row["day"] >= start
        or sum(r["code"] == row["code"] and row["day"] <= r["day"] < start for r in rows) <= n
        for row in rows
    ]
    warm = frame[np.array(kept, dtype=bool)]
    again = metrics.metrics(warm, n, min_periods=least, start=day)
    pd.testing.assert_frame_equal(again, answer, check_exact=True)


def test_metrics_of_a_day_and_across_tickers_answer_for_every_row() -> None:
    frame = hand()
    frame.attrs["start"] = "2026-01-07"
    assert len(metrics.short_ratio(frame)) == len(frame)
    plain = hand()
    for of in (metrics.rank, metrics.pivot):
        answer: Any = of(frame, "short_ratio_mean_2")
        expected: Any = of(plain, "short_ratio_mean_2")
        np.testing.assert_array_equal(answer, expected)
    assert len(metrics.short_ratio_mean(frame, 2)) < len(frame)
    assert frame.attrs == {"start": "2026-01-07"}


def test_with_metrics_keeps_the_frames_own_columns_of_these_rows() -> None:
    frame = us([1, 2, 3], [10, 10, 10], note=["a", "b", "c"])
    found = metrics.with_metrics(frame, 2, start="2026-01-02")
    assert found["note"].tolist() == ["b", "c"]
    np.testing.assert_allclose(found["short_ratio_mean_2"], [0.15, 0.25])
    assert found.index.tolist() == [1, 2]


@pytest.mark.parametrize("start", ["soon", "2026-13-01", 5.5])
def test_what_is_no_day_is_refused(start: Any) -> None:
    with pytest.raises(ConfigError, match="start"):
        metrics.short_ratio_mean(real(), start=start)
    frame = real()
    frame.attrs["start"] = start
    with pytest.raises(ConfigError, match=r"attrs\['start'\]"):
        metrics.metrics(frame)


# --- the band of a figure


def test_the_band_is_what_the_z_score_compares_with() -> None:
    frame = real()
    mean, deviation = band(frame, 5)
    score = metrics.short_ratio_zscore(frame, 5)
    again = (metrics.short_ratio(frame) - mean) / deviation
    np.testing.assert_allclose(again, score, rtol=1e-9)
    assert score.notna().sum() == 52
    pd.testing.assert_index_equal(mean.index, frame.index)


def test_the_band_by_hand() -> None:
    frame = us([1, 2, 4, 4, 4, 4, None, 4], [10] * 8)
    mean, deviation = band(frame, 3)
    nan = math.nan
    expected = [nan, nan, nan, 0.7 / 3, 1 / 3, 0.4, 0.4, nan]
    np.testing.assert_allclose(mean, expected, rtol=1e-15)
    first, second = math.sqrt(0.07 / 3), math.sqrt(0.04 / 3)  # of 0.1 0.2 0.4 and of 0.2 0.4 0.4
    sd = [nan, nan, nan, first, second, 0.0, 0.0, nan]
    np.testing.assert_allclose(deviation, sd, rtol=1e-12)
    frame.attrs["start"] = "2026-01-04"  # a figure cuts by itself
    assert len(band(frame, 3)[0]) == 8
