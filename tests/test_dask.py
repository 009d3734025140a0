"""``ddf.shortvol``: metrics on Dask frames, how it gets there, and what it reads."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from store_rows import ticker

import intake_futu_short.dask
from intake_futu_short import FutuShortStore, metrics, sample
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.metrics import daily, registry
from intake_futu_short.source import FutuShortSource
from intake_futu_short.store import parquet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["US.AAPL", "HK.SAMPLE"])
def frame(request: pytest.FixtureRequest) -> pd.DataFrame:
    return sample.frame(request.param)


def parted(frame: pd.DataFrame) -> Any:
    return dd.from_pandas(frame, npartitions=3)


def test_metrics_of_a_day_are_those_of_pandas(frame: pd.DataFrame) -> None:
    ddf = parted(frame)
    market = ddf.shortvol.market
    assert market == frame.attrs["market"]
    for name in daily.__all__:
        if market in registry.METRICS[name].recipes:
            lazy = getattr(ddf.shortvol, name)()
            assert isinstance(lazy, dd.Series)
            assert lazy.npartitions == ddf.npartitions
            expected = getattr(metrics, name)(frame)
            pd.testing.assert_series_equal(lazy.compute(), expected, check_exact=True)
        else:
            with pytest.raises(NotShortVolumeError, match=f"{name} works for"):
                getattr(ddf.shortvol, name)()


def test_what_is_missing_shows_before_anything_is_computed(frame: pd.DataFrame) -> None:
    column = "volume" if frame.attrs["market"] == "US" else "shares_traded"
    with pytest.raises(NotShortVolumeError, match=f"missing: {column}"):
        parted(frame.drop(columns=column)).shortvol.short_ratio()


def test_other_frames_have_no_shortvol() -> None:
    ddf = parted(pd.DataFrame({"volume": [1, 2, 3]}))
    assert not hasattr(ddf, "shortvol")
    with pytest.raises(AttributeError):
        ddf.shortvol  # noqa: B018 - the access is the test


SEVERAL_ROWS = [
    name
    for name, value in vars(ShortVolumeAccessor).items()
    if callable(value) and not name.startswith("_") and name not in daily.__all__
]


@pytest.mark.parametrize(
    "name", [name for name in SEVERAL_ROWS if name != "dollar_weighted_short_ratio"]
)
def test_what_looks_at_several_rows_says_what_to_do(name: str) -> None:
    ddf = parted(sample.frame("US.AAPL"))
    with pytest.raises(NotImplementedError, match=rf"{name} looks at several rows.*compute\(\)"):
        getattr(ddf.shortvol, name)()


@pytest.mark.parametrize("name", ["code", "next_key", "aggregated_short", "aggregates"])
def test_what_attrs_say_is_had_of_the_computed_frame(name: str, frame: pd.DataFrame) -> None:
    ddf = parted(frame)
    assert not hasattr(ddf.shortvol, name)
    with pytest.raises(AttributeError, match=rf"ddf\.compute\(\)\.shortvol\.{name}"):
        getattr(ddf.shortvol, name)
    with pytest.raises(AttributeError, match="no 'short_interest'"):
        ddf.shortvol.short_interest  # noqa: B018 - the access is the test
    assert ddf.compute().shortvol.code == frame.attrs["code"]


@pytest.mark.parametrize("name", ["plot", "pivot", "rank"])
def test_what_compares_tickers_or_draws_is_not_had_by_ticker(name: str) -> None:
    shortvol = parted(sample.frame("US.AAPL").assign(code="US.AAPL")).shortvol
    with pytest.raises(NotImplementedError) as caught:
        getattr(shortvol, name)()
    assert "by_ticker" not in str(caught.value)
    with pytest.raises(AttributeError, match=rf"by_ticker\(\) has no '{name}'"):
        getattr(shortvol.by_ticker(), name)


# --- partitions of whole tickers


def stored(at: Path, market: str) -> FutuShortStore:
    """Three tickers of one market, of different lengths."""
    store = FutuShortStore(str(at))
    rows = sample.frame(f"{market}.SAMPLE").iloc[:120].iloc[::-1].assign(first_seen=np.nan)
    rows.attrs = {}
    numbers = [("00001", 0), ("00005", 50), ("00700", 95)]
    for number, skipped in numbers:
        code = f"HK.{number}" if market == "HK" else f"US.A{number[-1]}"
        own = rows.iloc[skipped:].reset_index(drop=True)
        report = {
            "aggregated_short": 10**7 + skipped,
            "aggregated_short_ratio": 0.5,
            "new_time_str": "2026-06-05",
            "first_seen": None,
        }
        reports = (report,) if market == "HK" else ()
        store.save(ticker(code), TickerHistory(own, True, None, 1.0, 1.0, reports=reports))
    return store


@pytest.mark.parametrize("market", ["US", "HK"])
def test_by_ticker_every_metric_is_that_of_pandas(market: str, tmp_path: Path) -> None:
    store = stored(tmp_path, market)
    whole, ddf = store.read(), store.to_dask()
    by_ticker = ddf.shortvol.by_ticker()
    assert ddf.npartitions == 3
    positions = pd.DataFrame(
        {"code": [whole["code"].iloc[0]], "as_of": "2026-05-29", "shares_short": 5,
         "short_percent": 0.1, "published": "2026-06-09"}
    )  # fmt: skip
    count = 0
    for name, metric in registry.METRICS.items():
        if market not in metric.recipes:
            with pytest.raises(NotShortVolumeError):
                getattr(by_ticker, name)()
            continue
        options: dict[str, Any] = {"positions": positions} if metric.is_of_positions else {}
        arguments = (10,) if metric.has_window else ()
        lazy = getattr(by_ticker, name)(*arguments, **options)
        expected = getattr(whole.shortvol, name)(*arguments, **options)
        assert isinstance(lazy, dd.Series)
        pd.testing.assert_series_equal(lazy.compute(scheduler="sync"), expected, check_exact=True)
        assert expected.notna().any()
        count += 1
    assert count == {"US": 12, "HK": 16}[market]
    for name in ("metrics", "with_metrics"):
        for options in ({}, {"windows": 7, "min_periods": 2, "start": "2026-06-01"}):
            lazy = getattr(by_ticker, name)(**options)
            expected = getattr(whole.shortvol, name)(**options)
            assert list(lazy.columns) == list(expected.columns)
            computed = lazy.compute(scheduler="sync")
            pd.testing.assert_frame_equal(computed, expected, check_exact=True)
    checked = by_ticker.check().compute(scheduler="sync").reset_index(drop=True)
    pd.testing.assert_frame_equal(checked, whole.shortvol.check())
    weeks = by_ticker.resample("W").compute(scheduler="sync")
    pd.testing.assert_frame_equal(weeks, metrics.resample(whole, "W"), check_freq=False)


def test_by_ticker_knows_the_start_of_the_frame() -> None:
    part = sample.frame("US.SAMPLE").head(60).assign(code="US.SAMPLE")
    part.attrs = {"start": "2026-06-10"}
    ddf = dd.from_map(lambda _: part, [0], meta=part.iloc[:0])
    found = ddf.shortvol.by_ticker().short_ratio_mean(20).compute(scheduler="sync")
    assert len(found) == 7
    assert found.notna().all()
    assert ddf.shortvol.short_ratio().compute(scheduler="sync").shape == (60,)


def test_rows_without_a_code_are_one_ticker_which_must_not_be_parted() -> None:
    frame = sample.frame("US.AAPL")
    with pytest.raises(ConfigError, match=r"3 partitions have no column code.*repartition"):
        parted(frame).shortvol.by_ticker()
    whole = parted(frame).repartition(npartitions=1).shortvol.by_ticker()
    assert repr(whole) == "ddf.shortvol.by_ticker(): whole tickers in 1 partition"
    expected = metrics.metrics(frame)
    pd.testing.assert_frame_equal(whole.metrics().compute(scheduler="sync"), expected)


@pytest.mark.parametrize("market", ["US", "HK"])
def test_dollar_weighted_is_added_up_as_a_tree(
    market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stored(tmp_path, market)
    monkeypatch.setattr(intake_futu_short.dask, "_TREE", 2)
    lazy = store.to_dask().shortvol.dollar_weighted_short_ratio()
    expected = store.read().shortvol.dollar_weighted_short_ratio()
    assert isinstance(lazy, dd.Series)
    assert lazy.name == expected.name
    computed = lazy.compute(scheduler="sync")
    pd.testing.assert_series_equal(computed, expected, rtol=1e-14, check_freq=False)
    names = {type(node).__name__ for node in lazy.optimize(fuse=False).expr.walk()}
    assert "TreeReduce" in names
    assert lazy.npartitions == 1


def test_only_the_columns_that_a_metric_needs_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy = stored(tmp_path, "US").to_dask()
    read: set[str] = set()
    read_rows = parquet.read_rows

    def watched(file: Any, columns: Any) -> Any:
        read.update(columns)
        return read_rows(file, columns)

    monkeypatch.setattr(parquet, "read_rows", watched)
    counts, by_day = {"total_shares_short", "volume"}, {"timestamp_str"}
    prices = {"close_price", "last_close_price"}
    asked: list[tuple[Callable[[Any], Any], set[str]]] = [
        (lambda of: of.short_ratio(), counts),
        (lambda of: of.return_1d(), {"total_shares_short", *prices}),
        (lambda of: of.by_ticker().short_ratio_mean(20), counts),
        (lambda of: of.by_ticker().short_volume_surge(), {"total_shares_short"}),
        (lambda of: of.by_ticker().metrics(), {*counts, *prices, "nasdaq_shares_short"}),
        (lambda of: of.dollar_weighted_short_ratio(), {*counts, "close_price"}),
    ]
    for make, columns in asked:
        read.clear()
        make(lazy.shortvol).compute(scheduler="sync")
        assert read == columns | by_day
    read.clear()
    assert list(lazy[["volume", "code"]].compute(scheduler="sync")) == ["volume", "code"]
    assert read == {"volume", "timestamp_str"}
    assert len(lazy.compute(scheduler="sync").columns) == 11


@pytest.mark.parametrize("code", ["US.AAPL", "HK.SAMPLE"])
def test_dask_finds_out_the_columns_of_metrics_by_itself(code: str) -> None:
    """It tries the function on two rows of its own, whose days are no days."""
    part = sample.frame(code).assign(code=code)
    part.attrs = {}
    ddf = dd.from_map(lambda _: part, [0], meta=part.iloc[:0])
    found = ddf.map_partitions(lambda df: df.shortvol.metrics())
    expected = metrics.metrics(part)
    assert list(found.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(found.compute(), expected)


SCRIPT = """
import sys
import intake_futu_short
assert "dask" not in sys.modules
{then}
print(len(ddf.shortvol.short_ratio().compute(scheduler="sync")))
assert not [f for f in sys.meta_path if type(f).__module__.startswith("intake_futu_short")]
"""
IMPORTED = """
import dask.dataframe
from intake_futu_short import sample
ddf = dask.dataframe.from_pandas(sample.frame("US.AAPL"), npartitions=2)
assert not hasattr(ddf, "shortvol")
import intake_futu_short.dask
"""
RETURNED = """
from intake_futu_short import FutuShortSource
with FutuShortSource("US.AAPL", gateway="sample://", num=10) as source:
    ddf = source.to_dask()
"""


@pytest.mark.parametrize("then", [IMPORTED, RETURNED], ids=["imported", "returned"])
def test_it_is_there_after_its_import_and_on_frames_returned(then: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(then=then)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("29\n", "")


def test_without_dask_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.delitem(sys.modules, "intake_futu_short.dask")
    with (
        FutuShortSource("US.AAPL", gateway="sample://") as source,
        pytest.raises(ImportError, match=r"pip install \"dask\[dataframe\]\" distributed"),
    ):
        source.to_dask()
