"""Metrics of a trailing window: pure functions of a DataFrame.

A window is the ticker's last ``n`` rows, by day, whatever order they stand in: ``n`` trading days
where the frame has them all. A session that the frame lacks is not counted, nor is its place kept
free. `intake_futu_short.metrics` lists the functions; each is a method of ``df.shortvol`` too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intake_futu_short.metrics.columns import Columns, answer
from intake_futu_short.metrics.sessions import Sessions
from intake_futu_short.metrics.window_metrics import KINDS, trailing, window

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "abnormal_short_ratio",
    "pooled_short_ratio",
    "short_ratio_mean",
    "short_ratio_rank",
    "short_ratio_zscore",
    "short_volume_surge",
]


def _one(frame: pd.DataFrame, kind: str, n: Any, min_periods: Any) -> pd.Series[float]:
    n, min_periods = window(n, min_periods)
    name = f"{kind}_{n}"
    columns = Columns(frame)
    columns.require(name, KINDS[kind])
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days(name)
    return answer(frame, name, trailing(columns, sessions, [kind], [n], min_periods)[name])


def short_ratio_mean(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """Mean of the daily short ratios of the ticker's last days, a fraction: mean of r = S / V.

    Days weigh the same, whatever their volume; `pooled_short_ratio` weighs them by it. Nothing
    later than a row enters its answer.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days (rows of the ticker) in a window, the row's own included.
    min_periods : int, optional
        How many days of the window must have a ratio, 1 to ``n``; by default all. A day
        without volume has none.

    Returns
    -------
    pandas.Series
        ``short_ratio_mean_<n>``; NaN where too few days of the window have a ratio.

    Raises
    ------
    NotShortVolumeError
        When a column is missing (those of `short_ratio`, and one that says the day).
    ConfigError
        For another ``n`` or ``min_periods``, a ticker with a day twice, a row without a day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio_mean(5).head(2).round(5).tolist()
    [0.16305, 0.16878]
    """
    return _one(frame, "short_ratio_mean", n, min_periods)


def pooled_short_ratio(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """Short shares / volume of several days taken together, a fraction: ΣS / ΣV.

    The sum of the short shares over the sum of the volumes of the ticker's last ``n`` days: days
    are weighted by their volume, other than in a mean of daily ratios. Nothing later than a row
    enters its answer. With ``n=20``, in percent and truncated to two decimals, it is the gateway's
    ``daily_trade_avg_ratio`` of US tickers.

    Share counts are raw: a window across a split mixes shares of two sizes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days (rows of the ticker) in a window, the row's own included.
    min_periods : int, optional
        How many days of the window must have both counts, 1 to ``n``; by default all. The sums
        leave out days that lack one.

    Returns
    -------
    pandas.Series
        ``pooled_short_ratio_<n>``; NaN where too few days of the window have both, and where the
        volumes of the window add up to 0.

    Raises
    ------
    NotShortVolumeError
        When a column is missing (those of `short_ratio`, and one that says the day).
    ConfigError
        For another ``n`` or ``min_periods``, a ticker with a day twice, a row without a day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.pooled_short_ratio(20).head(2).round(5).tolist()
    [0.17301, 0.17149]
    >>> df["daily_trade_avg_ratio"].head(2).tolist()
    [17.3, 17.14]
    """
    return _one(frame, "pooled_short_ratio", n, min_periods)


def short_ratio_zscore(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """How many standard deviations the short ratio is off its mean of the days before.

    (r - mean) / sd, the mean and the standard deviation (ddof = 1) being those of the daily short
    ratios of the ``n`` days *before* the row. Without unit.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days (rows of the ticker) before the row, its own not among them.
    min_periods : int, optional
        How many days of the window must have a ratio, 1 to ``n``; by default all. Two at
        least make a standard deviation.

    Returns
    -------
    pandas.Series
        ``short_ratio_zscore_<n>``; NaN where the row has no ratio or too few of the days before
        have one, and where the ratios before are all the same.

    Raises
    ------
    NotShortVolumeError
        When a column is missing (those of `short_ratio`, and one that says the day).
    ConfigError
        For another ``n`` or ``min_periods``, a ticker with a day twice, a row without a day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio_zscore(5).head(2).round(4).tolist()
    [-1.2554, -4.9689]
    """
    return _one(frame, "short_ratio_zscore", n, min_periods)


def abnormal_short_ratio(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """How far the short ratio is above its mean of the days before, a fraction.

    r / mean - 1, the mean being that of the daily short ratios of the ``n`` days *before* the row:
    0.5 where the ratio is half as high again as it used to be.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days (rows of the ticker) before the row, its own not among them.
    min_periods : int, optional
        How many days of the window must have a ratio, 1 to ``n``; by default all.

    Returns
    -------
    pandas.Series
        ``abnormal_short_ratio_<n>``; NaN where the row has no ratio or too few of the days before
        have one, and where that mean is 0.

    Raises
    ------
    NotShortVolumeError
        When a column is missing (those of `short_ratio`, and one that says the day).
    ConfigError
        For another ``n`` or ``min_periods``, a ticker with a day twice, a row without a day.

    References
    ----------
    The form is that of abnormal short-selling in Christophe, Ferri and Angel (2004),
    "Short-Selling Prior to Earnings Announcements", Journal of Finance 59(4).

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.abnormal_short_ratio(5).head(2).round(4).tolist()
    [-0.1145, -0.1838]
    """
    return _one(frame, "abnormal_short_ratio", n, min_periods)


def short_volume_surge(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """Short shares of a day, as a multiple of their mean of the days before.

    S / mean, the mean being that of the short shares of the ``n`` days *before* the row. Without
    unit. Share counts are raw: a window across a split compares shares of two sizes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days (rows of the ticker) before the row, its own not among them.
    min_periods : int, optional
        How many days of the window must have a count, 1 to ``n``; by default all.

    Returns
    -------
    pandas.Series
        ``short_volume_surge_<n>``; NaN where the row has no count or too few of the days before
        have one, and where that mean is 0.

    Raises
    ------
    NotShortVolumeError
        When a column is missing (``total_shares_short`` (US) or
        ``short_sell_shares_traded`` (HK), and one that says the day).
    ConfigError
        For another ``n`` or ``min_periods``, a ticker with a day twice, a row without a day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_volume_surge(5).head(2).round(4).tolist()
    [0.8204, 0.653]
    """
    return _one(frame, "short_volume_surge", n, min_periods)


def short_ratio_rank(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """Percentile of the short ratio among those of the ticker's last days, a fraction.

    The rank of r in the window that ends at the row, divided by the number of ratios in it; equal
    ratios share their average rank. 1.0 is the highest of the window, 1 / ``n`` the lowest. Nothing
    later than a row enters its answer.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    n : int
        Trading days (rows of the ticker) in a window, the row's own included.
    min_periods : int, optional
        How many days of the window must have a ratio, 1 to ``n``; by default all.

    Returns
    -------
    pandas.Series
        ``short_ratio_rank_<n>``; NaN where the row or too many days of the window have no ratio.

    Raises
    ------
    NotShortVolumeError
        When a column is missing (those of `short_ratio`, and one that says the day).
    ConfigError
        For another ``n`` or ``min_periods``, a ticker with a day twice, a row without a day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio_rank(20).head(2).tolist()
    [0.45, 0.4]
    """
    return _one(frame, "short_ratio_rank", n, min_periods)
