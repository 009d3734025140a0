"""Days taken together to weeks, months or other periods: a pure function of a DataFrame."""

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
# Periods of these are the days themselves.
_DAYS = {"D", "B", "C", "24h"}


def resample(frame: pd.DataFrame, freq: Any) -> pd.DataFrame:
    """Take the days of each week, month or other period together.

    Share counts and turnovers are summed. ``open_price`` and ``last_close_price`` are those of the
    ticker's first row in the period, ``close_price`` that of its last: with ``return_1d`` this
    gives the return over the period. ``short_percent`` (US) is computed from the sums,
    100 · ΣS / ΣV, and not truncated as the gateway's is; no ratio is averaged.

    A value that is missing on one day is missing for the period: a sum without it would look like
    a whole one. Sessions of which the frame has no row are not known to be missing. The first and
    the last period hold what the frame has of them. Share counts are raw: a period across a split
    adds shares of two sizes.

    Not kept: ``daily_trade_avg_ratio``, which is of 20 days whatever the period;
    ``timestamp`` and ``timestamp_str``, for which the index stands; columns that are not the
    gateway's.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one ticker or of several; ``df`` of ``df.shortvol``.
    freq : str or pandas.DateOffset
        Period, as `pandas.DataFrame.resample` takes it: ``"W"`` (weeks to Sunday), ``"W-FRI"``,
        ``"ME"``, ``"QE"``, ``"YE"``; of whole days, and one that pandas has such a name for. (Write
        ``"ME"`` and not ``"M"``, which pandas gave up.)

    Returns
    -------
    pandas.DataFrame
        Ascending, a row a period with rows, indexed by ``date`` (of a panel ``code`` and ``date``):
        pandas' label of the period, of those above its last calendar day. Counts are Int64. It is
        again a frame for ``df.shortvol``, whose windows then count periods; ``check()`` and
        `days_to_cover`, which are of days, refuse it. ``attrs`` are kept, and
        ``attrs["resampled"]`` says the period as pandas spells it, such as ``"W-SUN"``.

    Raises
    ------
    NotShortVolumeError
        When no column or index level says the days.
    ConfigError
        When it is no such period, a ticker has a day twice, or a row has no day.

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
    """Label of the period of each day; and the period as pandas spells it."""
    distinct, which = np.unique(days, return_inverse=True)
    try:
        offset = pd.tseries.frequencies.to_offset(freq)
        spelt = offset.freqstr
        pd.tseries.frequencies.to_offset(spelt)  # not every offset has a name to be known by
        _check_length(offset)
        periods = pd.Series(1, index=pd.DatetimeIndex(distinct)).resample(freq).count()
    except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        shown = described(freq)
        # Words of pandas quote it.
        is_shown = shown == repr(freq)
        raise ConfigError(
            f"{shown} is not a period that this pandas knows, such as 'W', 'ME', 'QE', 'YE'"
            f"{f': {error}' if is_shown else ''}"
        ) from (error if is_shown else None)
    labels = pd.DatetimeIndex(periods.index).as_unit("ns").to_numpy()
    return np.repeat(labels, periods.to_numpy())[which], spelt


def _check_length(offset: pd.DateOffset) -> None:
    """Raise ValueError for hours and the like: pandas would make a row of each, days or none."""
    midnight = pd.Timestamp("2026-01-01")
    end = midnight + offset
    if end < midnight + pd.Timedelta(days=1) or end != end.normalize():
        raise ValueError("it is not one of whole days")


def _counts(sums: NDArray[np.float64]) -> Any:
    """Whole numbers as Int64; counts that are none, or too large to be exact, as they are."""
    if are_counts(sums[~np.isnan(sums)]):
        return pd.Series(sums).astype("Int64").array
    return sums
