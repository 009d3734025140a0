"""``ddf.shortvol``: the metrics of single days on Dask frames, and how it gets there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import pandas as pd
import pytest

import intake_futu_short.dask  # noqa: F401 - registers the accessor
from intake_futu_short import metrics, sample
from intake_futu_short.accessor import ShortVolumeAccessor
from intake_futu_short.errors import NotShortVolumeError
from intake_futu_short.metrics import daily
from intake_futu_short.source import FutuShortSource

if TYPE_CHECKING:
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
    for name, recipes in daily.DAILY.items():
        if market in recipes:
            lazy = getattr(ddf.shortvol, name)()
            assert isinstance(lazy, dd.Series)
            assert lazy.npartitions == ddf.npartitions
            expected = getattr(metrics, name)(frame)
            pd.testing.assert_series_equal(lazy.compute(), expected, check_exact=True)
        else:
            with pytest.raises(NotShortVolumeError, match=f"{name} is of"):
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


WINDOWED = [
    name
    for name, value in vars(ShortVolumeAccessor).items()
    if callable(value) and not name.startswith("_") and name not in daily.DAILY
]


@pytest.mark.parametrize("name", WINDOWED)
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


@pytest.mark.parametrize("name", ["plot", "pivot", "rank", "dollar_weighted_short_ratio"])
def test_what_compares_tickers_or_draws_is_not_had_by_partition(name: str) -> None:
    with pytest.raises(NotImplementedError) as caught:
        getattr(parted(sample.frame("US.AAPL")).shortvol, name)()
    assert "map_partitions" not in str(caught.value)


def test_what_it_says_to_do_works() -> None:
    parts = [sample.frame(code).assign(code=code) for code in ("US.AAPL", "US.SAMPLE")]
    for part in parts:
        part.attrs = {}
    ddf = dd.from_map(lambda i: parts[i], [0, 1], meta=parts[0].iloc[:0])
    expected = metrics.metrics(pd.concat(parts))
    with pytest.raises(NotImplementedError) as caught:
        ddf.shortvol.metrics()
    assert "meta=ddf._meta.shortvol.metrics(...)" in str(caught.value)
    assert "ddf.compute().shortvol.metrics(...)" in str(caught.value)
    whole = ddf.compute().shortvol.metrics()
    by_part = ddf.map_partitions(
        lambda df: df.shortvol.metrics(), meta=ddf._meta.shortvol.metrics()
    ).compute()
    pd.testing.assert_frame_equal(whole, expected)
    pd.testing.assert_frame_equal(by_part, expected)


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
        pytest.raises(ImportError, match=r"intake-futu-short\[dask\]"),
    ):
        source.to_dask()
