"""Checks whether rows of daily short volume add up: a pure function of a DataFrame.

`intake_futu_short.accessor` describes the findings to users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short import calendars
from intake_futu_short.metrics.columns import SHORT_AND_TOTAL_TURNOVER, SHORT_AND_VOLUME
from intake_futu_short.metrics.sessions import Sessions, market_of, numbers, refuse_periods
from intake_futu_short.metrics.window_metrics import window_sums
from intake_futu_short.schema import text_dtype
from intake_futu_short.security import HK, US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from intake_futu_short.security import Market

__all__ = ["check"]

# Prices and percentages with a smaller relative difference differ only by floating-point error.
_NOISE = 1e-9
# Two rows count as consecutive sessions if they are at most this many calendar days apart.
_NEIGHBOURS = 5
_INT64 = 2**63 - 1


# Columns that the checks compare, by market.
_COMPARED = {
    "US": (
        ("total_shares_short", "nasdaq_shares_short", "nyse_shares_short"),
        ("short_percent", "total_shares_short", "volume"),
        ("total_shares_short", "volume"),
        ("last_close_price", "close_price"),
    ),
    "HK": (
        SHORT_AND_VOLUME["HK"],
        SHORT_AND_TOTAL_TURNOVER["HK"],
        ("last_close_price", "close_price"),
    ),
}


def check(frame: pd.DataFrame) -> pd.DataFrame:
    """List the values that contradict one another: one row per finding, by ticker and day."""
    market = market_of(frame)
    refuse_periods(frame, "check")
    sessions = Sessions.of(frame)
    rows = frame.take(sessions.order)
    # Checks over several days use the first row of a day that is there more than once.
    first_rows = np.flatnonzero(sessions.gaps != 0)
    rows_a_day = np.diff(first_rows, append=len(rows)).astype(np.float64)
    found = [
        _misdated(rows, sessions, market),
        *_row_findings(rows, market),
        _differing("duplicate_day", first_rows, rows_a_day, np.ones(len(first_rows))),
        *_window_findings(rows.take(first_rows), market, first_rows),
        *_calendar_findings(sessions, market, first_rows, rows_a_day),
        _nothing_to_check(rows, sessions, market),
    ]
    row = np.concatenate([finding.rows for finding in found])
    day = np.concatenate([sessions.days[f.rows] if f.days is None else f.days for f in found])
    # Findings of the same row stay in the order of the checks.
    order = np.lexsort((row, day, sessions.first[row]))
    row, day = row[order], day[order]
    codes = sessions.codes
    if codes is None:
        codes = pd.Index([frame.attrs.get("code")] * len(rows), dtype=object)
    what = np.repeat([finding.what for finding in found], [len(f.rows) for f in found])[order]
    reported = np.concatenate([finding.reported for finding in found])[order]
    computed = np.concatenate([finding.computed for finding in found])[order]
    return pd.DataFrame(
        {
            "date": day,
            "code": pd.Series(codes.take(row).to_numpy(dtype=object), dtype=text_dtype()),
            "what": pd.Series(what.astype(object), dtype=text_dtype()),
            "reported": reported,
            "computed": computed,
            "difference": reported - computed,
        }
    )


class _Finding(NamedTuple):
    """Numbers that disagree, at sorted rows. Their days are those of the rows unless given."""

    what: str
    rows: NDArray[np.intp]
    reported: NDArray[np.float64]
    computed: NDArray[np.float64]
    days: NDArray[np.datetime64] | None = None


def _differing(
    what: str,
    rows: NDArray[np.intp],
    reported: NDArray[np.float64],
    computed: NDArray[np.float64],
    *,
    relative: float = 0.0,
    absolute: float = 0.0,
) -> _Finding:
    """Keep the rows where both numbers are known and differ by more than a tolerance."""
    # A comparison with NaN is false.
    wrong = np.abs(reported - computed) > relative * np.abs(computed) + absolute
    return _Finding(what, rows[wrong], reported[wrong], computed[wrong])


def _exceeding(
    what: str, part: NDArray[np.float64], whole: NDArray[np.float64], relative: float
) -> _Finding:
    wrong = np.flatnonzero(part > whole * (1 + relative))
    return _Finding(what, wrong, part[wrong], whole[wrong])


def _imprecision(rows: pd.DataFrame, *names: str) -> float:
    """Relative error that columns of less than 64 bits bring into a comparison; else 0."""
    most = 0.0
    for name in names:
        if name in rows.columns:
            dtype = getattr(rows[name].dtype, "numpy_dtype", rows[name].dtype)
            if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8:
                most = max(most, float(np.finfo(dtype).eps) / 2)
    # Each number has this error, and a sum or quotient of two has the error of both.
    return 4 * most


def _nothing_to_check(rows: pd.DataFrame, sessions: Sessions, market: Market) -> _Finding:
    """Find tickers without any value to compare, because columns are missing or empty."""
    none = np.zeros(len(sessions.begins), dtype=np.int64)
    known = {
        name: np.add.reduceat(~np.isnan(numbers(rows, name)), sessions.begins, dtype=np.int64)
        if len(rows)
        else none
        for name in {name for names in _COMPARED[market.name] for name in names}
    }
    # A check can compare values if each of its columns has a value, even on different days.
    every = [np.min([known[name] for name in names], axis=0) for names in _COMPARED[market.name]]
    empty = np.flatnonzero(np.max(every, axis=0) == 0)
    return _Finding(
        "nothing_to_check",
        (sessions.begins + sessions.lengths - 1)[empty],
        np.zeros(len(empty)),
        sessions.lengths[empty].astype(np.float64),
    )


def _misdated(rows: pd.DataFrame, sessions: Sessions, market: Market) -> _Finding:
    """Find rows whose timestamp lies outside their own day."""
    reported = _seconds(rows)
    midnight = _midnights(sessions.days, market)
    noise = _imprecision(rows, "timestamp") * midnight
    # A comparison with NaN is false.
    off = np.flatnonzero((reported < midnight) | (reported > midnight))
    end = _midnights(sessions.days[off] + np.timedelta64(1, "D"), market)
    before, after = reported[off] < (midnight - noise)[off], reported[off] >= end + noise[off]
    wrong = off[before | after]
    return _Finding("timestamp", wrong, reported[wrong], midnight[wrong])


def _seconds(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Timestamps as Unix seconds; NaN if a user has converted the column to something else."""
    if "timestamp" not in rows.columns or rows["timestamp"].dtype.kind not in "iuf":
        return np.full(len(rows), np.nan)
    return numbers(rows, "timestamp")


