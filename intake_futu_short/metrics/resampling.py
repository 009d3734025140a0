"""Combines days into weeks, months or other periods: a pure function of a DataFrame."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError
from intake_futu_short.metrics.sessions import RESAMPLED, Sessions, market_of, numbers
from intake_futu_short.metrics.windows import are_counts, quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["resample"]

_SUMS = {
    "total_shares_short", "nasdaq_shares_short", "nyse_shares_short", "volume",
    "shares_traded", "turnover", "short_sell_shares_traded", "short_sell_turnover",
}  # fmt: skip
_FIRST = {"open_price", "last_close_price"}
_LAST = {"close_price"}
_DROPPED = {"timestamp", "timestamp_str", "daily_trade_avg_ratio"}
# With these frequencies each day is its own period.
_DAYS = {"D", "B", "C", "24h"}


def resample(frame: pd.DataFrame, freq: Any) -> pd.DataFrame:
    """Combine the days of each week, month or other period into one row.

    Share counts and turnovers are summed. ``open_price`` and ``last_close_price`` come from the
    ticker's first row in the period, ``close_price`` from its last row; ``return_1d`` of such a row
    is therefore the return over the period. ``short_percent`` (US) is computed from the sums,
    100 · ΣS / ΣV, and not truncated as the gateway's is. Ratios are never averaged.

    If a value is missing on one day, it is missing for the whole period: a sum without it would
    look like a complete one. A session without a row in the frame cannot be noticed. The first and
    the last period contain only the days that the frame has. Share counts are raw: a period across
    a split adds shares of two sizes.

    These columns are dropped: ``daily_trade_avg_ratio``, which always covers 20 days; ``timestamp``
    and ``timestamp_str``, which the index replaces; and columns that are not the gateway's.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    freq : str or pandas.DateOffset
        Period, as ``pandas.DataFrame.resample`` takes it: ``"W"`` (weeks to Sunday), ``"W-FRI"``,
        ``"ME"``, ``"QE"``, ``"YE"``. It must consist of whole days, and pandas must have a name for
        it. (Write ``"ME"``, not ``"M"``, which pandas no longer accepts.)

    Returns
    -------
    pandas.DataFrame
        One row per period that has rows, ascending, indexed by ``date`` (a panel by ``code`` and
        ``date``). The date is pandas' label of the period; for the periods above it is the last
        calendar day. Counts are Int64. The result is again a frame for ``df.shortvol``, whose
        windows then count periods. ``check()`` and `days_to_cover` refuse it, because they need
        days. ``attrs`` are kept, and ``attrs["resampled"]`` holds pandas' name of the period, such
        as ``"W-SUN"``.

    Raises
    ------
    NotShortVolumeError
        When no column or index level holds the days.
    ConfigError
        When `freq` is not such a period, a ticker has a day twice, or a row has no day.

    Examples
    --------
    >>> from intake_futu_short import sample
    >>> weeks = sample.frame("US.AAPL").shortvol.resample("W")
    >>> weeks["volume"].tail(2).tolist()
    [222348300, 164894870]
    >>> weeks.shortvol.short_ratio().tail(2).round(5).tolist()
    [0.18445, 0.16388]
    """
    market = market_of(frame)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days("resample")
    labels, spelt = _labels(sessions.days, freq)
    ticker = np.repeat(np.arange(len(sessions.begins)), sessions.lengths)
    new = np.ones(len(labels), dtype=bool)
    new[1:] = (labels[1:] != labels[:-1]) | (ticker[1:] != ticker[:-1])
    begins = np.flatnonzero(new)
    ends = np.append(begins, len(labels))[1:] - 1
    columns: dict[str, Any] = {}
    for column in SHORT_VOLUME.table(market).columns:
        if column.name not in frame.columns or column.name in _DROPPED:
            continue
        values = numbers(frame, column.name)[sessions.order]
        if column.name in _SUMS:
            sums = np.add.reduceat(values, begins) if len(begins) else values
            columns[column.name] = _counts(sums) if column.kind == "count" else sums
        elif column.name in _FIRST:
            columns[column.name] = values[begins]
        elif column.name in _LAST:
            columns[column.name] = values[ends]
        else:  # short_percent: its place; the value follows from the sums
            columns[column.name] = values[begins]
    index: pd.Index[Any] = pd.DatetimeIndex(labels[begins], name="date")
    if sessions.codes is not None:
        codes = sessions.codes.take(begins)
        index = pd.MultiIndex.from_arrays([codes, index], names=["code", "date"])
    periods = pd.DataFrame(columns, index=index)
    if "short_percent" in periods:
        short, volume = numbers(periods, "total_shares_short"), numbers(periods, "volume")
        periods["short_percent"] = quotient(100 * short, volume)
    periods.attrs = copy.deepcopy(frame.attrs)
    if spelt not in _DAYS:
        periods.attrs[RESAMPLED] = spelt
    return periods


def _labels(days: NDArray[np.datetime64], freq: Any) -> tuple[NDArray[np.datetime64], str]:
    """Label of each day's period, and pandas' name of the period."""
    distinct, which = np.unique(days, return_inverse=True)
    try:
        offset = pd.tseries.frequencies.to_offset(freq)
        spelt = offset.freqstr
        pd.tseries.frequencies.to_offset(spelt)  # fails if the offset has no usable name
        _check_length(offset)
        periods = pd.Series(1, index=pd.DatetimeIndex(distinct)).resample(freq).count()
    except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        shown = described(freq)
        # pandas' message quotes the value, so it is shown only if the value may be.
        is_shown = shown == repr(freq)
        raise ConfigError(
            f"{shown} is not a period that this pandas knows, such as 'W', 'ME', 'QE', 'YE'"
            f"{f': {error}' if is_shown else ''}"
        ) from (error if is_shown else None)
    labels = pd.DatetimeIndex(periods.index).as_unit("ns").to_numpy()
    return np.repeat(labels, periods.to_numpy())[which], spelt


def _check_length(offset: pd.DateOffset) -> None:
    """Raise ValueError for hours and the like: only periods of whole days make sense here."""
    midnight = pd.Timestamp("2026-01-01")
    end = midnight + offset
    if end < midnight + pd.Timedelta(days=1) or end != end.normalize():
        raise ValueError("it does not consist of whole days")


def _counts(sums: NDArray[np.float64]) -> Any:
    """Whole numbers as Int64. Fractions, and numbers too large to be exact, stay floats."""
    if are_counts(sums[~np.isnan(sums)]):
        return pd.Series(sums).astype("Int64").array
    return sums
