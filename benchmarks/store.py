"""500 tickers of 1,500 rows out of a store into pandas: ours against other readers of its files.

Each side gives everything, then three columns of one year, then of the last 60 days; ours also puts
each ticker's newest row first. They run in turn in one process, which is told how long a round of
each took by the processors, all threads together, and by the clock. The ratios are of medians.

    pip install ".[bench]"
    python benchmarks/store.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds

from intake_futu_short import FutuShortStore, schema
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.security import US, Security

if TYPE_CHECKING:
    from collections.abc import Callable

TICKERS = 500
ROWS = 1500
ROUNDS = 15

LAST_DAY = "2026-06-18"
ONE_YEAR = "2025-06-19"
SIXTY_DAYS = "2026-04-20"
THREE = ["timestamp_str", "total_shares_short", "volume"]


def made_up_rows(seed: int) -> pd.DataFrame:
    """Rows of a US ticker, ascending, of about the entropy of real ones."""
    random = np.random.default_rng(seed)
    days = [f"{day:%Y-%m-%d}" for day in pd.bdate_range(end=LAST_DAY, periods=ROWS)]
    price = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.02, ROWS))), 3)
    volume = random.integers(10**5, 10**8, ROWS)
    nasdaq = (volume * random.uniform(0.02, 0.2, ROWS)).astype(np.int64)
    nyse = (nasdaq * random.uniform(0, 0.3, ROWS)).astype(np.int64)
    values = {
        "timestamp": [US.midnight(day) for day in days],
        "timestamp_str": days,
        "total_shares_short": nasdaq + nyse,
        "nasdaq_shares_short": nasdaq,
        "nyse_shares_short": nyse,
        "short_percent": np.floor(1e5 * (nasdaq + nyse) / volume) / 1e3,
        "volume": volume,
        "close_price": price,
        "last_close_price": np.roll(price, 1),
        "daily_trade_avg_ratio": np.round(random.uniform(5, 20, ROWS), 2),
    }
    return pd.DataFrame(values).astype(schema.dtypes(SHORT_VOLUME.table(US)))


def filled(directory: str) -> Path:
    """Fill a store; the directory of its market. Rows after the first 1,450 were seen to come."""
    store = FutuShortStore(directory)
    first_seen = np.full(ROWS, np.nan)
    first_seen[1450:] = 1.78e9 + 86_400.0 * np.arange(len(first_seen[1450:]))
    for number in range(TICKERS):
        rows = made_up_rows(number).assign(first_seen=first_seen)
        history = TickerHistory(rows, is_complete=True, checked_s=0.0)
        store.save(Ticker(Security(US, f"T{number:04}"), SHORT_VOLUME), history)
    return Path(directory, "short_volume", "market=US")


def by_polars(market: Path, start: str | None) -> pd.DataFrame:
    """Read with Polars."""
    lazy = pl.scan_parquet(market, hive_partitioning=True)
    if start is not None:
        lazy = lazy.filter(pl.col("timestamp_str") >= start).select("code", *THREE)
    return lazy.collect().to_pandas()


def by_pyarrow(market: Path, start: str | None) -> pd.DataFrame:
    """Read with PyArrow's data sets."""
    found = ds.dataset(market, partitioning="hive")
    if start is None:
        frame: pd.DataFrame = found.to_table().to_pandas()
    else:
        wanted = ds.field("timestamp_str") >= start
        frame = found.to_table(["code", *THREE], filter=wanted).to_pandas()
    return frame


def by_duckdb(market: Path, start: str | None) -> pd.DataFrame:
    """Read with DuckDB."""
    chosen = "*" if start is None else ", ".join(["code", *THREE])
    where = "" if start is None else f"where timestamp_str >= '{start}'"
    files = f"read_parquet('{market}/*/*.parquet', hive_partitioning = true)"
    answer = duckdb.sql(f"select {chosen} from {files} {where}")  # noqa: S608 - nobody's input
    assert answer is not None
    frame: pd.DataFrame = answer.df()
    return frame


OTHERS = {"Polars": by_polars, "pyarrow": by_pyarrow, "DuckDB": by_duckdb}


def seconds(
    side: Callable[..., pd.DataFrame], market: Path, start: str | None
) -> tuple[float, float]:
    """CPU and wall seconds of one call, not counting the release of its frame."""
    cpu, wall = time.process_time(), time.perf_counter()
    frame = side(market, start)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    assert len(frame)
    return spent


def main() -> None:
    """Print medians and ratios, a table a selection."""
    with tempfile.TemporaryDirectory() as directory:
        market = filled(directory)
        size = sum(file.stat().st_size for file in market.rglob("*.parquet"))
        print(f"{TICKERS} tickers of {ROWS} rows: {size / TICKERS / 1e3:.1f} kB a file")
        store = FutuShortStore(directory)

        def ours(_: Path, start: str | None) -> pd.DataFrame:
            return store.read(start=start, columns=None if start is None else THREE)

        for title, start in (
            ("everything", None),
            ("three columns of a year", ONE_YEAR),
            ("three columns of 60 days", SIXTY_DAYS),
        ):
            compare(title, market, start, {"ours": ours, **OTHERS})


def compare(
    title: str, market: Path, start: str | None, sides: dict[str, Callable[..., pd.DataFrame]]
) -> None:
    """Run the sides in turn and print what each took, and ours in relation to it."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            taken[name].append(seconds(side, market, start))
    median = {
        name: [statistics.median(kind) for kind in zip(*spent, strict=True)]
        for name, spent in taken.items()
    }
    for name, (cpu, wall) in median.items():
        print(
            f"{title}, {name}: {cpu:.3f} s CPU, {wall:.3f} s; "
            f"ours / this: {median['ours'][0] / cpu:.2f} CPU, {median['ours'][1] / wall:.2f}"
        )


if __name__ == "__main__":
    main()
