"""Trailing windows against the book, hand-computed answers, and what must not matter to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import reference_metrics as book
from frames import DATA, days, hand, real, same, us
from hypothesis import given, settings
from hypothesis import strategies as st

from intake_futu_short import metrics
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics import windows
from intake_futu_short.metrics.sessions import Sessions
from intake_futu_short.metrics.window_metrics import window_sums

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOWED: dict[str, Callable[..., pd.Series[float]]] = {
    name: getattr(metrics, name) for name in book.WINDOWED
}
every = pytest.mark.parametrize("name", list(WINDOWED))
Count = st.none() | st.integers(0, 3) | st.sampled_from([1, 10**10, 10**10 + 1])


@st.composite
def panels(draw: st.DrawFn, longest: int = 30) -> list[book.Row]:
    """Rows of some tickers in any order, with gaps, ties, absences, zeros, large beside small."""
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from("ABC"), st.integers(0, 25)), unique=True, max_size=longest
        )
    )
    return [
        {"code": code, "day": day, "short": draw(Count), "volume": draw(Count)}
        for code, day in keys
    ]


def to_frame(rows: list[book.Row]) -> pd.DataFrame:
    calendar = days(26)
    return pd.DataFrame(
        {
            "code": pd.Series([r["code"] for r in rows], dtype=object),
            "timestamp_str": pd.Series([calendar[r["day"]] for r in rows], dtype=object),
            "total_shares_short": pd.array([r["short"] for r in rows], dtype="Int64"),
            "volume": pd.array([r["volume"] for r in rows], dtype="Int64"),
        }
    )


def near(answer: Any, expected: list[float]) -> None:
    np.testing.assert_allclose(np.asarray(answer), np.array(expected), rtol=1e-9, atol=1e-12)


# --- answers from outside


def test_on_real_rows_metrics_are_those_worked_out_in_decimals() -> None:
    expected = pd.read_csv(DATA / "us_aapl_metrics.csv")
    rows = real().iloc[-len(expected) :]
    assert rows["timestamp_str"].tolist() == expected["timestamp_str"].tolist()
    answer = metrics.metrics(rows)
    assert list(answer) == list(expected)[1:]
    for name in answer:
        np.testing.assert_allclose(answer[name], expected[name], rtol=1e-12, err_msg=name)
    assert expected.notna().sum()["short_ratio_zscore_20"] == 9


@given(panels(), st.integers(1, 8), st.data())
def test_metrics_of_any_panel_are_those_by_the_book(
    rows: list[book.Row], n: int, data: st.DataObject
) -> None:
    least = data.draw(st.none() | st.integers(1, n))
    answer = metrics.metrics(to_frame(rows), n, min_periods=least)
    for name, by_the_book in book.WINDOWED.items():
        near(answer[f"{name}_{n}"], [by_the_book(rows, row, n, least or n) for row in rows])
    assert not np.isinf(answer.to_numpy()).any()


@pytest.mark.parametrize("block", [1, 40, 1000])
def test_how_rows_are_cut_into_blocks_is_not_seen(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)
    lengths = [1, 7, 30, 2, 30, 30, 12, 1]
    parts = [
        us(random.integers(0, 9, n).tolist(), random.integers(0, 99, n).tolist(), code=f"US.{i}")
        for i, n in enumerate(lengths)
    ]
    panel = pd.concat(parts).sample(frac=1, random_state=1)
    whole = metrics.metrics(panel, (3, 10, 40), min_periods=2)
    monkeypatch.setattr(windows, "_BLOCK", block)
    pd.testing.assert_frame_equal(metrics.metrics(panel, (3, 10, 40), min_periods=2), whole)
    alone = [metrics.metrics(part, (3, 10, 40), min_periods=2) for part in parts]
    together = metrics.metrics(pd.concat(parts), (3, 10, 40), min_periods=2)
    pd.testing.assert_frame_equal(together, pd.concat(alone), check_exact=True)


def test_sums_of_the_checks_are_of_what_is_known() -> None:
    sessions = Sessions.of(us([0] * 5, [1] * 5, code=["US.A"] * 3 + ["US.B"] * 2))
    sums, counts = window_sums(sessions, np.array([0.5, np.nan, 0.25, 7.0, 2.0**53 - 8]), 2)
    assert sums.tolist() == [0.5, 0.5, 0.25, 7.0, 2.0**53 - 1]
    assert counts.tolist() == [1, 1, 1, 1, 2]


# --- what must not matter


@settings(max_examples=50)  # each looks at six panels
@given(panels(), st.integers(0, 25), st.data())
def test_what_comes_later_changes_no_earlier_answer(
    rows: list[book.Row], today: int, data: st.DataObject
) -> None:
    changed = [
        r if r["day"] <= today else {**r, "short": data.draw(Count), "volume": data.draw(Count)}
        for r in rows
    ]
    past = [i for i, row in enumerate(rows) if row["day"] <= today]
    for least in (None, 1):
        now, then, known = (
            metrics.metrics(to_frame(of), (3, 11), min_periods=least)
            for of in (rows, changed, [rows[i] for i in past])
        )
        known.index = pd.Index(past, dtype=known.index.dtype)
        pd.testing.assert_frame_equal(now.iloc[past], known, check_exact=True)
        pd.testing.assert_frame_equal(then.iloc[past], known, check_exact=True)


@every
@pytest.mark.parametrize("least", [None, 2])
def test_what_lies_before_the_window_or_in_another_ticker_is_not_seen(
    name: str, least: int | None
) -> None:
    window = us([3, 1, 4, 1, 5], [31, 41, 59, 26, 53])["total_shares_short"].tolist()
    short, volume = [*window, 9], [31, 41, 59, 26, 53, 58]
    alone = us(short, volume, code="US.A")
    before = us([10**15, 7, *short], [10**15 + 1, 13, *volume], code="US.A")
    other = us([10**15] * 8, [10**15 + 1] * 8, code="US.B")
    panel = pd.concat([before, other])
    answer = WINDOWED[name](panel, 5, min_periods=least).iloc[7]
    assert answer == WINDOWED[name](alone, 5, min_periods=least).iloc[5]
    assert math.isfinite(answer)


@every
def test_the_order_of_rows_and_the_index_are_kept(name: str) -> None:
    frame = real()
    straight = WINDOWED[name](frame, 5)
    shuffled = frame.sample(frac=1, random_state=7)
    pd.testing.assert_series_equal(
        WINDOWED[name](shuffled, 5), straight.loc[shuffled.index], check_exact=True
    )
    assert straight.name == f"{name}_5"
    assert straight.dtype == np.float64


def test_all_together_are_each_by_itself_exactly() -> None:
    frame = real()
    together = metrics.metrics(frame, (5, 20, 60), min_periods=3)
    for name, function in WINDOWED.items():
        for n in (5, 20, 60):
            pd.testing.assert_series_equal(
                together[f"{name}_{n}"], function(frame, n, min_periods=3), check_exact=True
            )


# --- corners


@every
def test_windows_of_which_there_is_too_little_are_nan(name: str) -> None:
    function = WINDOWED[name]
    same(function(us([1, 2], [4, 4]), 5), [math.nan, math.nan])
    same(function(us([1, 2], [4, 4]), 10**30), [math.nan, math.nan])
    same(function(us([1], [4])), [math.nan])
    same(function(real().iloc[:0]), [])
    same(function(hand().iloc[:0], 3, min_periods=1), [])
    same(function(us([None, None], [0, None]), 1), [math.nan, math.nan])


@every
def test_a_window_longer_than_the_history_with_few_days_wanted_holds_all_of_it(name: str) -> None:
    frame = us([1, 2, 4, 3], [10, 10, 10, 10])
    expected = WINDOWED[name](frame, 4, min_periods=2).tolist()
    same(WINDOWED[name](frame, 10**30, min_periods=2), expected)
    assert not math.isnan(expected[-1])
    both = metrics.metrics(frame, (10**30, 10**6), min_periods=2)
    both[f"{name}_{10**6}"] += 1
    same(both[f"{name}_{10**30}"], expected)


@pytest.mark.parametrize(("short", "volume"), [(1, 10), (1, 3), (7, 101), (123457, 7654321)])
@pytest.mark.parametrize("least", [None, 2])
def test_ratios_that_are_all_the_same_have_no_standard_deviation(
    short: int, volume: int, least: int | None
) -> None:
    # Ten times a tenth is not 1 in floats: a mean is off by a rounding, and deviations are not 0.
    frame = us([short] * 12 + [2 * short], [volume] * 13)
    for n in (2, 3, 5, 7, 10):
        assert metrics.short_ratio_zscore(frame, n, min_periods=least).isna().all()


def test_ratios_that_hardly_differ_have_one() -> None:
    ratios = [0.1, np.nextafter(0.1, 1), 0.1, 0.1, 0.1 + 1e-16]
    rows = [{"code": "A", "day": i, "short": r, "volume": 1.0} for i, r in enumerate(ratios)]
    frame = us(ratios, [1.0] * 5)
    expected = [book.short_ratio_zscore(rows, row, 4, 2) for row in rows]
    near(metrics.short_ratio_zscore(frame, 4, min_periods=2), expected)
    assert sum(map(math.isfinite, expected)) == 3


def test_equal_ratios_share_their_average_rank() -> None:
    frame = us([1, 2, 1, 2, 2], [10, 10, 10, 10, 10])
    same(metrics.short_ratio_rank(frame, 4), [math.nan] * 3 + [3.5 / 4, 3 / 4])
    long = us([1] * 400, [10] * 400)
    assert metrics.short_ratio_rank(long, 300).iloc[-1] == 150.5 / 300


def test_a_day_without_volume_has_no_ratio_but_its_count_is_pooled() -> None:
    frame = us([1, 0, 2], [10, 0, 10])
    same(metrics.short_ratio_mean(frame, 3), [math.nan] * 3)
    near(metrics.short_ratio_mean(frame, 3, min_periods=2), [math.nan, math.nan, 0.15])
    same(metrics.pooled_short_ratio(frame, 3), [math.nan, math.nan, 0.15])


def test_sessions_that_the_frame_lacks_are_not_counted() -> None:
    frame = us([1, 2, 9, 3], [10, 10, 10, 10]).drop(index=2)
    near(metrics.short_ratio_mean(frame, 3), [math.nan, math.nan, 0.2])


def test_numbers_beyond_what_floats_can_square_are_nan_at_worst() -> None:
    frame = us([1e200, 2.0, 1e308, 1e308], [1e-200, 1e-108, 1.0, 1.0])
    assert not np.isinf(metrics.metrics(frame, 2).to_numpy()).any()


@every
def test_a_repeated_day_and_a_wrong_number_are_refused(name: str) -> None:
    frame = pd.concat([real(), real().iloc[[4]]])
    with pytest.raises(ConfigError, match=rf"{name}_5 .*2026-06-12 is there more than once"):
        WINDOWED[name](frame, 5)
    with pytest.raises(ConfigError, match="n must be a whole number of at least 1"):
        WINDOWED[name](real(), 0)
    with pytest.raises(ConfigError, match="min_periods must be a whole number from 1 to 5"):
        WINDOWED[name](real(), 5, min_periods=6)


@every
def test_a_missing_column_is_named(name: str) -> None:
    frame = real().drop(columns="total_shares_short").assign(short_sell_turnover=1.0)
    with pytest.raises(NotShortVolumeError, match="missing: short_sell_shares_traded"):
        WINDOWED[name](frame)


@every
def test_the_frame_is_not_changed_and_its_attrs_are_passed_on(name: str) -> None:
    frame = real()
    frame.attrs["code"] = "US.AAPL"
    answer = WINDOWED[name](frame, 5)
    answer.attrs["code"] = "changed"
    pd.testing.assert_frame_equal(frame, real())
    assert frame.attrs == {"code": "US.AAPL"}
