from __future__ import annotations

import inspect
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from intake_futu_short import metrics
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.dask import ByTicker, DaskShortVolumeAccessor
from intake_futu_short.errors import ConfigError, FutuShortError, NotShortVolumeError
from intake_futu_short.metrics import registry

pytestmark = pytest.mark.compat

DATA = Path(__file__).parent / "data"
DOCUMENTED = {
    "code": "HK.00700",
    "market": "HK",
    "next_key": "-1",
    "aggregated_short": 51480638,
    "aggregated_short_ratio": 0.56,
    "new_time_str": "2026-04-30",
}


def shortvol(frame: pd.DataFrame) -> ShortVolumeAccessor:
    return cast("ShortVolumeAccessor", frame.shortvol)


def real() -> pd.DataFrame:
    return pd.read_csv(DATA / "us_aapl_real.csv")


def hk() -> pd.DataFrame:
    frame = pd.read_csv(DATA / "hk_00700_documented.csv").assign(
        shares_traded=[10 * (i + 1) for i in range(10)],
        turnover=4.0,
        short_sell_shares_traded=5,
        short_sell_turnover=1.0,
    )
    frame.attrs.update(DOCUMENTED)
    return frame


def official(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """A frame made as the official client makes it: present fields, then columns of None."""
    frame = pd.DataFrame(rows)
    for column in columns:
        if column not in frame.columns:
            frame[column] = None
    return frame[columns]


US_COLUMNS = [
    "timestamp", "timestamp_str", "total_shares_short", "nasdaq_shares_short", "nyse_shares_short",
    "short_percent", "volume", "close_price", "last_close_price", "daily_trade_avg_ratio",
]  # fmt: skip
HK_COLUMNS = [
    "timestamp", "timestamp_str", "shares_traded", "turnover", "short_sell_shares_traded",
    "short_sell_turnover", "open_price", "close_price", "last_close_price", "daily_trade_avg_ratio",
]  # fmt: skip


# --- which frames it is for


@pytest.mark.parametrize(
    "columns",
    [
        [],
        ["timestamp", "timestamp_str", "open_price", "close_price", "last_close_price"],
        ["date", "open", "high", "low", "close", "volume", "turnover"],
        ["shares_traded", "turnover", "volume"],
        ["timestamp_str", "aggregated_short", "aggregated_short_ratio", "close_price"],
        ["short_percent", "volume"],
    ],
)
def test_other_frames_have_no_shortvol(columns: list[str]) -> None:
    frame = pd.DataFrame(columns=columns)
    assert not hasattr(frame, "shortvol")
    with pytest.raises(NotShortVolumeError, match="holds no daily short volume"):
        shortvol(frame)


def test_the_error_names_what_is_missing_of_both_markets() -> None:
    with pytest.raises(AttributeError) as caught:
        shortvol(pd.DataFrame(columns=["timestamp_str", "volume", "turnover"]))
    of_us, of_hk = str(caught.value).split("; ")[1:]
    assert of_us == (
        "missing of US: ['timestamp', 'total_shares_short', 'nasdaq_shares_short', "
        "'nyse_shares_short', 'short_percent', 'close_price', 'last_close_price', "
        "'daily_trade_avg_ratio']"
    )
    assert of_hk == (
        "missing of HK: ['timestamp', 'shares_traded', 'short_sell_shares_traded', "
        "'short_sell_turnover', 'open_price', 'close_price', 'last_close_price', "
        "'daily_trade_avg_ratio']"
    )
    assert isinstance(caught.value, FutuShortError)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(columns=US_COLUMNS + HK_COLUMNS[2:7]), "of US and of HK"),
        (
            pd.DataFrame(columns=["total_shares_short", "volume", "volume"]),
            "more than once: volume",
        ),
        (pd.DataFrame([[1]], columns=[["total_shares_short"], ["US.A"]]), "no daily short volume"),
    ],
)
def test_frames_that_are_not_clear_are_refused(frame: pd.DataFrame, message: str) -> None:
    assert not hasattr(frame, "shortvol")
    with pytest.raises(NotShortVolumeError, match=message):
        shortvol(frame)


def test_columns_of_the_users_own_do_no_harm() -> None:
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["total_shares_short", "volume", "x", "x"])
    assert shortvol(frame).short_ratio().tolist() == [0.5]


