"""``df.shortvol.metrics()`` on a panel in shuffled order, against three other ways of having it.

- *pandas*: sorting the frame and ``groupby("code").rolling(n)``, as one would write it down.
- *Polars*: ``rolling_*().over("code")``, with the conversions from pandas and back.
- *NumPy*: the bare arithmetic, on arrays that are sorted, without gaps and in memory already, by
  running sums, which are faster than what `df.shortvol` does and less exact.

All give the same numbers, which is checked. Seconds are those of the processors, of all threads
together, and in brackets those of the clock; each is the best of some rounds, taken in turns; the
pandas way runs once. Memory is the peak of the frame, the results and all in between, over the
frame and the results.

    python benchmarks/metrics.py
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

import intake_futu_short  # noqa: F401 - registers df.shortvol

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TICKERS = 1000
DAYS = 1500
ROUNDS = 8
WINDOWS = (5, 20)

Grid = dict[str, "NDArray[np.float64]"]  # tickers x days


def panel() -> tuple[pd.DataFrame, Grid]:
    """Make up a US panel: as a shuffled frame, and as sorted grids."""
    random = np.random.default_rng(1)
    shape = TICKERS, DAYS
    volume = random.integers(10**5, 10**8, shape)
    short = (volume * random.uniform(0.02, 0.3, shape)).astype(np.int64)
    nasdaq = (short * random.uniform(0.4, 0.9, shape)).astype(np.int64)
    close = random.uniform(10, 200, shape).round(2)
    last_close = np.roll(close, 1, axis=1)
    days = pd.bdate_range("2020-07-01", periods=DAYS, tz="America/New_York").as_unit("s")
    frame = pd.DataFrame(
        {
            "code": np.repeat([f"US.T{i}" for i in range(TICKERS)], DAYS),
            "timestamp": np.tile(days.asi8, TICKERS),
            "timestamp_str": np.tile(days.strftime("%Y-%m-%d").to_numpy(), TICKERS),
            "total_shares_short": pd.Series(short.ravel(), dtype="Int64"),
            "nasdaq_shares_short": pd.Series(nasdaq.ravel(), dtype="Int64"),
            "nyse_shares_short": pd.Series((short - nasdaq).ravel(), dtype="Int64"),
            "short_percent": (100 * short / volume).ravel(),
            "volume": pd.Series(volume.ravel(), dtype="Int64"),
            "close_price": close.ravel(),
            "last_close_price": last_close.ravel(),
            "daily_trade_avg_ratio": 0.0,
        }
    )
    grids = {"short": short, "volume": volume, "nasdaq": nasdaq, "close": close, "last": last_close}
    shuffled = frame.sample(frac=1, random_state=2)
    return shuffled, {name: grid.astype(np.float64) for name, grid in grids.items()}


def with_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort, group, roll."""
    day = pd.to_datetime(frame["timestamp_str"], format="%Y-%m-%d")
    rows = frame.assign(day=day).sort_values(["code", "day"])
    codes = rows["code"]
    short, volume = (rows[c].astype("float64") for c in ("total_shares_short", "volume"))
    ratio = short / volume

    def rolling(values: pd.Series[float], n: int) -> Any:
        return values.groupby(codes).rolling(n)

    def ticker(values: Any) -> Any:
        return values.droplevel(0)

    found = {
        "short_ratio": ratio,
        "short_value": short * rows["close_price"],
        "venue_share": rows["nasdaq_shares_short"].astype("float64") / short,
        "return_1d": rows["close_price"] / rows["last_close_price"] - 1,
    }
    for n in WINDOWS:
        mean = ticker(rolling(ratio, n).mean())
        past = mean.groupby(codes).shift(1)
        deviation = ticker(rolling(ratio, n).std()).groupby(codes).shift(1)
        usual = ticker(rolling(short, n).mean()).groupby(codes).shift(1)
        pooled = ticker(rolling(short, n).sum()) / ticker(rolling(volume, n).sum())
        found[f"short_ratio_mean_{n}"] = mean
        found[f"pooled_short_ratio_{n}"] = pooled
        found[f"short_ratio_zscore_{n}"] = (ratio - past) / deviation
        found[f"abnormal_short_ratio_{n}"] = ratio / past - 1
        found[f"short_volume_surge_{n}"] = short / usual
        found[f"short_ratio_rank_{n}"] = ticker(rolling(ratio, n).rank(pct=True))
    return pd.DataFrame(found).reindex(frame.index)


