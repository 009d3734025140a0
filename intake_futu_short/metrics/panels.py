"""Tickers beside each other: pure functions of a DataFrame of several (or of one).

`intake_futu_short.metrics` lists the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics.columns import Columns, answer
from intake_futu_short.metrics.combined import by_name
from intake_futu_short.metrics.sessions import Sessions, code_of, market_of
from intake_futu_short.metrics.windows import quotient
from intake_futu_short.schema import text_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DOLLAR_WEIGHTED",
    "added_values",
    "dollar_weighted_short_ratio",
    "pivot",
    "rank",
    "ratio_of_values",
    "values_by_date",
]

# Roles of what it is made of, by market.
DOLLAR_WEIGHTED = {"US": ("close", "short", "volume"), "HK": ("close", "short", "volume")}


def dollar_weighted_short_ratio(frame: pd.DataFrame) -> pd.Series[float]:
    """Short ratio of all tickers together by date, weighted by value, a fraction.

    Σ(close · S) / Σ(close · V) over the tickers of each date. A ticker that lacks one of the three
    on a date is left out of both sums there; which tickers are in can change from date to date.
    Prices are adjusted and counts are raw, as in `short_value`.

    Returns
    -------
    pandas.Series
        ``dollar_weighted_short_ratio``, indexed by ``date`` (datetime64[ns]), ascending, a row a
        date of the frame. NaN where no ticker has all three, and where the value of the volume is
        not above 0.

    Raises
    ------
    NotShortVolumeError
        When the columns of `short_ratio`, ``close_price``, or what says the day is missing.
    ConfigError
        When a ticker has a day twice, or a row has no day.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({
    ...     "code": ["US.A", "US.B"],
    ...     "timestamp_str": ["2026-06-18", "2026-06-18"],
    ...     "total_shares_short": [10, 30],
    ...     "volume": [100, 100],
    ...     "close_price": [9.0, 1.0],
    ... })
    >>> df.shortvol.dollar_weighted_short_ratio().tolist()  # (90 + 30) / (900 + 100)
    [0.12]
    """
    return ratio_of_values(values_by_date(frame))


def values_by_date(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the values of the short shares and of all shares up by date, over tickers."""
    name = "dollar_weighted_short_ratio"
    columns = Columns(frame)
    columns.require(name, DOLLAR_WEIGHTED)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days(name)
    days, which = np.unique(sessions.days, return_inverse=True)
    roles = DOLLAR_WEIGHTED[columns.market]
    close, short, volume = (columns[role][sessions.order] for role in roles)
    whole = ~np.isnan(close) & ~np.isnan(short) & ~np.isnan(volume)
    with np.errstate(over="ignore", invalid="ignore"):
        parts = {
            "short": np.where(whole, close * short, 0.0),
            "all": np.where(whole, close * volume, 0.0),
        }
        sums = {
            name: np.bincount(which, weights=part, minlength=len(days))
            for name, part in parts.items()
        }
    return pd.DataFrame(sums, index=pd.DatetimeIndex(days, name="date"), dtype=np.float64)


def added_values(values: pd.DataFrame) -> pd.DataFrame:
    """Add several of what `values_by_date` gives, one below the other, up by date."""
    return values.groupby(level="date", sort=True).sum()


def ratio_of_values(values: pd.DataFrame) -> pd.Series[float]:
    """Divide what `values_by_date` gives, perhaps of several frames, one below the other."""
    sums = added_values(values)
    ratios = quotient(sums["short"].to_numpy(), sums["all"].to_numpy())
    ratios[np.isinf(ratios)] = np.nan
    return pd.Series(ratios, index=sums.index, name="dollar_weighted_short_ratio")


def rank(frame: pd.DataFrame, metric: str | pd.Series[float]) -> pd.Series[float]:
    """Percentile of a metric among all tickers of the same date, a fraction.

    The rank of the ticker's value among those of all tickers of the frame that have one on that
    date, divided by their number; equal values share their average rank. 1.0 is the highest.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of several tickers; ``df`` of ``df.shortvol``.
    metric : str or pandas.Series
        Name of a metric as `metrics` has it (``"short_ratio"``, ``"short_ratio_mean_20"``; without
        a number of 20 days) or else of a column; or values of the frame's rows, on its index.

    Returns
    -------
    pandas.Series
        ``<metric>_rank_by_date``. NaN where the metric is.

    Raises
    ------
    NotShortVolumeError
        When the frame lacks what the metric needs, or nothing says the days.
    ConfigError
        When there is no such metric, the Series is not of the frame's rows, a ticker has a day
        twice, or a row has no day.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({
    ...     "code": ["US.A", "US.B", "US.C"],
    ...     "timestamp_str": "2026-06-18",
    ...     "total_shares_short": [1, 3, 3],
    ...     "volume": [10, 10, 10],
    ... })
    >>> df.shortvol.rank("short_ratio").round(3).tolist()
    [0.333, 0.833, 0.833]
    """
    values = by_name(frame, metric)
    sessions = Sessions.of(frame)
    name = f"{values.name}_rank_by_date"
    sessions.refuse_repeated_days(name)
    days = sessions.to_rows(sessions.days.astype(np.int64))
    ranks = pd.Series(_finite(values)).groupby(days).rank(method="average", pct=True)
    return answer(frame, name, np.asarray(ranks, dtype=np.float64))


def pivot(frame: pd.DataFrame, metric: str | pd.Series[float]) -> pd.DataFrame:
    """Lay a metric out with a row a date and a column a ticker.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    metric : str or pandas.Series
        As of `rank`.

    Returns
    -------
    pandas.DataFrame
        float64; rows by ``date`` (datetime64[ns]), ascending, columns by ``code``. NaN where the
        frame has no such row. A single ticker whose code is nowhere given is named by its market.

    Raises
    ------
    NotShortVolumeError, ConfigError
        As of `rank`.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({
    ...     "code": ["US.A", "US.B", "US.A"],
    ...     "timestamp_str": ["2026-06-18", "2026-06-18", "2026-06-17"],
    ...     "total_shares_short": [1, 3, 2],
    ...     "volume": [10, 10, 10],
    ... })
    >>> df.shortvol.pivot("short_ratio")
    code        US.A  US.B
    date
    2026-06-17   0.2   NaN
    2026-06-18   0.1   0.3
    """
    values = by_name(frame, metric)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days(f"pivot of {values.name}")
    if sessions.tickers is None:
        code = code_of(frame) or market_of(frame).name
        codes = pd.Index([code][: len(frame)], dtype=text_dtype(), name="code")
    else:
        codes = sessions.tickers.rename("code")
    days, which = np.unique(sessions.days, return_inverse=True)
    table = np.full((len(codes), len(days)), np.nan)
    ticker = np.repeat(np.arange(len(codes)), sessions.lengths)
    table[ticker, which] = _finite(values)[sessions.order]
    return pd.DataFrame(table.T, index=pd.DatetimeIndex(days, name="date"), columns=codes)


def _finite(metric: pd.Series[float]) -> NDArray[np.float64]:
    try:
        values = metric.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{metric.name!r} does not hold numbers: {error}") from error
    return np.where(np.isfinite(values), values, np.nan)
