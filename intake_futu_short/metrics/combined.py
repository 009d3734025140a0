"""Computes all metrics in one go, or one by its name: pure functions of a DataFrame.

`intake_futu_short.metrics` lists the functions.
"""

from __future__ import annotations

import copy
import re
from numbers import Integral
from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics.answers import daily, shown
from intake_futu_short.metrics.columns import Columns, whole_number
from intake_futu_short.metrics.known import Asked
from intake_futu_short.metrics.registry import (
    METRICS,
    POSITION_ROLES,
    USUAL_WINDOW,
    WINDOWS,
    windowed,
)
from intake_futu_short.metrics.reports import Given, known_positions
from intake_futu_short.metrics.sessions import RESAMPLED, Sessions
from intake_futu_short.metrics.window_metrics import trailing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intake_futu_short.metrics.registry import Metric

__all__ = ["by_name", "lengths", "metrics", "with_metrics"]


def metrics(
    frame: pd.DataFrame,
    windows: int | Iterable[int] = WINDOWS,
    *,
    min_periods: int | None = None,
    start: Any = None,
    positions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compute all metrics of the frame's rows.

    First come the metrics of each day, such as ``short_ratio``. Then, for each window, come the
    trailing metrics with the window in their name, such as ``short_ratio_mean_20``. The values are
    the same as those of the single methods, but computing them together is several times faster.

    A metric is left out if the market does not have it, or if the frame lacks a column for it or
    the reports in ``attrs`` (``days_to_cover``, ``implied_shares``). Call the method of that name
    to learn what is missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    windows : int or iterable of int
        Lengths of the windows in trading days (rows of the ticker). ``()`` for no windows.
    min_periods : int, optional
        How many days of each window must have a value. By default all days of the window.
    start : str or date, optional
        The first trading day to return. Windows also use the rows before it. By default
        ``attrs["start"]``; if there is none, all rows are returned.
    positions : pandas.DataFrame, optional
        Reported open positions, as for `days_to_cover`; by default those of ``attrs``.

    Returns
    -------
    pandas.DataFrame
        float64, with the frame's index, order and ``attrs``.

    Raises
    ------
    NotShortVolumeError
        When no column or index level holds the days.
    ConfigError
        When an argument is not valid, a ticker has a day twice, or a row has no day.

    Warns
    -----
    PositionWarning
        When there are reports of open positions, and all of them are newer than the rows.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> sample.frame("US.AAPL").shortvol.metrics(windows=5).columns.tolist()
    ['short_ratio', 'short_value', 'venue_share', 'return_1d', 'short_ratio_mean_5', \
'pooled_short_ratio_5', 'short_ratio_zscore_5', 'abnormal_short_ratio_5', \
'short_volume_surge_5', 'short_ratio_rank_5']
    """
    ns = lengths(windows)
    if min_periods is not None:
        min_periods = whole_number("min_periods", min_periods, 1, min(ns, default=None))
    columns, sessions = Columns(frame), Sessions.of(frame)
    sessions.refuse_repeated_days("metrics")
    rows = shown(frame, sessions, start)
    try:
        asked = Asked(frame, sessions, "metrics()")
        known = known_positions(asked, Given(positions, {}), POSITION_ROLES[:1], POSITION_ROLES)
    except NotShortVolumeError:
        if positions is not None:
            raise
    else:
        columns.know(known)
    had = [one for one in METRICS.values() if not columns.lacks(one.needs)]
    if RESAMPLED in frame.attrs:
        had = [one for one in had if not one.is_of_days]
    found = {one.name: daily(columns, one) for one in had if not one.has_window}
    of_windows = {one.name: one.recipes[columns.market] for one in had if one.has_window}
    found |= trailing(columns, sessions, of_windows, ns, min_periods)
    table = pd.DataFrame(found, index=frame.index, copy=False)
    table.attrs = copy.deepcopy(frame.attrs)
    return table if rows is None else table[rows]


def with_metrics(
    frame: pd.DataFrame,
    windows: int | Iterable[int] = WINDOWS,
    *,
    min_periods: int | None = None,
    start: Any = None,
    positions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Copy the frame with all metrics as further columns.

    Parameters
    ----------
    frame, windows, min_periods, start, positions
        As for `metrics`.

    Returns
    -------
    pandas.DataFrame
        The frame's columns, then those of `metrics`, for the rows from ``start`` on. If the frame
        already has a column with the name of a metric, the new values replace it in its place.

    Raises
    ------
    NotShortVolumeError, ConfigError
        As for `metrics`.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL").shortvol.with_metrics(windows=20)
    >>> df["daily_trade_avg_ratio"].head(2).tolist()
    [17.3, 17.14]
    >>> df["pooled_short_ratio_20"].head(2).round(5).tolist()
    [0.17301, 0.17149]
    """
    found = metrics(frame, windows, min_periods=min_periods, start=start, positions=positions)
    rows = shown(frame, Sessions.of(frame), start)
    own = (frame if rows is None else frame[rows]).drop(
        columns=[name for name in found if name in frame.columns]
    )
    # concat() compares attrs, which fails if a user has put arrays into them.
    attrs, own.attrs, found.attrs = found.attrs, {}, {}
    joined = pd.concat([own, found], axis=1)
    order = dict.fromkeys([*frame.columns, *found.columns])
    if list(joined) != list(order):
        joined = joined[list(order)]
    joined.attrs = attrs
    return joined


def lengths(windows: Any) -> list[int]:
    """Check one or several window lengths; return each once, in the order given."""
    several = (windows,) if isinstance(windows, Integral) else windows
    if isinstance(several, (str, bytes)) or not hasattr(several, "__iter__"):
        raise ConfigError(
            f"windows must be whole numbers such as (5, 20), not {described(windows)}"
        )
    return list(dict.fromkeys(whole_number("windows", n, 1, None) for n in several))


def by_name(frame: pd.DataFrame, metric: Any) -> pd.Series[float]:
    """Compute a metric by its name, or return the values that are given."""
    if isinstance(metric, pd.Series):
        if not metric.index.equals(frame.index):
            raise ConfigError("the metric's Series does not have the index of the frame")
        return metric if metric.name is not None else metric.rename("metric")
    if not isinstance(metric, str):
        raise ConfigError(f"a metric is a name or a Series, not {type(metric).__name__}")
    name, _, n = metric.rpartition("_")
    if metric in METRICS:
        return _of_all_rows(frame, METRICS[metric], USUAL_WINDOW)
    if name in METRICS and METRICS[name].has_window and re.fullmatch("[0-9]{1,9}", n):
        return _of_all_rows(frame, METRICS[name], int(n))
    if metric in frame.columns:
        return frame[metric]
    of_a_day = [one.name for one in METRICS.values() if not one.has_window]
    raise ConfigError(
        "there is no metric and no column "
        f"{described(metric)}. Metrics: {', '.join(of_a_day)}; with a "
        "number of days, as short_ratio_mean_20: "
        f"{', '.join(one.name for one in windowed())}"
    )


def _of_all_rows(frame: pd.DataFrame, metric: Metric, n: int) -> pd.Series[float]:
    """Compute a metric for all rows, whatever ``attrs["start"]`` says."""
    if not metric.has_window:
        return metric.function(frame)
    attrs = copy.deepcopy(frame.attrs)
    whole = frame.copy(deep=False)
    whole.attrs.pop("start", None)
    found = metric.function(whole, n)
    found.attrs = attrs
    return found
