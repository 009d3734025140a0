"""Lists the newest session of each ticker with all metrics: a pure function of a DataFrame.

`intake_futu_short.metrics` lists the functions.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics.columns import ROLES, whole_number
from intake_futu_short.metrics.combined import by_name, lengths, metrics
from intake_futu_short.metrics.registry import METRICS, USUAL_WINDOW, WINDOWS
from intake_futu_short.metrics.sessions import Sessions, code_of, market_of
from intake_futu_short.schema import text_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["BEHIND", "latest", "rows_needed", "windows_of"]

# Column that says how many sessions of the panel are newer than the ticker's newest one.
BEHIND = "sessions_behind"


def latest(
    frame: pd.DataFrame,
    by: str = "short_ratio_zscore_20",
    n: int | None = 20,
    *,
    windows: int | Iterable[int] = WINDOWS,
    ascending: bool = False,
    min_periods: int | None = None,
    positions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """List the tickers sorted by a metric of their newest session, one row per ticker.

    Only the rows that the windows need are used, but the values are those of `metrics` to the last
    digit.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    by : str
        Name of the metric or column to sort by. A metric with a window is named as in `metrics`,
        such as ``"short_ratio_zscore_20"``. Its window need not be one of `windows`.
    n : int or None
        How many tickers to list at most; None lists all.
    windows : int or iterable of int
        As for `metrics`.
    ascending : bool
        Whether the lowest values come first. Tickers without a value come last in either order.
        Tickers with equal values are in the order of their codes.
    min_periods, positions
        As for `metrics`.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: ``code``; ``date``, the ticker's newest session (datetime64[ns]);
        ``sessions_behind``, how many of the frame's sessions are newer than that (0: the ticker is
        up to date); volume and close under the frame's own names, if it has them; then the columns
        of `metrics`. The column `by` is added if it is not among these. The ``attrs`` are those of
        the frame.

    Raises
    ------
    NotShortVolumeError
        When no column or index level holds the days, or the frame lacks a column that `by` needs.
    ConfigError
        When `by` is neither a metric nor a column, an argument is not valid, a ticker has a day
        twice, or a row has no day.

    Examples
    --------
    >>> import pandas as pd, intake_futu_short
    >>> df = pd.DataFrame({
    ...     "code": ["US.A", "US.A", "US.B", "US.C"],
    ...     "timestamp_str": ["2026-06-18", "2026-06-17", "2026-06-18", "2026-06-17"],
    ...     "total_shares_short": [300, 200, 100, 400],
    ...     "volume": [1000, 1000, 1000, 1000],
    ... })
    >>> df.shortvol.latest(by="short_ratio", windows=())
       code       date  sessions_behind  volume  short_ratio
    0  US.C 2026-06-17                1    1000          0.4
    1  US.A 2026-06-18                0    1000          0.3
    2  US.B 2026-06-18                0    1000          0.1
    """
    if not isinstance(by, str):
        raise ConfigError(f"by must be the name of a metric or column, not {described(by)}")
    if by not in frame.columns:
        by = _as_named(by)
    if n is not None:
        n = whole_number("n", n, 1, None)
    ns = lengths(windows)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days("latest")
    most = rows_needed(by, ns)
    further = [] if by in frame.columns else [w for w in _named(by) if w not in ns]
    ends = sessions.begins + sessions.lengths
    is_recent = np.arange(len(frame)) >= np.repeat(ends - most, sessions.lengths)
    recent = frame.take(sessions.order[is_recent])
    # A ticker may have no row from attrs["start"] on, and is listed all the same.
    recent.attrs.pop("start", None)
    newest = np.cumsum(np.minimum(sessions.lengths, most)) - 1

    days = sessions.days[ends - 1]
    columns: dict[str, Any] = {
        "code": _codes(frame, sessions),
        "date": days,
        BEHIND: _sessions_after(days, sessions.days),
    }
    computed = metrics(recent, [*ns, *further], min_periods=min_periods, positions=positions)
    found = {
        str(name): values.to_numpy()[newest]
        for name, values in computed.items()
        if name == by or set(_named(str(name))).isdisjoint(further)
    }
    roles = ROLES[market_of(frame).name]
    for name in (roles["volume"], roles["close"], by):
        if name in frame.columns and name not in columns and name not in found:
            columns[name] = recent[name].take(newest).array
    columns |= found
    if by not in columns:
        by_name(recent, by)  # raises the error that says why it is missing
    table = pd.DataFrame(columns, index=pd.RangeIndex(len(newest)))
    ranked = table.sort_values(by, ascending=ascending, kind="stable", na_position="last")
    ranked = ranked.head(len(ranked) if n is None else n).reset_index(drop=True)
    ranked.attrs = copy.deepcopy(frame.attrs)
    return ranked


def rows_needed(by: str, windows: Iterable[int]) -> int:
    """How many of a ticker's newest rows the metrics of its newest row depend on."""
    # One more than the longest window, because a day is compared with the window before it.
    return max([*windows, *_named(by), USUAL_WINDOW]) + 1


def _as_named(metric: str) -> str:
    """A metric's name as in `metrics`: with its window, and without leading zeros in that."""
    if metric in METRICS and METRICS[metric].has_window:
        return f"{metric}_{USUAL_WINDOW}"
    return re.sub(r"_0+(?=[0-9]+$)", "_", metric)


def _named(metric: str) -> list[int]:
    """The window at the end of a metric's name, if there is one."""
    return [int(n) for n in re.findall(r"_([0-9]{1,9})$", metric)]


def windows_of(by: str) -> list[int]:
    """Windows that `latest` computes for `by` alone."""
    return _named(_as_named(by))


def _codes(frame: pd.DataFrame, sessions: Sessions) -> Any:
    if sessions.tickers is not None:
        return sessions.tickers.array
    return pd.array([code_of(frame)] * len(sessions.begins), dtype=text_dtype())


def _sessions_after(
    days: NDArray[np.datetime64], panel: NDArray[np.datetime64]
) -> NDArray[np.int64]:
    """How many distinct days of a panel come after each of some days."""
    distinct = np.unique(panel)
    return len(distinct) - np.searchsorted(distinct, days, side="right")
