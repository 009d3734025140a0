from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import FINDINGS, days, hand, real, same, truncated, us
from hypothesis import given
from hypothesis import strategies as st

from intake_futu_short import checks, metrics
from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics import sessions

# --- ratios of one day


def test_on_real_rows_short_ratio_truncated_is_the_gateways_short_percent() -> None:
    frame = real()
    ratio = metrics.short_ratio(frame)
    assert [truncated(100 * r, 3) for r in ratio] == frame["short_percent"].tolist()
    assert len(ratio) == 57


def test_hand_computed_ratios_of_a_day() -> None:
    frame = hand()
    answer = metrics.short_ratio(frame)
    assert answer.name == "short_ratio"
    same(answer, frame["short_ratio"].tolist(), frame.index)


def test_short_turnover_ratio_of_hk() -> None:
    frame = pd.DataFrame(
        {"short_sell_turnover": [1.5, 2.0, 3.0, np.nan], "turnover": [6, 0, np.nan, 4]}
    )
    answer = metrics.short_turnover_ratio(frame)
    assert answer.name == "short_turnover_ratio"
    same(answer, [0.25, np.nan, np.nan, np.nan])


def test_a_ratio_is_never_infinite() -> None:
    frame = us([5, 0, 5, np.inf], [0, 0, np.nan, 3])
    same(metrics.short_ratio(frame), [np.nan] * 4)


def test_hk_short_ratio_is_of_shares() -> None:
    frame = pd.DataFrame({"short_sell_shares_traded": [100], "shares_traded": [800]})
    same(metrics.short_ratio(frame), [0.125])


@pytest.mark.parametrize("dtype", ["Int64", "float64", "object", "Float64", "int64[pyarrow]"])
def test_every_dtype_of_a_count_gives_the_same(dtype: str) -> None:
    frame = us([1, None, 3, 2], [4, 5, None, 8])
    counts = ["total_shares_short", "volume"]
    frame[counts] = frame[counts].astype(pd.api.types.pandas_dtype(dtype))
    same(metrics.short_ratio(frame), [0.25, np.nan, np.nan, 0.25])
    same(metrics.pooled_short_ratio(frame, 2, min_periods=1), [0.25, 0.25, np.nan, 0.25])


def test_a_column_without_any_value_gives_nan() -> None:
    # So does the official client when the gateway leaves a field out of every row.
    frame = pd.DataFrame([{"timestamp_str": "2026-01-02", "volume": 5}])
    frame["total_shares_short"] = None
    same(metrics.short_ratio(frame), [np.nan])
    same(metrics.pooled_short_ratio(frame, 1), [np.nan])


# --- pooled ratio


def test_on_real_rows_with_a_whole_window_it_is_the_gateways_daily_trade_avg_ratio() -> None:
    frame = real()
    newest_of_first_stretch = slice(28, 38)
    pooled = metrics.pooled_short_ratio(frame).iloc[newest_of_first_stretch]
    expected = [17.3, 17.14, 17.23, 17.12, 16.92, 16.7, 16.39, 16.25, 16.11, 15.86]
    assert [truncated(100 * r, 2) for r in pooled] == expected
    assert frame["daily_trade_avg_ratio"].iloc[newest_of_first_stretch].tolist() == expected


def test_hand_computed_pooled_ratios() -> None:
    frame = hand()
    answer = metrics.pooled_short_ratio(frame, 3)
    assert answer.name == "pooled_short_ratio_3"
    same(answer, frame["pooled_short_ratio_3"].tolist(), frame.index)
    any_day = metrics.pooled_short_ratio(frame, 3, min_periods=1)
    same(any_day, frame["pooled_short_ratio_3_of_any"].tolist(), frame.index)


def test_min_periods_counts_days_that_have_both_counts() -> None:
    frame = us([1, 2, None, 4], [10, None, 10, 10])
    same(metrics.pooled_short_ratio(frame, 3, min_periods=2), [np.nan] * 4)
    same(metrics.pooled_short_ratio(frame, 4, min_periods=2), [np.nan, np.nan, np.nan, 0.25])


def test_counts_that_a_float_cannot_add_are_added_exactly() -> None:
    # In floats 2**53 + 1 is 2**53, and a running sum would lose the ones.
    frame = us([2**53 - 1, 1, 1], [2**53 - 1, 2, 2])
    same(metrics.pooled_short_ratio(frame, 2), [np.nan, 1.0, 0.5])


def test_fractional_volumes_are_pooled_too() -> None:
    frame = us([0.5, 0.25, 0.25], [1.0, 2.0, 0.5])
    same(metrics.pooled_short_ratio(frame, 2), [np.nan, 0.25, 0.2])


def test_fractions_of_one_ticker_leave_no_trace_in_another() -> None:
    other = us([1e17 + 0.5, 3.3], [1e17, 7.7], code="US.A")
    own = us([0.1, 0.2], [1.0, 2.0], code="US.B")
    alone = metrics.pooled_short_ratio(own, 2)
    together = metrics.pooled_short_ratio(pd.concat([other, own]), 2)
    assert together.iloc[3] == alone.iloc[1] == pytest.approx(0.1, rel=1e-15)


def test_a_window_longer_than_the_frame_is_never_full() -> None:
    frame = us([1, 1], [2, 2])
    same(metrics.pooled_short_ratio(frame, 10**30), [np.nan, np.nan])
    same(metrics.pooled_short_ratio(frame, 10**30, min_periods=1), [0.5, 0.5])


