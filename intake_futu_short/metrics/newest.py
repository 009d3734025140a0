"""The newest session of each ticker with all its metrics: a pure function of a DataFrame.

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

__all__ = ["BEHIND", "latest", "rows_needed"]

# By how many of the panel's sessions a ticker's newest one is older than the panel's.
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
    """List the tickers by a metric of their newest session, a row a ticker.

    Only the rows that the windows look back on are computed, and the answers are those of
    `metrics`, to the last digit.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    by : str
        What to sort by: a metric by its name, with a window as `metrics` names it, such as
        ``"short_ratio_zscore_20"``, or a column. Its window need not be one of `windows`.
    n : int or None
        How many tickers at most; None gives all.
    windows, min_periods, positions
        As of `metrics`.
    ascending : bool
        Whether the lowest come first. Tickers without a value come last in either order; equal
        ones are in the order of their codes.

    Returns
    -------
    pandas.DataFrame
        On a RangeIndex: ``code``; ``date``, the ticker's newest session (datetime64[ns]);
        ``sessions_behind``, how many of the frame's sessions are newer than that (0: the ticker is
        up to date); volume and close under the frame's own names, where it has them; `by`, if that
        is another column; then those of `metrics`, and `by`, if that is another one. Has the
        ``attrs`` of the frame.

    Raises
    ------
    NotShortVolumeError
        When no column or index level says the days, or the frame lacks what `by` needs.
    ConfigError
        When there is no metric and no column `by`, an argument is no such number, a ticker has a
        day twice, or a row has no day.

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
    # The rows before are here for the windows alone, and a ticker may have none since.
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
        by_name(recent, by)  # which says why it is not there
    table = pd.DataFrame(columns, index=pd.RangeIndex(len(newest)))
    ranked = table.sort_values(by, ascending=ascending, kind="stable", na_position="last")
    ranked = ranked.head(len(ranked) if n is None else n).reset_index(drop=True)
    ranked.attrs = copy.deepcopy(frame.attrs)
    return ranked


def rows_needed(by: str, windows: Iterable[int]) -> int:
    """How many of a ticker's newest rows the metrics of its newest one depend on."""
    # One more: what a day is compared with is the window before it.
    return max([*windows, *_named(by), USUAL_WINDOW]) + 1


def _as_named(metric: str) -> str:
    """A metric's name as `metrics` has it: with its window, and without zeros before that."""
    if metric in METRICS and METRICS[metric].has_window:
        return f"{metric}_{USUAL_WINDOW}"
    return re.sub(r"_0+(?=[0-9]+$)", "_", metric)


def _named(metric: str) -> list[int]:
    """The window that a metric's name ends in, if it does."""
    return [int(n) for n in re.findall(r"_([0-9]{1,9})$", metric)]


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