def test_a_metric_needs_only_its_own_columns() -> None:
    us = real()[["timestamp_str", "total_shares_short", "volume"]]
    assert shortvol(us).market == "US"
    assert shortvol(us[["total_shares_short", "volume"]]).short_ratio().notna().all()
    assert shortvol(us).pooled_short_ratio(5).notna().sum() == 53
    counts = hk()[["short_sell_shares_traded", "shares_traded"]]
    amounts = hk()[["short_sell_turnover", "turnover"]]
    assert shortvol(counts).market == shortvol(amounts).market == "HK"
    assert shortvol(counts).short_ratio().tolist()[:2] == [0.5, 0.25]
    assert shortvol(amounts).short_turnover_ratio().tolist() == [0.25] * 10


def test_a_metric_without_its_columns_says_which() -> None:
    with pytest.raises(NotShortVolumeError, match=r"short_ratio of a US frame.*missing: volume"):
        shortvol(real().drop(columns="volume")).short_ratio()
    with pytest.raises(NotShortVolumeError, match=r"pooled_short_ratio_5 .*missing: shares_traded"):
        shortvol(hk().drop(columns="shares_traded")).pooled_short_ratio(5)


def test_a_metric_of_the_other_market_says_so() -> None:
    message = "short_turnover_ratio works for HK frames only; this one is US"
    with pytest.raises(NotShortVolumeError, match=message):
        shortvol(real()).short_turnover_ratio()


# --- attributes


def test_attributes_of_one_ticker() -> None:
    accessor = shortvol(hk())
    assert accessor.market == "HK"
    assert accessor.code == "HK.00700"
    assert accessor.next_key == "-1"
    assert accessor.aggregated_short == 51480638
    assert accessor.aggregated_short_ratio == 0.56
    assert accessor.new_time_str == "2026-04-30"


def test_attributes_that_are_absent_are_none() -> None:
    accessor = shortvol(real())
    assert accessor.market == "US"
    assert accessor.code is None
    assert accessor.next_key is None
    assert accessor.aggregated_short is None
    assert accessor.aggregated_short_ratio is None
    assert accessor.new_time_str is None


@pytest.mark.parametrize(
    ("codes", "code"),
    [("US.AAPL", "US.AAPL"), (["US.AAPL", "US.A"], None), (["US.A", None], None), (None, None)],
)
def test_the_code_of_a_panel_is_the_one_of_all_rows(codes: Any, code: str | None) -> None:
    panel = real().head(2).assign(code=codes)
    assert shortvol(panel).code == code
    assert shortvol(panel.set_index("code")).code == code


def test_aggregates_of_one_ticker() -> None:
    table = shortvol(hk()).aggregates
    assert table.to_dict("records") == [
        {
            "code": "HK.00700",
            "aggregated_short": 51480638,
            "aggregated_short_ratio": 0.56,
            "new_time_str": "2026-04-30",
        }
    ]


def test_aggregates_of_a_panel() -> None:
    panel = hk().assign(code="HK.00700")
    panel.attrs = {
        "market": "HK",
        "aggregates": json.dumps(
            {
                "HK.00700": {k: v for k, v in DOCUMENTED.items() if k not in {"code", "market"}},
                "HK.00005": {"aggregated_short": 7, "aggregated_short_ratio": None},
                "HK.00001": {},
            }
        ),
    }
    table = shortvol(panel).aggregates
    assert table["code"].tolist() == ["HK.00700", "HK.00005"]
    assert table["aggregated_short"].tolist() == [51480638, 7]
    assert table["aggregated_short_ratio"].iloc[0] == 0.56
    assert table.iloc[1][["aggregated_short_ratio", "new_time_str"]].isna().all()


@pytest.mark.parametrize("frame", [hk(), real(), hk().iloc[:0]])
def test_aggregates_always_have_the_same_columns_and_dtypes(frame: pd.DataFrame) -> None:
    text = pd.Series(["text"]).dtype
    assert shortvol(frame).aggregates.dtypes.to_dict() == {
        "code": text,
        "aggregated_short": pd.Int64Dtype(),
        "aggregated_short_ratio": np.dtype("float64"),
        "new_time_str": text,
    }


