"""What else reads the files of a store: each gives the tickers of a market as one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def by_pandas(market: Path) -> pd.DataFrame:
    return pd.read_parquet(market)


def by_pyarrow(market: Path) -> pd.DataFrame:
    frame: pd.DataFrame = (
        pyarrow.dataset.dataset(market, partitioning="hive").to_table().to_pandas()
    )
    return frame


def by_duckdb(market: Path) -> pd.DataFrame:
    files = f"{market}/*/*.parquet"
    answer = duckdb.sql("select * from read_parquet(?, hive_partitioning = true)", params=[files])
    assert answer is not None
    frame: pd.DataFrame = answer.df()
    return frame


def by_polars(market: Path) -> pd.DataFrame:
    frame: pd.DataFrame = pl.scan_parquet(market, hive_partitioning=True).collect().to_pandas()
    return frame


def by_dask(market: Path) -> pd.DataFrame:
    frame: pd.DataFrame = dd.read_parquet(market).compute(scheduler="synchronous")
    return frame


def other_readers(test: Callable[..., None]) -> Any:
    """Run a test with each of them, as its argument `reader`."""
    readers = [by_pandas, by_pyarrow, by_duckdb, by_polars, by_dask]
    # Dask's own, under pandas 3.1.
    quiet = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")
    return quiet(pytest.mark.parametrize("reader", readers)(test))
