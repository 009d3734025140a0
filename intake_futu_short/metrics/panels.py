"""Metrics that compare tickers: pure functions of a DataFrame of several tickers (or of one).

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

# Roles of the columns that `dollar_weighted_short_ratio` is made of, by market.
DOLLAR_WEIGHTED = {"US": ("close", "short", "volume"), "HK": ("close", "short", "volume")}


def dollar_weighted_short_ratio(frame: pd.DataFrame) -> pd.Series[float]:
    """Short ratio of all tickers together by date, weighted by value, a fraction.

    Σ(close · S) / Σ(close · V) over the tickers of each date. A ticker that lacks one of the three
    values on a date is left out of both sums of that date, so the set of tickers can change from
    date to date. Prices are adjusted and counts are raw, as in `short_value`.

    Returns
    -------
    pandas.Series
        ``dollar_weighted_short_ratio``, indexed by ``date`` (datetime64[ns]), ascending, one row
        per date of the frame. NaN where no ticker has all three values, and where the value of the
        volume is not above 0.

    Raises
    ------
    NotShortVolumeError
        When a column is missing: those of `short_ratio`, ``close_price``, or one with the day.
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
    """Add up the values of the short shares, and of all shares, by date over all tickers."""
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
    """Add up several results of `values_by_date`, one below the other, by date."""
    return values.groupby(level="date", sort=True).sum()


def ratio_of_values(values: pd.DataFrame) -> pd.Series[float]:
    """Compute the ratio from results of `values_by_date`, one below the other."""
    sums = added_values(values)
    ratios = quotient(sums["short"].to_numpy(), sums["all"].to_numpy())
    ratios[np.isinf(ratios)] = np.nan
    return pd.Series(ratios, index=sums.index, name="dollar_weighted_short_ratio")


def rank(frame: pd.DataFrame, metric: str | pd.Series[float]) -> pd.Series[float]:
    """Percentile of a metric among all tickers of the same date, a fraction.

    The rank of the ticker's value on a date, divided by the number of tickers in the frame that
    have a value on that date. Equal values share their average rank. 1.0 is the highest.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of several tickers; ``df`` of ``df.shortvol``.
    metric : str or pandas.Series
        Name of a metric as in `metrics`, such as ``"short_ratio"`` or ``"short_ratio_mean_20"`` (a
        name without a number means 20 days); or name of a column; or a Series of values for the
        frame's rows, on its index.

    Returns
    -------
    pandas.Series
        ``<metric>_rank_by_date``. NaN where the metric is NaN.

    Raises
    ------
    NotShortVolumeError
        When the frame lacks a column that the metric needs, or has no days.
    ConfigError
        When there is no such metric, the Series is not on the frame's index, a ticker has a day
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
    """Arrange a metric as a table with one row per date and one column per ticker.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    metric : str or pandas.Series
        As for `rank`.

    Returns
    -------
    pandas.DataFrame
        float64; rows by ``date`` (datetime64[ns]), ascending, columns by ``code``. NaN where the
        frame has no row for the ticker and date. If the code of a single ticker is not known, its
        column is named after the market.

    Raises
    ------
    NotShortVolumeError, ConfigError
        As for `rank`.

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