def test_us_frames_and_unset_values_have_no_aggregates() -> None:
    unset = hk()
    unset.attrs.update(aggregated_short=None, aggregated_short_ratio=None, new_time_str=None)
    assert len(shortvol(real()).aggregates) == len(shortvol(unset).aggregates) == 0


# --- the frame behind it


def test_it_sees_what_the_frame_has_become() -> None:
    frame = real()
    accessor = shortvol(frame)
    frame["volume"] = 0
    frame.attrs["code"] = "US.AAPL"
    assert accessor.short_ratio().isna().all()
    assert shortvol(frame).short_ratio().isna().all()
    assert accessor.code == shortvol(frame).code == "US.AAPL"


def test_nothing_changes_the_frame() -> None:
    frame = hk()
    accessor = shortvol(frame)
    accessor.by_date()
    accessor.check()
    accessor.short_ratio()
    accessor.short_turnover_ratio()
    accessor.pooled_short_ratio(3)
    _ = accessor.aggregates
    pd.testing.assert_frame_equal(frame, hk())
    assert frame.attrs == DOCUMENTED


def test_frames_of_the_official_client() -> None:
    rows = [
        {
            "timestamp": 1781755200,
            "timestamp_str": "2026-06-18",
            "total_shares_short": 3,
            "volume": 8,
        },
        {"timestamp": 1781668800, "timestamp_str": "2026-06-17", "total_shares_short": 1},
        {
            "timestamp": 1781582400,
            "timestamp_str": "2026-06-16",
            "total_shares_short": 1,
            "volume": 4,
        },
    ]
    frame = official(rows, US_COLUMNS)
    assert frame["total_shares_short"].dtype == np.int64
    assert frame["volume"].dtype == np.float64
    assert frame["close_price"].dtype == object
    accessor = shortvol(frame)
    np.testing.assert_array_equal(accessor.short_ratio(), [0.375, np.nan, 0.25])
    pooled = accessor.pooled_short_ratio(3, min_periods=2)
    np.testing.assert_array_equal(pooled, [4 / 12, np.nan, np.nan])
    assert accessor.check().empty
    assert accessor.by_date()["total_shares_short"].tolist() == [1, 1, 3]
    assert accessor.code is None


@pytest.mark.parametrize(("columns", "market"), [(US_COLUMNS, "US"), (HK_COLUMNS, "HK")])
def test_empty_frames_of_the_official_client(columns: list[str], market: str) -> None:
    accessor = shortvol(pd.DataFrame(columns=columns))
    assert accessor.market == market
    assert accessor.short_ratio().dtype == accessor.pooled_short_ratio().dtype == np.float64
    assert accessor.check().empty
    assert accessor.by_date().index.dtype == "datetime64[ns]"


def test_partitions_put_together_are_the_whole() -> None:
    frame = real()
    pages = [frame.iloc[i : i + 10].reset_index(drop=True) for i in range(0, 57, 10)]
    for i, page in enumerate(pages):
        page.attrs["next_key"] = str(i)
    whole = pd.concat(pages)
    assert whole.index.has_duplicates
    pooled = shortvol(whole).pooled_short_ratio()
    assert pooled.index.equals(whole.index)
    np.testing.assert_array_equal(pooled, shortvol(frame).pooled_short_ratio())
    pd.testing.assert_frame_equal(shortvol(whole).check(), shortvol(frame).check())
    with_index = shortvol(pd.concat(pages, ignore_index=True)).by_date()
    pd.testing.assert_frame_equal(with_index, shortvol(frame).by_date())


@pytest.mark.parametrize("dated", [False, True])
def test_a_csv_round_trip(dated: bool) -> None:
    frame = real()
    kept = shortvol(frame).by_date() if dated else frame
    again = pd.read_csv(io.StringIO(kept.to_csv(index=dated)))
    np.testing.assert_array_equal(
        shortvol(again).pooled_short_ratio(), shortvol(kept).pooled_short_ratio()
    )
    pd.testing.assert_frame_equal(shortvol(again).check(), shortvol(frame).check())
    pd.testing.assert_frame_equal(shortvol(again).by_date(), shortvol(frame).by_date())