def _midnights(days: NDArray[np.datetime64], market: Market) -> NDArray[np.float64]:
    distinct, which = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    seconds = [market.midnight(day) for day in np.datetime_as_string(distinct)]
    return np.array(seconds, dtype=np.float64)[which]


def _row_findings(rows: pd.DataFrame, market: Market) -> Iterator[_Finding]:
    """Check each row by itself. A missing column is not checked."""
    counts = SHORT_AND_VOLUME[market.name]
    short, volume = (numbers(rows, name) for name in counts)
    off = _imprecision(rows, *counts)
    if market is US:
        every = np.arange(len(rows))
        venues = ("nasdaq_shares_short", "nyse_shares_short")
        total = numbers(rows, venues[0]) + numbers(rows, venues[1])
        exact = _imprecision(rows, counts[0], *venues)
        yield _differing("total_shares_short", every, short, total, relative=exact)
        reported, own = numbers(rows, "short_percent"), _imprecision(rows, "short_percent")
        percent = _truncated_percent(short, volume, reported, decimals=3, precision=own)
        near = _NOISE + off + own
        # Counts with a small error can change the last decimal by one.
        last = 1e-3 if off else 0.0
        yield _differing("short_percent", every, reported, percent, relative=near, absolute=last)
    yield _exceeding("short_above_volume", short, volume, off)
    if market is HK:
        names = SHORT_AND_TOTAL_TURNOVER["HK"]
        short_turnover, turnover = (numbers(rows, name) for name in names)
        off = _imprecision(rows, *names)
        yield _exceeding("short_turnover_above_turnover", short_turnover, turnover, off)


