"""What does not add up in rows of daily short volume: a pure function of a DataFrame.

`intake_futu_short.accessor` describes the findings to users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short.metrics import (
    SHORT_AND_TOTAL_TURNOVER,
    SHORT_AND_VOLUME,
    pool,
    whole_counts,
)
from intake_futu_short.security import HK, US
from intake_futu_short.sessions import Sessions, market_of, numbers
from intake_futu_short.table import text_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from intake_futu_short.security import Market

__all__ = ["check"]

# Prices and percentages that differ by less, relatively, differ in representation only.
_NOISE = 1e-9
# The longest gap in days, weekend and holidays included, that is taken for two sessions in a row.
_NEIGHBOURS = 5


def check(frame: pd.DataFrame) -> pd.DataFrame:
    """List what does not add up, a row a finding, by ticker and day."""
    market = market_of(frame)
    sessions = Sessions.of(frame)
    rows = frame.take(sessions.order)
    # Of a repeated day the row that came first stands for it where several days are looked at.
    days = np.flatnonzero(sessions.gaps != 0)
    rows_a_day = np.diff(days, append=len(rows)).astype(np.float64)
    found = [
        *_row_findings(rows, market),
        _differing("duplicate_day", days, rows_a_day, np.ones(len(days))),
        *_window_findings(rows.take(days), market, days),
    ]
    where = np.concatenate([finding.rows for finding in found])
    by_row = np.argsort(where, kind="stable")
    where = where[by_row]
    codes = sessions.codes
    if codes is None:
        codes = pd.Index([frame.attrs.get("code")] * len(rows), dtype=object)
    what = np.repeat([finding.what for finding in found], [len(f.rows) for f in found])[by_row]
    reported = np.concatenate([finding.reported for finding in found])[by_row]
    computed = np.concatenate([finding.computed for finding in found])[by_row]
    return pd.DataFrame(
        {
            "date": sessions.days[where],
            "code": pd.Series(codes.take(where).to_numpy(dtype=object), dtype=text_dtype()),
            "what": pd.Series(what.astype(object), dtype=text_dtype()),
            "reported": reported,
            "computed": computed,
            "difference": reported - computed,
        }
    )


class _Finding(NamedTuple):
    what: str
    rows: NDArray[np.intp]
    reported: NDArray[np.float64]
    computed: NDArray[np.float64]


def _differing(
    what: str,
    rows: NDArray[np.intp],
    reported: NDArray[np.float64],
    computed: NDArray[np.float64],
    tolerance: float = 0.0,
) -> _Finding:
    """Keep the rows where both numbers are known and differ by more than a relative tolerance."""
    # A comparison with NaN is false.
    wrong = np.abs(reported - computed) > tolerance * np.abs(computed)
    return _Finding(what, rows[wrong], reported[wrong], computed[wrong])


def _exceeding(what: str, part: NDArray[np.float64], whole: NDArray[np.float64]) -> _Finding:
    wrong = np.flatnonzero(part > whole)
    return _Finding(what, wrong, part[wrong], whole[wrong])


def _row_findings(rows: pd.DataFrame, market: Market) -> Iterator[_Finding]:
    """Check each row by itself; a column that is missing has nothing to check."""
    short, volume = (numbers(rows, name) for name in SHORT_AND_VOLUME[market.name])
    if market is US:
        every = np.arange(len(rows))
        venues = numbers(rows, "nasdaq_shares_short") + numbers(rows, "nyse_shares_short")
        yield _differing("total_shares_short", every, short, venues)
        percent = _truncated_percent(short, volume, decimals=3)
        yield _differing("short_percent", every, numbers(rows, "short_percent"), percent, _NOISE)
    yield _exceeding("short_above_volume", short, volume)
    if market is HK:
        short_turnover, turnover = (numbers(rows, name) for name in SHORT_AND_TOTAL_TURNOVER["HK"])
        yield _exceeding("short_turnover_above_turnover", short_turnover, turnover)


def _window_findings(
    rows: pd.DataFrame, market: Market, where: NDArray[np.intp]
) -> Iterator[_Finding]:
    """Check rows that are sorted and have no day twice against the rows before them."""
    sessions = Sessions.of(rows)
    near = (sessions.gaps > 0) & (sessions.gaps <= _NEIGHBOURS)
    last_close, close = numbers(rows, "last_close_price"), numbers(rows, "close_price")
    close_before = np.where(near, np.roll(close, 1), np.nan)
    yield _differing("last_close_price", where, last_close, close_before, _NOISE)
    if market is US:
        short, volume = (numbers(rows, name) for name in SHORT_AND_VOLUME["US"])
        window = pool(sessions, short, volume, 20)
        joined = np.abs(last_close - close_before) <= _NOISE * np.abs(close_before)
        unbroken = sessions.window_sum(joined.astype(np.int64), 19) == 19
        percent = _truncated_percent(window.short, window.volume, decimals=2)
        computed = np.where(unbroken & (window.days == 20), percent, np.nan)
        reported = numbers(rows, "daily_trade_avg_ratio")
        yield _differing("daily_trade_avg_ratio", where, reported, computed, _NOISE)


def _truncated_percent(
    part: NDArray[Any], whole: NDArray[Any], *, decimals: int
) -> NDArray[np.float64]:
    """100 * part / whole, cut off after some decimals; NaN where ``whole`` is 0 or missing."""
    percent = np.full(len(part), np.nan)
    some = (whole > 0) & np.isfinite(part)
    # Python's own integers: a float quotient may fall on the wrong side of a decimal.
    parts, wholes = (
        whole_counts(part[some]).astype(object),
        whole_counts(whole[some]).astype(object),
    )
    percent[some] = (parts * 10 ** (decimals + 2) // wholes).astype(np.float64) / 10**decimals
    return percent
