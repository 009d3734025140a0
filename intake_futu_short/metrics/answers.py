"""Computes a metric of the list from a frame, and selects the rows to return. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intake_futu_short.days import date
from intake_futu_short.metrics.columns import Columns, answer
from intake_futu_short.metrics.registry import METRICS
from intake_futu_short.metrics.sessions import Sessions, refuse_periods
from intake_futu_short.metrics.window_metrics import trailing, window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from intake_futu_short.metrics.registry import Metric

    # Returns the values of `registry.POSITION_ROLES` that a metric needs.
    Known = Callable[[Sessions, str], Mapping[str, NDArray[np.float64]]]

__all__ = ["by_day", "by_window", "daily", "shown"]


def daily(columns: Columns, metric: Metric) -> NDArray[np.float64]:
    """Compute a metric of a day, in the order of the frame; NaN if a value overflows a float.

    Raises
    ------
    NotShortVolumeError
        When the market has no such metric, or the frame lacks a column for it.
    """
    columns.require(metric.name, metric.needs)
    recipe = metric.recipes[columns.market]
    values = recipe.compute(*(columns[role] for role in recipe.roles))
    values[np.isinf(values)] = np.nan
    return values


def by_day(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a metric of a day."""
    return answer(frame, name, daily(Columns(frame), METRICS[name]))


def by_window(
    frame: pd.DataFrame,
    name: str,
    n: Any,
    min_periods: Any,
    *,
    start: Any,
    known: Known | None = None,
) -> pd.Series[float]:
    """Return a metric of a window for the rows from `start` on."""
    metric = METRICS[name]
    n, min_periods = window(n, min_periods)
    name = f"{name}_{n}"
    columns = Columns(frame)
    columns.require(name, metric.needs)
    if metric.is_of_days:
        refuse_periods(frame, name)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days(name)
    rows = shown(frame, sessions, start)
    if known is not None:
        columns.know(known(sessions, name))
    recipes = {metric.name: metric.recipes[columns.market]}
    whole = answer(frame, name, trailing(columns, sessions, recipes, [n], min_periods)[name])
    return whole if rows is None else whole[rows]


def shown(frame: pd.DataFrame, sessions: Sessions, start: Any) -> NDArray[np.bool_] | None:
    """Rows of `start` and later, in the order of the frame; None for all of them.

    Raises
    ------
    ConfigError
        When `start`, or ``attrs["start"]`` in its place, is not a day.
    """
    if start is None:
        start, name = frame.attrs.get("start"), "attrs['start']"
    else:
        name = "start"
    day = date(name, start)
    return None if day is None else sessions.to_rows(sessions.days >= np.datetime64(day))
