"""Metrics of daily short volume: pure functions of a DataFrame.

S is short shares, V volume, T turnover, ST short turnover. Every function takes the frame of one
ticker or of several (told apart by a column or index level ``code``) with its rows in any order,
and leaves it as it is. It answers a row a row, in the frame's own index and order.
`intake_futu_short.accessor` describes them to users.
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.sessions import Sessions, market_of, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["pooled_short_ratio", "short_ratio", "short_turnover_ratio"]

SHORT_AND_VOLUME = {
    "US": ("total_shares_short", "volume"),
    "HK": ("short_sell_shares_traded", "shares_traded"),
}
SHORT_AND_TOTAL_TURNOVER = {"HK": ("short_sell_turnover", "turnover")}

# Above this a float is no longer sure to hold a count as it is.
_EXACT = 2.0**53


def short_ratio(frame: pd.DataFrame) -> pd.Series[float]:
    """S / V of each row."""
    short, volume = _inputs(frame, "short_ratio", SHORT_AND_VOLUME)
    return _answer(frame, "short_ratio", _divide(short, volume))


def short_turnover_ratio(frame: pd.DataFrame) -> pd.Series[float]:
    """ST / T of each row."""
    short, turnover = _inputs(frame, "short_turnover_ratio", SHORT_AND_TOTAL_TURNOVER)
    return _answer(frame, "short_turnover_ratio", _divide(short, turnover))


def pooled_short_ratio(
    frame: pd.DataFrame, n: int = 20, *, min_periods: int | None = None
) -> pd.Series[float]:
    """ΣS / ΣV of the ticker's ``n`` trading days ending at each row."""
    n = _whole_number("n", n, 1, None)
    least = n if min_periods is None else _whole_number("min_periods", min_periods, 1, n)
    name = f"pooled_short_ratio_{n}"
    short, volume = _inputs(frame, name, SHORT_AND_VOLUME)
    sessions = Sessions.of(frame)
    sessions.refuse_repeated_days(name)
    window = pool(sessions, short[sessions.order], volume[sessions.order], n)
    ratios = np.where(window.days >= least, _divide(window.short, window.volume), np.nan)
    return _answer(frame, name, sessions.to_rows(ratios))


class Pool(NamedTuple):
    """Sums over the window that ends at each sorted row, and its days that have both counts."""

    short: NDArray[Any]
    volume: NDArray[Any]
    days: NDArray[np.int64]


def pool(
    sessions: Sessions, short: NDArray[np.float64], volume: NDArray[np.float64], n: int
) -> Pool:
    """ΣS and ΣV of each window over its days that have both counts, and how many those are."""
    both = np.isfinite(short) & np.isfinite(volume)
    return Pool(
        sessions.window_sum(whole_counts(np.where(both, short, 0.0)), n),
        sessions.window_sum(whole_counts(np.where(both, volume, 0.0)), n),
        sessions.window_sum(both.astype(np.int64), n),
    )


def _divide(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Quotients, NaN where ``whole`` is 0 or missing."""
    quotients = np.full(len(part), np.nan)
    np.divide(part, whole, out=quotients, where=whole > 0)
    return quotients


def whole_counts(values: NDArray[Any]) -> NDArray[Any]:
    """Counts as integers, whose sums are exact; floats that are no counts as they are."""
    if np.all(values == np.floor(values)) and np.all(np.abs(values) < _EXACT):
        return values.astype(np.int64)
    return values


def _inputs(
    frame: pd.DataFrame, metric: str, needed: Mapping[str, tuple[str, str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two columns that a metric needs of a frame of this market."""
    market = market_of(frame).name
    if market not in needed:
        raise NotShortVolumeError(
            f"{metric} is of {' and '.join(needed)} frames only; this one is {market}"
        )
    missing = [name for name in needed[market] if name not in frame.columns]
    if missing:
        raise NotShortVolumeError(
            f"{metric} of a {market} frame needs the columns {' and '.join(needed[market])}; "
            f"missing: {', '.join(missing)}"
        )
    part, whole = needed[market]
    return numbers(frame, part), numbers(frame, whole)


def _answer(frame: pd.DataFrame, name: str, values: NDArray[np.float64]) -> pd.Series[float]:
    return pd.Series(values, index=frame.index, name=name, dtype=np.float64)


def _whole_number(name: str, value: object, least: int, most: int | None) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    span = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ConfigError(f"{name} must be a whole number {span} (trading days), not {value!r}")
