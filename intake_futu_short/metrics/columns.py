"""The columns that a metric needs, by market, and the Series that it returns. Pure."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.described import described
from intake_futu_short.errors import ConfigError, NotShortVolumeError
from intake_futu_short.metrics.registry import POSITION_ROLES
from intake_futu_short.metrics.sessions import market_of, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ROLES",
    "SHORT_AND_TOTAL_TURNOVER",
    "SHORT_AND_VOLUME",
    "Columns",
    "answer",
    "rows_of",
    "whole_number",
]

ROLES = {
    "US": {
        "short": "total_shares_short",
        "volume": "volume",
        "nasdaq": "nasdaq_shares_short",
        "close": "close_price",
        "last_close": "last_close_price",
    },
    "HK": {
        "short": "short_sell_shares_traded",
        "volume": "shares_traded",
        "short_turnover": "short_sell_turnover",
        "turnover": "turnover",
        "close": "close_price",
        "last_close": "last_close_price",
    },
}
# Columns of the two counts of a ratio, part and whole, by market.
SHORT_AND_VOLUME = {market: (roles["short"], roles["volume"]) for market, roles in ROLES.items()}
SHORT_AND_TOTAL_TURNOVER = {"HK": (ROLES["HK"]["short_turnover"], ROLES["HK"]["turnover"])}


class Columns:
    """Columns of a frame by their role, as floats. Each column is read once.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of one market.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.market = market_of(frame).name
        self._frame = frame
        self._read: dict[str, NDArray[np.float64]] = {}

    def know(self, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Add values of `POSITION_ROLES`, which are not columns, in the order of the frame."""
        self._read.update(values)

    def __getitem__(self, role: str) -> NDArray[np.float64]:
        if role not in self._read:
            self._read[role] = numbers(self._frame, ROLES[self.market][role])
        return self._read[role]

    def lacks(self, needed: Mapping[str, Sequence[str]]) -> bool:
        """Whether the frame lacks something that a metric needs, given its roles by market."""
        roles = needed.get(self.market)
        if roles is None or self._missing(roles):
            return True
        return any(role in POSITION_ROLES and role not in self._read for role in roles)

    def require(self, metric: str, needed: Mapping[str, Sequence[str]]) -> None:
        """Raise NotShortVolumeError when columns are missing, or the market has no such metric."""
        if self.market not in needed:
            raise NotShortVolumeError(
                f"{metric} works for {' and '.join(needed)} frames only; this one is {self.market}"
            )
        names = self._names(needed[self.market])
        missing = self._missing(needed[self.market])
        if missing:
            raise NotShortVolumeError(
                f"{metric} of a {self.market} frame needs the columns {' and '.join(names)}; "
                f"missing: {', '.join(missing)}"
            )

    def _missing(self, roles: Sequence[str]) -> list[str]:
        return [name for name in self._names(roles) if name not in self._frame.columns]

    def _names(self, roles: Sequence[str]) -> list[str]:
        return [ROLES[self.market][role] for role in roles if role not in POSITION_ROLES]


def rows_of(
    short: pd.Series[Any],
    volume: pd.Series[Any],
    *,
    days: Any = None,
    codes: Any = None,
    **columns: Any,
) -> pd.DataFrame:
    """Make a frame out of plain Series, for the functions of `intake_futu_short.metrics`.

    Parameters
    ----------
    short, volume : pandas.Series
        Short shares and volume, on the same index.
    days : array-like, optional
        Day of each value. Metrics with a window need it, unless the index has the days (a
        DatetimeIndex, or a level ``date``).
    codes : str or array-like, optional
        Ticker of each value. By default the index level ``code``; if there is none, all values
        belong to one ticker.
    **columns : array-like
        More columns, named like the gateway's columns for US tickers, such as ``close_price``.

    Returns
    -------
    pandas.DataFrame
        On the index of ``short``, with columns named like the gateway's for US tickers.

    Raises
    ------
    ConfigError
        When the Series are not on the same index.

    Examples
    --------
    >>> import pandas as pd
    >>> from intake_futu_short import metrics
    >>> short, volume = pd.Series([4, 1]), pd.Series([10, 10])
    >>> rows = metrics.rows_of(short, volume, days=["2026-06-18", "2026-06-17"])
    >>> metrics.short_ratio_mean(rows, 2).tolist()
    [0.25, nan]
    """
    given = {"total_shares_short": short, "volume": volume, **columns}
    for name, values in given.items():
        if isinstance(values, pd.Series) and not values.index.equals(short.index):
            raise ConfigError(f"{name} is not on the index of the short shares: reindex it first")
    frame = pd.DataFrame(given, index=short.index)
    if days is None and isinstance(short.index, pd.DatetimeIndex):
        days = short.index
    if days is not None:
        frame["date"] = np.asarray(days)
    if codes is not None:
        frame["code"] = codes if isinstance(codes, str) else np.asarray(codes)
    return frame


def answer(frame: pd.DataFrame, name: str, values: NDArray[np.float64]) -> pd.Series[float]:
    """Make a named Series of values for the frame's rows, with the frame's ``attrs``."""
    named = pd.Series(values, index=frame.index, name=name, dtype=np.float64)
    named.attrs = copy.deepcopy(frame.attrs)
    return named


def whole_number(name: str, value: Any, least: int, most: int | None) -> int:
    """Check a number of trading days."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    span = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ConfigError(
        f"{name} must be a whole number {span} (trading days), not {described(value)}"
    )
