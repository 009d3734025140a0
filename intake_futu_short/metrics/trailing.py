"""Metrics of a trailing window: pure functions of a DataFrame.

A window is the ticker's last ``n`` rows by day, in whatever order the frame has them. That is ``n``
trading days if no session is missing from the frame; a missing session is skipped, so the window
then reaches further back. `intake_futu_short.metrics` lists the functions; each is a method of
``df.shortvol`` too.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from intake_futu_short.metrics.answers import by_window
from intake_futu_short.metrics.columns import Columns, answer
from intake_futu_short.metrics.registry import Recipe, metric
from intake_futu_short.metrics.sessions import Sessions
from intake_futu_short.metrics.window_metrics import trailing, window
from intake_futu_short.metrics.windows import before, quotient

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from intake_futu_short.metrics.registry import F
    from intake_futu_short.metrics.window_metrics import BlockWindows
    from intake_futu_short.metrics.windows import Floats

    Compute = Callable[[BlockWindows, int], Floats]

__all__ = [
    "abnormal_short_ratio",
    "pooled_short_ratio",
    "short_ratio_mean",
    "short_ratio_rank",
    "short_ratio_zscore",
    "short_volume_surge",
]

# Roles of the columns that a ratio is made of.
_RATIO = ("short", "volume")

# Text that all docstrings share; %(value)s is what a day must have to be counted.
_PARAMETERS = """
frame : pandas.DataFrame
    Rows of one ticker or of several; ``df`` of ``df.shortvol``.
n : int
    Trading days (rows of the ticker) %(where)s.
min_periods : int, optional
    How many days of the window must have %(value)s, 1 to ``n``; by default all.
start : str or date, optional
    The first trading day to return. Windows also use the rows before it. By default
    ``attrs["start"]``; if there is none, all rows are returned.
"""
_RAISES = """
NotShortVolumeError
    When a column is missing (%(columns)s, or one with the day).
ConfigError
    When an argument is not valid, a ticker has a day twice, or a row has no day.
