"""All metrics in one go, and each by its name: pure functions of a DataFrame.

`intake_futu_short.metrics` lists the functions.
"""

from __future__ import annotations

import copy
import re
from numbers import Integral
from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short.calls import AGGREGATE_NAMES
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics.aggregates import AsOf, base, cover, days_to_cover, implied_shares
from intake_futu_short.metrics.columns import Columns, answer, whole_number
from intake_futu_short.metrics.daily import DAILY, daily
from intake_futu_short.metrics.sessions import RESAMPLED, Sessions
from intake_futu_short.metrics.trailing import (
    abnormal_short_ratio,
    pooled_short_ratio,
    short_ratio_mean,
    short_ratio_rank,
    short_ratio_zscore,
    short_volume_surge,
)
from intake_futu_short.metrics.window_metrics import KINDS, trailing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["by_name", "metrics", "with_metrics"]

_POSITION = ("aggregated_short", "new_time_str")
_WINDOWED = {
    "short_ratio_mean": short_ratio_mean,
    "pooled_short_ratio": pooled_short_ratio,
    "short_ratio_zscore": short_ratio_zscore,
    "abnormal_short_ratio": abnormal_short_ratio,
    "short_volume_surge": short_volume_surge,
    "short_ratio_rank": short_ratio_rank,
    "days_to_cover": days_to_cover,
}


def metrics(
    frame: pd.DataFrame, windows: int | Iterable[int] = (5, 20), *, min_periods: int | None = None
) -> pd.DataFrame:
    """Compute all metrics of the frame's rows.

    Those of a day by its name, such as ``short_ratio``; then for each window the trailing ones by
    name and window, such as ``short_ratio_mean_20``. Each is what the method of that name gives;
    together they are several times faster. A metric that the market does not have, or for which
    the frame lacks a column or (``days_to_cover``, ``implied_shares``) ``attrs``, is left out; the
    method of that name says what is missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    windows : int or iterable of int
        Lengths of the windows in trading days, that is rows of the ticker. None of them: ``()``.
    min_periods : int, optional
        How many days of each window must have a value. By default all of the window.

    Returns
    -------
    pandas.DataFrame
        float64, in the frame's own index and order, with its ``attrs``.

    Raises
    ------
    NotShortVolumeError
        When no column or index level says the days.
    ConfigError
        When an argument is no such number, a ticker has a day twice, or a row has no day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> sample.frame("US.AAPL").shortvol.metrics(windows=5).columns.tolist()
    ['short_ratio', 'short_value', 'venue_share', 'return_1d', 'short_ratio_mean_5', \
'pooled_short_ratio_5', 'short_ratio_zscore_5', 'abnormal_short_ratio_5', \
'short_volume_surge_5', 'short_ratio_rank_5']
    """
    ns = _lengths(windows)
    if min_periods is not None:
        min_periods = whole_number("min_periods", min_periods, 1, min(ns, default=None))
    columns, sessions = Columns(frame), Sessions.of(frame)
    sessions.refuse_repeated_days("metrics")
    found = {
        name: daily(columns, name)
        for name, recipes in DAILY.items()
        if not columns.lacks({market: recipe.roles for market, recipe in recipes.items()})
    }
    if columns.market == "HK":
        with_base = _reported(frame, sessions, "implied_shares", *AGGREGATE_NAMES)
        if with_base is not None:
            found["implied_shares"] = base(sessions, with_base)
    found |= _trailing(frame, columns, sessions, ns, min_periods)
    table = pd.DataFrame(found, index=frame.index, copy=False)
    table.attrs = copy.deepcopy(frame.attrs)
    return table


def _trailing(
    frame: pd.DataFrame,
    columns: Columns,
    sessions: Sessions,
    ns: list[int],
    min_periods: int | None,
) -> dict[str, NDArray[np.float64]]:
    """All that a window has, window by window."""
    names = [kind for kind, needed in KINDS.items() if not columns.lacks(needed)]
    reported = None
    if RESAMPLED not in frame.attrs and not columns.lacks({"HK": ("volume",)}):
        reported = _reported(frame, sessions, "days_to_cover", *_POSITION)
    kinds = names if reported is None else [*names, "mean_volume"]
    values = trailing(columns, sessions, kinds, ns, min_periods)
    found: dict[str, NDArray[np.float64]] = {}
    for n in ns:
        found |= {f"{name}_{n}": values[f"{name}_{n}"] for name in names}
        if reported is not None:
            found[f"days_to_cover_{n}"] = cover(sessions, reported, values[f"mean_volume_{n}"])
    return found


def _reported(frame: pd.DataFrame, sessions: Sessions, metric: str, *names: str) -> AsOf | None:
    try:
        return AsOf(frame, sessions, metric, dict.fromkeys(names))
    except NotShortVolumeError:
        return None


def with_metrics(
    frame: pd.DataFrame, windows: int | Iterable[int] = (5, 20), *, min_periods: int | None = None
) -> pd.DataFrame:
    """Copy the frame with all metrics as further columns.

    Parameters
    ----------
    frame, windows, min_periods
        As of `metrics`.

    Returns
    -------
    pandas.DataFrame
        The frame's columns, then those of `metrics`; a column that is there already under the name
        of a metric is computed anew in its place.

    Raises
    ------
    NotShortVolumeError, ConfigError
        As of `metrics`.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> df = sample.frame("US.AAPL").shortvol.with_metrics(windows=20)
    >>> df["daily_trade_avg_ratio"].head(2).tolist()
    [17.3, 17.14]
    >>> df["pooled_short_ratio_20"].head(2).round(5).tolist()
    [0.17301, 0.17149]
    """
    found = metrics(frame, windows, min_periods=min_periods)
    own = frame.drop(columns=[name for name in found if name in frame.columns])
    # Joining compares attrs, which a user may have put arrays into.
    attrs, own.attrs, found.attrs = found.attrs, {}, {}
    joined = pd.concat([own, found], axis=1)
    order = dict.fromkeys([*frame.columns, *found.columns])
    if list(joined) != list(order):
        joined = joined[list(order)]
    joined.attrs = attrs
    return joined


def _lengths(windows: Any) -> list[int]:
    several = (windows,) if isinstance(windows, Integral) else windows
    if isinstance(several, (str, bytes)) or not hasattr(several, "__iter__"):
        raise ConfigError(f"windows must be whole numbers such as (5, 20), not {windows!r}")
    return list(dict.fromkeys(whole_number("windows", n, 1, None) for n in several))


def by_name(frame: pd.DataFrame, metric: Any) -> pd.Series[float]:
    """A metric by its name, or values that are given."""
    if isinstance(metric, pd.Series):
        if not metric.index.equals(frame.index):
            raise ConfigError("the metric's Series is not on the index of the frame")
        return metric if metric.name is not None else metric.rename("metric")
    if not isinstance(metric, str):
        raise ConfigError(f"a metric is a name or a Series, not {type(metric).__name__}")
    if metric in DAILY:
        return answer(frame, metric, daily(Columns(frame), metric))
    if metric == "implied_shares":
        return implied_shares(frame)
    if metric in _WINDOWED:
        return _WINDOWED[metric](frame)
    name, _, n = metric.rpartition("_")
    if name in _WINDOWED and re.fullmatch("[0-9]{1,9}", n):
        return _WINDOWED[name](frame, int(n))
    if metric in frame.columns:
        return frame[metric]
    raise ConfigError(
        f"there is no metric and no column {metric!r}. Metrics: "
        f"{', '.join([*DAILY, 'implied_shares'])}; with a number of days, as short_ratio_mean_20: "
        f"{', '.join(_WINDOWED)}"
    )