def with_polars(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort, and roll over the tickers."""
    columns = [
        "code", "timestamp_str", "total_shares_short", "nasdaq_shares_short", "volume",
        "close_price", "last_close_price",
    ]  # fmt: skip
    day = pl.col("timestamp_str").str.to_date("%Y-%m-%d")
    rows = pl.from_pandas(frame[columns]).with_row_index("row").with_columns(day.alias("day"))
    short, volume = (pl.col(name).cast(pl.Float64) for name in ("total_shares_short", "volume"))
    ratio, code = pl.col("short_ratio"), "code"
    daily = rows.sort(code, "day").with_columns(
        (short / volume).alias("short_ratio"),
        (short * pl.col("close_price")).alias("short_value"),
        (pl.col("nasdaq_shares_short").cast(pl.Float64) / short).alias("venue_share"),
        (pl.col("close_price") / pl.col("last_close_price") - 1).alias("return_1d"),
    )
    found = ["short_ratio", "short_value", "venue_share", "return_1d"]
    sums = []
    for n in WINDOWS:
        sums += [
            ratio.rolling_mean(n).over(code).alias(f"short_ratio_mean_{n}"),
            ratio.rolling_mean(n).shift(1).over(code).alias(f"mean_{n}"),
            ratio.rolling_std(n).shift(1).over(code).alias(f"deviation_{n}"),
            short.rolling_mean(n).shift(1).over(code).alias(f"usual_{n}"),
            short.rolling_sum(n).over(code).alias(f"short_{n}"),
            volume.rolling_sum(n).over(code).alias(f"volume_{n}"),
            ratio.rolling_rank(n).over(code).cast(pl.Float64).alias(f"rank_{n}"),
        ]
    windows = []
    for n in WINDOWS:
        past, rank = pl.col(f"mean_{n}"), pl.col(f"rank_{n}")
        named = {
            "short_ratio_mean": pl.col(f"short_ratio_mean_{n}"),
            "pooled_short_ratio": pl.col(f"short_{n}") / pl.col(f"volume_{n}"),
            "short_ratio_zscore": (ratio - past) / pl.col(f"deviation_{n}"),
            "abnormal_short_ratio": ratio / past - 1,
            "short_volume_surge": short / pl.col(f"usual_{n}"),
            "short_ratio_rank": rank / n,
        }
        windows += [values.alias(f"{name}_{n}") for name, values in named.items()]
        found += [f"{name}_{n}" for name in named]
    table = daily.with_columns(sums).with_columns(windows).sort("row").select(found)
    return table.to_pandas().set_axis(frame.index)


def with_numpy(grids: Grid) -> Grid:
    """Running sums and shifted comparisons along the days."""
    short, volume = grids["short"], grids["volume"]
    ratio = short / volume

    def sums(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        running = np.cumsum(values, axis=1)
        found = np.full(values.shape, np.nan)
        found[:, n - 1] = running[:, n - 1]
        found[:, n:] = running[:, n:] - running[:, :-n]
        return found

    def before(values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.full(values.shape, np.nan)
        found[:, 1:] = values[:, :-1]
        return found

    found = {
        "short_ratio": ratio,
        "short_value": short * grids["close"],
        "venue_share": grids["nasdaq"] / short,
        "return_1d": grids["close"] / grids["last"] - 1,
    }
    for n in WINDOWS:
        total = sums(ratio, n)
        squares = sums(ratio * ratio, n)
        deviation = before(np.sqrt((squares - total * total / n) / (n - 1)))
        past = before(total / n)
        ranks = np.full(ratio.shape, np.nan)
        now = ratio[:, n - 1 :]
        twice = np.zeros(now.shape, dtype=np.uint8)
        for k in range(n):
            other = ratio[:, n - 1 - k : DAYS - k]
            twice += other < now
            twice += other <= now
        ranks[:, n - 1 :] = (twice + 1.0) / (2 * n)
        found[f"short_ratio_mean_{n}"] = total / n
        found[f"pooled_short_ratio_{n}"] = sums(short, n) / sums(volume, n)
        found[f"short_ratio_zscore_{n}"] = (ratio - past) / deviation
        found[f"abnormal_short_ratio_{n}"] = ratio / past - 1
        found[f"short_volume_surge_{n}"] = short / before(sums(short, n) / n)
        found[f"short_ratio_rank_{n}"] = ranks
    return found


class Times:
    """The best of several rounds: seconds of all processors, and of the clock."""

    def __init__(self) -> None:
        self.cpu_s = self.clock_s = float("inf")

    def of(self, work: Callable[[], Any]) -> Any:
        """Take the time of one round, and give its result."""
        cpu, clock = time.process_time(), time.perf_counter()
        result = work()
        self.cpu_s = min(self.cpu_s, time.process_time() - cpu)
        self.clock_s = min(self.clock_s, time.perf_counter() - clock)
        return result

    def __str__(self) -> str:
        return f"{self.cpu_s:.2f} s ({self.clock_s:.2f} s)"


def main() -> None:
    """Print times, ratios and memory."""
    frame, grids = panel()
    ours_s, polars_s, numpy_s, pandas_s = Times(), Times(), Times(), Times()
    for _ in range(ROUNDS):
        ours = ours_s.of(lambda: frame.shortvol.metrics(windows=WINDOWS))
        bare = numpy_s.of(lambda: with_numpy(grids))
        polars = polars_s.of(lambda: with_polars(frame))
    pandas = pandas_s.of(lambda: with_pandas(frame))

    in_order = ours.sort_index()
    assert sorted(ours) == sorted(pandas) == sorted(polars) == sorted(bare)
    for name in ours:
        # Running sums lose digits that the numbers here do not have to spare everywhere.
        np.testing.assert_allclose(ours[name], pandas[name], 1e-6, 1e-6, err_msg=name)
        np.testing.assert_allclose(ours[name], polars[name], 1e-6, 1e-6, err_msg=name)
        np.testing.assert_allclose(in_order[name], bare[name].ravel(), 1e-6, 1e-6, err_msg=name)
    del pandas, polars, bare, in_order

    sizes = [part.memory_usage(deep=True).sum() for part in (frame, ours)]
    del ours
    tracemalloc.start()
    frame.shortvol.metrics(windows=WINDOWS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    print(f"{TICKERS} tickers x {DAYS} days, shuffled; windows of {WINDOWS} days")
    print(f"df.shortvol.metrics(): {ours_s}")
    for name, other in (("pandas, groupby.rolling", pandas_s), ("Polars, over", polars_s)):
        print(f"{name}: {other}, {other.cpu_s / ours_s.cpu_s:.1f} x as long")
    print(f"NumPy, bare: {numpy_s}; ours is {ours_s.cpu_s / numpy_s.cpu_s:.2f} x as long")
    print(
        f"memory: frame {sizes[0] / 1e6:.0f} MB, results {sizes[1] / 1e6:.0f} MB, at the peak "
        f"{(sizes[0] + peak) / sum(sizes):.2f} x both"
    )


if __name__ == "__main__":
    main()
