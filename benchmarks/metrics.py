"""``df.shortvol.metrics()`` on a panel in shuffled order, against two other ways of having it.

- *pandas*: sorting the frame and ``groupby("code").rolling(n)``, as one would write it down.
- *NumPy*: the bare arithmetic, on arrays that are sorted, without gaps and in memory already, by
  running sums, which are faster than what `df.shortvol` does and less exact.

All three give the same numbers, which is checked. Each time is the best of some rounds, taken in
turns; the pandas way runs once. Memory is the peak of the frame, the results and all in between,
over the frame and the results.

    python benchmarks/metrics.py
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Result and seconds."""
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def main() -> None:
    """Print times, ratios and memory."""
    frame, grids = panel()
    ours_s, numpy_s = [], []
    for _ in range(ROUNDS):
        ours, seconds = timed(lambda: frame.shortvol.metrics(windows=WINDOWS))
        ours_s.append(seconds)
        bare, seconds = timed(lambda: with_numpy(grids))
        numpy_s.append(seconds)
    pandas, pandas_s = timed(lambda: with_pandas(frame))

    in_order = ours.sort_index()
    assert sorted(ours) == sorted(pandas) == sorted(bare)
    for name in ours:
        # Running sums lose digits that the numbers here do not have to spare everywhere.
        np.testing.assert_allclose(ours[name], pandas[name], 1e-6, 1e-6, err_msg=name)
        np.testing.assert_allclose(in_order[name], bare[name].ravel(), 1e-6, 1e-6, err_msg=name)
    del pandas, bare, in_order

    sizes = [part.memory_usage(deep=True).sum() for part in (frame, ours)]
    del ours
    tracemalloc.start()
    frame.shortvol.metrics(windows=WINDOWS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    print(f"{TICKERS} tickers x {DAYS} days, shuffled; windows of {WINDOWS} days")
    print(f"df.shortvol.metrics(): {min(ours_s):.2f} s")
    print(f"pandas, groupby.rolling: {pandas_s:.2f} s, {pandas_s / min(ours_s):.1f} x as long")
    print(f"NumPy, bare: {min(numpy_s):.2f} s; ours is {min(ours_s) / min(numpy_s):.2f} x as long")
    print(
        f"memory: frame {sizes[0] / 1e6:.0f} MB, results {sizes[1] / 1e6:.0f} MB, at the peak "
        f"{(sizes[0] + peak) / sum(sizes):.2f} x both"
    )


if __name__ == "__main__":
    main()
