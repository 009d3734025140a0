"""1,000 tickers of 1,500 rows out of a store: ours against pyarrow on the same files.

pyarrow's side is ``pyarrow.dataset.dataset(market directory).to_table().to_pandas()``, which gives
neither the codes nor the order; ours is ``FutuShortStore.read()`` of everything, and of three
columns and one year. They run in turn in one process.

    pip install .
    python benchmarks/universe.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.dataset

from intake_futu_short import FutuShortStore, schema
from intake_futu_short.calls import SHORT_VOLUME, Ticker
from intake_futu_short.history.ticker_history import TickerHistory
from intake_futu_short.security import US, Security

if TYPE_CHECKING:
    from collections.abc import Callable

TICKERS = 1000
ROWS = 1500
ROUNDS = 7

LAST_DAY = "2026-06-18"
ONE_YEAR = "2025-06-19"
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


def seconds(function: Callable[[], pd.DataFrame]) -> float:
    """Seconds one call takes, letting go of its frame not counted."""
    begin = time.perf_counter()
    frame = function()
    spent = time.perf_counter() - begin
    assert len(frame)
    return spent


def main() -> None:
    """Print medians, and the ratio to pyarrow."""
    with tempfile.TemporaryDirectory() as directory:
        store = FutuShortStore(directory)
        for number in range(TICKERS):
            history = TickerHistory(made_up_rows(number), is_complete=True, checked_s=0.0)
            store.save(Ticker(Security(US, f"T{number:04}"), SHORT_VOLUME), history)
        market = Path(directory, "short_volume", "market=US")
        size = sum(file.stat().st_size for file in market.rglob("*.parquet"))
        print(f"{TICKERS} tickers of {ROWS} rows: {size / TICKERS / 1e3:.0f} kB a file")

        def theirs() -> pd.DataFrame:
            frame: pd.DataFrame = pyarrow.dataset.dataset(market).to_table().to_pandas()
            return frame

        sides: dict[str, Callable[[], pd.DataFrame]] = {
            "pyarrow, all": theirs,
            "ours, all": store.read,
            "ours, three columns of one year": lambda: store.read(start=ONE_YEAR, columns=THREE),
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                times[name].append(seconds(side))
    base = statistics.median(times["pyarrow, all"])
    for name, spent in times.items():
        median = statistics.median(spent)
        print(
            f"{name}: {median:.3f} s ({min(spent):.3f} to {max(spent):.3f}), "
            f"ratio {median / base:.2f}"
        )


if __name__ == "__main__":
    main()