@pytest.mark.parametrize("dated", [False, True])
def test_a_parquet_round_trip_keeps_values_and_attributes(tmp_path: Path, dated: bool) -> None:
    frame = hk()
    kept = shortvol(frame).by_date() if dated else frame
    kept.to_parquet(tmp_path / "hk.parquet")
    again = pd.read_parquet(tmp_path / "hk.parquet")
    assert shortvol(again).code == "HK.00700"
    pd.testing.assert_frame_equal(shortvol(again).aggregates, shortvol(frame).aggregates)
    pd.testing.assert_frame_equal(shortvol(again).by_date(), shortvol(frame).by_date())


def test_pickled_frames_keep_it() -> None:
    again = pickle.loads(pickle.dumps(hk()))  # noqa: S301 - our own bytes
    assert shortvol(again).aggregated_short == 51480638


def test_registering_it_loads_nothing_that_pandas_does_not() -> None:
    code = (
        "import sys, pandas; known = set(sys.modules); import intake_futu_short.accessor; "
        "print(*sorted(set(sys.modules) - known))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert loaded == {"intake_futu_short"}


# --- its methods are the functions of metrics


def test_methods_are_described_as_the_functions_and_take_what_they_take() -> None:
    method = shortvol(real()).pooled_short_ratio
    assert method.__doc__ == metrics.pooled_short_ratio.__doc__
    assert list(inspect.signature(method).parameters) == ["n", "min_periods", "start"]
    pd.testing.assert_series_equal(
        method(5, min_periods=2), metrics.pooled_short_ratio(real(), 5, min_periods=2)
    )


def test_what_is_on_the_list_of_metrics_is_everywhere() -> None:
    for name, metric in registry.METRICS.items():
        assert getattr(metrics, name) is metric.function
        assert name in metrics.__all__
        assert name in vars(ShortVolumeAccessor)
        assert hasattr(DaskShortVolumeAccessor, name)
        assert hasattr(ByTicker, name)
        assert list(metric.recipes) in (["US"], ["HK"], ["US", "HK"])
        text = str(metric.function.__doc__)
        assert "%(" not in text
        parameters = inspect.signature(metric.function).parameters
        assert ("n" in parameters) == ("start" in parameters) == metric.has_window
        assert ("positions" in parameters) == metric.is_of_positions
        described = text[text.find("Parameters\n") : text.find("Returns\n")]
        for parameter in [*parameters][1:]:
            assert f"\n{parameter}" in described or f" {parameter}" in described, (name, parameter)


def test_the_table_of_the_documentation_has_every_metric() -> None:
    rows = {name: (market, formula) for name, market, formula in registry.table().to_numpy()}
    assert [name.partition("(")[0] for name in rows] == list(registry.METRICS)
    assert rows["venue_share()"] == ("US", "nasdaq / total")
    assert rows["pooled_short_ratio(n)"][0] == "both"
    assert all(formula for _, formula in rows.values())


@pytest.mark.parametrize("name", sorted({*metrics.__all__} - {"rows_of"}))
def test_every_function_of_a_frame_is_a_method(name: str) -> None:
    assert hasattr(shortvol(real()), name)


def test_all_metrics_of_frames_as_the_official_client_makes_them() -> None:
    rows = real().drop(columns="nasdaq_shares_short").to_dict("records")
    frame = official(cast("list[dict[str, Any]]", rows), US_COLUMNS)
    frame.attrs["next_key"] = "-1"
    found = shortvol(frame).metrics()
    assert found["venue_share"].isna().all()
    pd.testing.assert_frame_equal(
        found.drop(columns="venue_share"), shortvol(real()).metrics().drop(columns="venue_share")
    )
    assert shortvol(official([], US_COLUMNS)).metrics().shape == (0, 16)
    nothing = official([{"timestamp_str": "2026-05-08"}], HK_COLUMNS)
    assert shortvol(nothing).metrics().isna().all(axis=None)
    assert shortvol(official([], HK_COLUMNS)).resample("W").shape == (0, 7)


def test_a_column_of_words_is_named() -> None:
    frame = real().assign(volume="N/A")
    with pytest.raises(ConfigError, match=r"volume holds something that is not a number.*'N/A'"):
        shortvol(frame).short_ratio()