def _window_findings(
    rows: pd.DataFrame, market: Market, where: NDArray[np.intp]
) -> Iterator[_Finding]:
    """Check each row against the rows before it. Rows must be sorted, with no day twice."""
    sessions = Sessions.of(rows)
    near = (sessions.gaps > 0) & (sessions.gaps <= _NEIGHBOURS)
    last_close, close = numbers(rows, "last_close_price"), numbers(rows, "close_price")
    close_before = np.where(near, np.roll(close, 1), np.nan)
    alike = _NOISE + _imprecision(rows, "last_close_price", "close_price")
    yield _differing("last_close_price", where, last_close, close_before, relative=alike)
    if market is US:
        short, volume = (numbers(rows, name) for name in SHORT_AND_VOLUME["US"])
        both = ~np.isnan(short) & ~np.isnan(volume)
        part, days = window_sums(sessions, np.where(both, short, np.nan), 20)
        whole, _ = window_sums(sessions, np.where(both, volume, np.nan), 20)
        joined = np.abs(last_close - close_before) <= alike * np.abs(close_before)
        _, unbroken = window_sums(sessions, np.where(joined, 1.0, np.nan), 19)
        reported = numbers(rows, "daily_trade_avg_ratio")
        own = _imprecision(rows, "daily_trade_avg_ratio")
        percent = _truncated_percent(part, whole, reported, decimals=2, precision=own)
        computed = np.where((unbroken == 19) & (days == 20), percent, np.nan)
        of_counts = _imprecision(rows, *SHORT_AND_VOLUME["US"])
        noise = _NOISE + of_counts + own
        cut = 1e-2 if of_counts else 0.0
        yield _differing(
            "daily_trade_avg_ratio", where, reported, computed, relative=noise, absolute=cut
        )


def _calendar_findings(
    sessions: Sessions,
    market: Market,
    first_rows: NDArray[np.intp],
    rows_a_day: NDArray[np.float64],
) -> Iterator[_Finding]:
    """Compare each ticker's days with the market's calendar, if there is one for these days."""
    days = sessions.days[first_rows]
    known = (days >= calendars.FIRST.to_numpy()) & (days <= calendars.LAST.to_numpy())
    where, days, rows_a_day = first_rows[known], days[known], rows_a_day[known]
    if not len(days):
        return
    calendar = calendars.sessions(market, pd.Timestamp(days.min()), pd.Timestamp(days.max()))
    if calendar is None:
        return
    # How many sessions there are before each day, and up to it.
    before = calendar.searchsorted(days)
    up_to = calendar.searchsorted(days, side="right")
    closed = before == up_to
    zeros = np.zeros(int(closed.sum()))
    yield _Finding("no_session", where[closed], rows_a_day[closed], zeros)
    follows = np.diff(sessions.first[where], prepend=-1) == 0
    absent = np.where(follows, before - np.roll(up_to, 1), 0)
    position = np.arange(absent.sum()) - np.repeat(np.cumsum(absent) - absent, absent)
    missing = np.repeat(before - absent, absent) + position
    ones = np.ones(len(missing))
    yield _Finding(
        "missing_day", np.repeat(where, absent), 0 * ones, ones, calendar.to_numpy()[missing]
    )


def _truncated_percent(
    part: NDArray[Any],
    whole: NDArray[Any],
    reported: NDArray[np.float64],
    *,
    decimals: int,
    precision: float = 0.0,
) -> NDArray[np.float64]:
    """100 * part / whole, truncated to `decimals`; NaN where ``whole`` is 0 or missing.

    If the exact quotient has no further decimals, truncation in floating point may make the last
    decimal one too small (32.299 for 32.3). If exactly this was reported, it is returned, so that
    it does not count as a difference.
    """
    scale = 10 ** (decimals + 2)
    percent, no_more = np.full(len(part), np.nan), np.zeros(len(part), dtype=bool)
    # Computed in integers, because a float quotient may fall on the wrong side of a decimal.
    some = (whole > 0) & np.isfinite(part)
    fits = some & (np.abs(part) < _INT64 // scale) & (whole < _INT64)
    fits[fits] = (part[fits] % 1 == 0) & (whole[fits] % 1 == 0)
    cut, rest = np.divmod(part[fits].astype(np.int64) * scale, whole[fits].astype(np.int64))
    percent[fits], no_more[fits] = cut / 10**decimals, rest == 0
    for i in np.flatnonzero(some & ~fits):
        (a, b), (c, d) = (number[i].item().as_integer_ratio() for number in (part, whole))
        cut, rest = divmod(a * d * scale, b * c)
        percent[i], no_more[i] = cut / 10**decimals, rest == 0
    less = percent - 0.1**decimals
    no_more &= (percent > 0) & (np.abs(reported - less) <= (_NOISE + precision) * np.abs(less))
    return np.where(no_more, reported, percent)