def test_a_single_row() -> None:
    frame = us([1], [4])
    same(metrics.pooled_short_ratio(frame, 1), [0.25])
    same(metrics.pooled_short_ratio(frame), [np.nan])


@pytest.mark.parametrize(
    "frame", [real().iloc[:0], hand().iloc[:0], pd.DataFrame(columns=list(real()))]
)
def test_an_empty_frame_gives_empty_answers(frame: pd.DataFrame) -> None:
    for answer in (metrics.short_ratio(frame), metrics.pooled_short_ratio(frame)):
        same(answer, [])
    assert list(checks.check(frame)) == FINDINGS
    assert len(sessions.by_date(frame)) == 0


@pytest.mark.parametrize("n", [0, -1, 2.0, "20", True, None, np.nan])
def test_n_is_a_whole_number_of_days(n: Any) -> None:
    with pytest.raises(ConfigError, match=r"n must be a whole number of at least 1"):
        metrics.pooled_short_ratio(real(), n)


@pytest.mark.parametrize("least", [0, 21, 1.5, "1", True])
def test_min_periods_is_at_most_n(least: Any) -> None:
    with pytest.raises(ConfigError, match=r"min_periods must be a whole number from 1 to 20"):
        metrics.pooled_short_ratio(real(), 20, min_periods=least)


def test_n_may_come_from_numpy() -> None:
    assert metrics.pooled_short_ratio(real(), np.int64(5)).name == "pooled_short_ratio_5"  # type: ignore[arg-type] # an integer all the same


def test_a_day_that_is_there_twice_is_refused_with_the_day() -> None:
    frame = pd.concat([real(), real().iloc[[4]]])
    with pytest.raises(ConfigError, match=r"2026-06-12 is there more than once.*'code'"):
        metrics.pooled_short_ratio(frame)
    same(metrics.short_ratio(frame).iloc[[4, 57]], [6155991 / 38784789] * 2)


def test_in_a_panel_the_repeated_day_is_named_with_its_ticker() -> None:
    panel = hand()
    with pytest.raises(ConfigError, match=r"2026-01-07 of US\.A is there more than once"):
        metrics.pooled_short_ratio(pd.concat([panel, panel.iloc[[1]]]), 3)


Row = tuple[str, int, "int | None", "int | None"]


@st.composite
def panels(draw: st.DrawFn) -> list[Row]:
    """Rows (code, day, S, V) of some tickers in any order, with gaps, absences and zeros."""
    keys = draw(
        st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 25)), unique=True, max_size=40)
    )
    count = st.none() | st.integers(0, 3) | st.integers(0, 10**10)
    return [(code, day, draw(count), draw(count)) for code, day in keys]


def to_frame(rows: list[Row], index: list[int]) -> pd.DataFrame:
    calendar = days(26)
    return pd.DataFrame(
        {
            "code": pd.Series([r[0] for r in rows], dtype=object),
            "timestamp_str": pd.Series([calendar[r[1]] for r in rows], dtype=object),
            "total_shares_short": pd.array([r[2] for r in rows], dtype="Int64"),
            "volume": pd.array([r[3] for r in rows], dtype="Int64"),
        }
    ).set_axis(pd.Index(index, dtype="int64"), axis=0)


def pooled_by_the_book(rows: list[Row], n: int, least: int) -> list[float]:
    answers = []
    for code, day, _, _ in rows:
        past = sorted((r for r in rows if r[0] == code and r[1] <= day), key=lambda r: r[1])[-n:]
        counted = [(r[2], r[3]) for r in past if r[2] is not None and r[3] is not None]
        volume = sum(v for _, v in counted)
        enough = len(counted) >= least and volume > 0
        answers.append(sum(s for s, _ in counted) / volume if enough else math.nan)
    return answers


@given(panels(), st.integers(1, 8), st.booleans(), st.data())
def test_pooled_ratio_of_any_panel_is_that_by_the_book(
    rows: list[Row], n: int, floats: bool, data: st.DataObject
) -> None:
    least = data.draw(st.integers(1, n))
    index = data.draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows)))
    frame = to_frame(rows, index)
    if floats:
        for column in ("total_shares_short", "volume"):
            frame[column] = frame[column].to_numpy(dtype=float, na_value=math.nan)
    before = frame.copy()
    answer = metrics.pooled_short_ratio(frame, n, min_periods=least)
    same(answer, pooled_by_the_book(rows, n, least), frame.index)
    pd.testing.assert_frame_equal(frame, before)


@given(panels(), st.integers(1, 8), st.integers(0, 25), st.integers(0, 10**9))
def test_what_comes_later_never_changes_an_earlier_answer(
    rows: list[Row], n: int, today: int, other: int
) -> None:
    index = list(range(len(rows)))
    changed: list[Row] = [
        (c, d, s, v) if d <= today else (c, d, other, other) for c, d, s, v in rows
    ]
    past = [i for i, row in enumerate(rows) if row[1] <= today]
    now = metrics.pooled_short_ratio(to_frame(rows, index), n, min_periods=1)
    then = metrics.pooled_short_ratio(to_frame(changed, index), n, min_periods=1)
    known = metrics.pooled_short_ratio(to_frame([rows[i] for i in past], past), n, min_periods=1)
    pd.testing.assert_series_equal(now.iloc[past], known, check_exact=True)
    pd.testing.assert_series_equal(then.iloc[past], known, check_exact=True)