"""
_ENDING = "in a window, including the row's own day"
_BEFORE = "before the row, without the row's own day"
_OF_RATIO = "those of `short_ratio`"


def _described(text: str | None, **words: str) -> str | None:
    """Fill ``%(parameters)s`` and ``%(raises)s`` of a docstring in."""
    if text is None:  # python -OO
        return None
    parts = {"%(parameters)s": _PARAMETERS, "%(raises)s": _RAISES}
    text = inspect.cleandoc(text)
    for place, part in parts.items():
        text = text.replace(place, part.strip())
    for name, word in words.items():
        text = text.replace(f"%({name})s", word)
    return text


def _trailing(
    formula: str,
    compute: Compute,
    *,
    where: str,
    roles: tuple[str, ...] = _RATIO,
    value: str = "a ratio",
    columns: str = _OF_RATIO,
) -> Callable[[F], F]:
    """Put a function on the list of metrics, and complete its description."""
    recipe = Recipe(roles, compute)

    def register(function: F) -> F:
        words = {"where": where, "value": value, "columns": columns}
        function.__doc__ = _described(function.__doc__, **words)
        return metric(formula, {"US": recipe, "HK": recipe}, has_window=True)(function)

    return register


def _mean(windows: BlockWindows, n: int) -> Floats:
    return windows.mean("ratio", n)


def _pooled(windows: BlockWindows, n: int) -> Floats:
    return windows.pooled_ratio(n)


def _score(windows: BlockWindows, n: int) -> Floats:
    return windows.score(n)


def _abnormal(windows: BlockWindows, n: int) -> Floats:
    return quotient(windows.ratio, before(windows.mean("ratio", n))) - 1


def _surge(windows: BlockWindows, n: int) -> Floats:
    return quotient(windows["short"], before(windows.mean("short", n)))


def _rank(windows: BlockWindows, n: int) -> Floats:
    return windows.rank(n)


@_trailing("mean of r", _mean, where=_ENDING)
def short_ratio_mean(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None, start: Any = None
) -> pd.Series[float]:
    """Mean of the daily short ratios of the ticker's last days, a fraction: mean of r = S / V.

    Each day has the same weight; `pooled_short_ratio` weights days by their volume. The value of a
    row never depends on later rows. A day without volume has no ratio.

    Parameters
    ----------
    %(parameters)s

    Returns
    -------
    pandas.Series
        ``short_ratio_mean_<n>``; NaN where too few days of the window have a ratio.

    Raises
    ------
    %(raises)s

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio_mean(5).head(2).round(5).tolist()
    [0.16305, 0.16878]
    >>> df.shortvol.short_ratio_mean(5, start="2024-10-11").round(5).tolist()
    [0.16305]
    """
    return by_window(frame, "short_ratio_mean", n, min_periods, start=start)


@_trailing(
    "ΣS / ΣV; n=20 is the gateway's `daily_trade_avg_ratio`",
    _pooled,
    where=_ENDING,
    value="both counts",
)
def pooled_short_ratio(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None, start: Any = None
) -> pd.Series[float]:
    """Short shares / volume of several days taken together, a fraction: ΣS / ΣV.

    The sum of the short shares of the ticker's last ``n`` days, divided by the sum of the volumes.
    Days are thus weighted by their volume, unlike in a mean of daily ratios. Days that lack one of
    the two counts are left out of both sums. The value of a row never depends on later rows. With
    ``n=20``, in percent and truncated to two decimals, it is the gateway's
    ``daily_trade_avg_ratio`` of US tickers.

    Share counts are raw: a window across a split mixes shares of two sizes.

    Parameters
    ----------
    %(parameters)s

    Returns
    -------
    pandas.Series
        ``pooled_short_ratio_<n>``; NaN where too few days of the window have both, and where the
        volumes of the window add up to 0.

    Raises
    ------
    %(raises)s

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.pooled_short_ratio(20).head(2).round(5).tolist()
    [0.17301, 0.17149]
    >>> df["daily_trade_avg_ratio"].head(2).tolist()
    [17.3, 17.14]
    """
    return by_window(frame, "pooled_short_ratio", n, min_periods, start=start)


@_trailing("(r - mean) / sd of the n days before", _score, where=_BEFORE)
def short_ratio_zscore(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None, start: Any = None
) -> pd.Series[float]:
    """Distance of the short ratio from its mean of the days before, in standard deviations.

    (r - mean) / sd. The mean and the standard deviation (ddof = 1) are those of the daily short
    ratios of the ``n`` days *before* the row. It has no unit. A standard deviation needs at least
    two ratios.

    Parameters
    ----------
    %(parameters)s

    Returns
    -------
    pandas.Series
        ``short_ratio_zscore_<n>``; NaN where the row has no ratio or too few of the days before
        have one, and where the ratios before are all the same.

    Raises
    ------
    %(raises)s

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio_zscore(5).head(2).round(4).tolist()
    [-1.2554, -4.9689]
    """
    return by_window(frame, "short_ratio_zscore", n, min_periods, start=start)


@_trailing("r / mean of the n days before - 1", _abnormal, where=_BEFORE)
def abnormal_short_ratio(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None, start: Any = None
) -> pd.Series[float]:
    """How far the short ratio is above its mean of the days before, a fraction.

    r / mean - 1. The mean is that of the daily short ratios of the ``n`` days *before* the row. The
    value is 0.5 if the ratio is half as high again as this mean.

    Parameters
    ----------
    %(parameters)s

    Returns
    -------
    pandas.Series
        ``abnormal_short_ratio_<n>``; NaN where the row has no ratio or too few of the days before
        have one, and where that mean is 0.

    Raises
    ------
    %(raises)s

    References
    ----------
    The formula has the form of abnormal short-selling in Christophe, Ferri and Angel (2004),
    "Short-Selling Prior to Earnings Announcements", Journal of Finance 59(4).

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.abnormal_short_ratio(5).head(2).round(4).tolist()
    [-0.1145, -0.1838]
    """
    return by_window(frame, "abnormal_short_ratio", n, min_periods, start=start)


@_trailing(
    "S / mean of the n days before",
    _surge,
    where=_BEFORE,
    roles=("short",),
    value="a count",
    columns="``total_shares_short`` (US) or ``short_sell_shares_traded`` (HK)",
)
def short_volume_surge(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None, start: Any = None
) -> pd.Series[float]:
    """Short shares of a day, as a multiple of their mean of the days before.

    S / mean. The mean is that of the short shares of the ``n`` days *before* the row. It has no
    unit. Share counts are raw: a window across a split compares shares of two sizes.

    Parameters
    ----------
    %(parameters)s

    Returns
    -------
    pandas.Series
        ``short_volume_surge_<n>``; NaN where the row has no count or too few of the days before
        have one, and where that mean is 0.

    Raises
    ------
    %(raises)s

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_volume_surge(5).head(2).round(4).tolist()
    [0.8204, 0.653]
    """
    return by_window(frame, "short_volume_surge", n, min_periods, start=start)


@_trailing("percentile of r in its window", _rank, where=_ENDING)
def short_ratio_rank(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None, start: Any = None
) -> pd.Series[float]:
    """Percentile of the short ratio among those of the ticker's last days, a fraction.

    The rank of r in the window that ends at the row, divided by the number of ratios in the window.
    Equal ratios share their average rank. 1.0 is the highest of the window, 1 / ``n`` the lowest.
    The value of a row never depends on later rows.

    Parameters
    ----------
    %(parameters)s

    Returns
    -------
    pandas.Series
        ``short_ratio_rank_<n>``; NaN where the row or too many days of the window have no ratio.

    Raises
    ------
    %(raises)s

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL")  # real rows, newest first
    >>> df.shortvol.short_ratio_rank(20).head(2).tolist()
    [0.45, 0.4]
    """
    return by_window(frame, "short_ratio_rank", n, min_periods, start=start)


def _mean_before(windows: BlockWindows, n: int) -> Floats:
    return before(windows.mean("ratio", n))


def _deviation_before(windows: BlockWindows, n: int) -> Floats:
    return windows.deviation_before(n)


def band(frame: pd.DataFrame, n: int = 20) -> tuple[pd.Series[float], pd.Series[float]]:
    """Mean and standard deviation (ddof 1) of the short ratios of the ``n`` days before each row.

    `short_ratio_zscore` compares a day with these two. They are NaN unless all ``n`` days have a
    ratio. All rows are returned, with the frame's index and order.
    """
    recipes = {
        "mean_before": Recipe(_RATIO, _mean_before),
        "sd_before": Recipe(_RATIO, _deviation_before),
    }
    n, _ = window(n, None)
    columns, sessions = Columns(frame), Sessions.of(frame)
    columns.require(f"band of {n} days", {"US": _RATIO, "HK": _RATIO})
    sessions.refuse_repeated_days(f"band of {n} days")
    found = trailing(columns, sessions, recipes, [n], None)
    mean, deviation = (answer(frame, name, found[f"{name}_{n}"]) for name in recipes)
    return mean, deviation
