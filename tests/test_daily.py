"""Metrics of each day by itself, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import same, us

from intake_futu_short import metrics, sample
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics import daily, registry

NAN = math.nan


def hk(**columns: Any) -> pd.DataFrame:
    """Days: an ordinary one, without shorts, all short, without trade, of unknown shorts."""
    frame = pd.DataFrame(
        {
            "turnover": [1000.0, 300.0, 80.0, 0.0, 10.0],
            "short_sell_turnover": [220.0, 0.0, 80.0, 0.0, None],
            "shares_traded": pd.array([100, 30, 10, 0, 4], dtype="Int64"),
            "short_sell_shares_traded": pd.array([20, 0, 10, 0, None], dtype="Int64"),
        }
    )
    return frame.assign(**columns)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("short_ratio", [0.2, 0.0, 1.0, NAN, NAN]),
        ("short_turnover_ratio", [0.22, 0.0, 1.0, NAN, NAN]),
        ("short_value", [220.0, 0.0, 80.0, 0.0, NAN]),
        ("vwap", [10.0, 10.0, 8.0, NAN, 2.5]),
        ("short_vwap", [11.0, NAN, 8.0, NAN, NAN]),
        ("long_vwap", [9.75, 10.0, NAN, NAN, NAN]),
        ("short_vwap_premium", [11 / 10 - 1, NAN, 0.0, NAN, NAN]),
    ],
)
@pytest.mark.parametrize("dtype", [None, "float64", "object", "Float64", "double[pyarrow]"])
def test_hk_by_hand(name: str, expected: list[float], dtype: str | None) -> None:
    frame = hk() if dtype is None else hk().astype(pd.api.types.pandas_dtype(dtype))
    before = frame.copy()
    answer = getattr(metrics, name)(frame)
    assert answer.name == name
    same(answer, expected, frame.index)
    pd.testing.assert_frame_equal(frame, before)


def test_us_by_hand() -> None:
    frame = us([4, 0, 5, None], [10, 10, 0, 10], nasdaq_shares_short=[3, 0, 5, 1])
    frame = frame.assign(close_price=[2.5, 2.0, NAN, 3.0], last_close_price=[2.0, 2.5, 1.0, 0.0])
    same(metrics.short_value(frame), [10.0, 0.0, NAN, NAN])
    same(metrics.venue_share(frame), [0.75, NAN, 1.0, NAN])
    same(metrics.return_1d(frame), [0.25, 2.0 / 2.5 - 1, NAN, NAN])


def test_the_answer_is_no_view_of_the_frame() -> None:
    frame = hk()
    answer = metrics.short_value(frame)
    answer[:] = -1.0
    pd.testing.assert_frame_equal(frame, hk())


def test_what_is_too_large_for_a_float_is_nan() -> None:
    frame = us([1e300], [1e-300], close_price=[1e300])
    same(metrics.short_value(frame), [NAN])
    same(metrics.short_ratio(frame), [NAN])


def test_days_may_come_twice_and_need_not_be_named() -> None:
    frame = pd.concat([hk(), hk()])
    assert metrics.vwap(frame).notna().sum() == 8


@pytest.mark.parametrize("name", daily.__all__)
def test_no_rows_no_answers(name: str) -> None:
    market = next(iter(registry.METRICS[name].recipes))
    frame = sample.frame(f"{market}.SAMPLE").iloc[:0]
    same(getattr(metrics, name)(frame), [])


@pytest.mark.parametrize(
    ("name", "market", "other"),
    [
        ("venue_share", "US", "HK"),
        *[(name, "HK", "US") for name in ("vwap", "short_vwap", "long_vwap", "short_vwap_premium")],
    ],
)
def test_a_metric_of_the_other_market_says_so(name: str, market: str, other: str) -> None:
    message = rf"{name} works for {market} frames only; this one is {other}"
    with pytest.raises(NotShortVolumeError, match=message):
        getattr(metrics, name)(sample.frame(f"{other}.SAMPLE"))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(NotShortVolumeError, match=r"short_value of a US .*missing: close_price"):
        metrics.short_value(us([1], [2]))
    with pytest.raises(NotShortVolumeError, match=r"return_1d of a HK .*missing: last_close_price"):
        metrics.return_1d(hk(close_price=1.0))


def test_on_the_samples_the_parts_make_the_whole() -> None:
    frame = sample.frame("HK.SAMPLE")
    ratio, turnover_ratio = metrics.short_ratio(frame), metrics.short_turnover_ratio(frame)
    np.testing.assert_allclose(
        metrics.short_vwap(frame) * ratio + metrics.long_vwap(frame) * (1 - ratio),
        metrics.vwap(frame),
    )
    np.testing.assert_allclose(metrics.short_vwap_premium(frame) + 1, turnover_ratio / ratio)


# --- the sample and plain Series, which all of them take


def test_a_sample_is_typed_and_bears_attrs() -> None:
    frame = sample.frame("HK.00700")
    assert frame.attrs["new_time_str"] == "2026-04-30"
    assert frame["shares_traded"].isna().all()
    assert frame["shares_traded"].dtype == "Int64"
    assert frame["last_close_price"].iloc[0] == 477.4
    assert "aggregated_short" not in sample.frame("US.AAPL").attrs
    with pytest.raises(
        ConfigError, match=r"no sample of daily short volume of 'US.NONE', only of HK.00700"
    ):
        sample.frame("US.NONE")


def test_plain_series_will_do() -> None:
    index = pd.MultiIndex.from_product(
        [["US.B", "US.A"], pd.to_datetime(["2026-06-18", "2026-06-17"])], names=["code", "date"]
    )
    short = pd.Series([1.0, 3.0, 2.0, 2.0], index=index)
    volume = pd.Series([10, 10, 10, 10], index=index)
    answer = metrics.short_ratio_mean(metrics.rows_of(short, volume), 2)
    same(answer, [0.2, NAN, 0.2, NAN], index)
    flat = metrics.rows_of(
        short.reset_index(drop=True),
        volume.reset_index(drop=True),
        days=index.get_level_values("date"),
        codes=index.get_level_values("code"),
        close_price=2.0,
    )
    same(metrics.short_ratio_mean(flat, 2), [0.2, NAN, 0.2, NAN])
    same(metrics.short_value(flat), [2.0, 6.0, 4.0, 4.0])
    dated = metrics.rows_of(short.xs("US.B"), volume.xs("US.B"), codes="US.B")
    assert metrics.pivot(dated, "short_ratio")["US.B"].tolist() == [0.3, 0.1]


def test_series_on_different_indexes_are_refused() -> None:
    with pytest.raises(ConfigError, match="volume is not on the index of the short shares"):
        metrics.rows_of(pd.Series([1, 2]), pd.Series([1, 2], index=[1, 0]))
