"""Which days of tickers a figure shows. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from intake_futu_short.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intake_futu_short.plotting.figure_data import Ticker

__all__ = ["LAST", "NoRowsError", "share_dates", "shown"]

# Trading days shown by default: about a year.
LAST = 250


class NoRowsError(ConfigError):
    """The days that a figure is to show have no rows."""


def shown(
    tickers: Sequence[Ticker],
    start: str | None,
    end: str | None,
    last: int | Literal["all"] | None,
    *,
    together: bool,
) -> list[Ticker]:
    """Cut tickers down to the days to show. Windows were computed from all days before.

    Parameters
    ----------
    tickers : sequence of Ticker
        With all their days.
    start, end : str, optional
        Days, ``YYYY-MM-DD``, both included.
    last : int or "all", optional
        How many of the newest of these days; None means `LAST` if there is no ``start``.
    together : bool
        Show the same days for all tickers. Otherwise each ticker has its own days if the newest
        common ones would leave a ticker with few or none.

    Raises
    ------
    NoRowsError
        When no ticker has a row in these days.
    """
    if last is None:
        last = "all" if start else LAST
    within = [t.days.loc[start:end] for t in tickers]
    if (start or end) and not any(len(days) for days in within):
        raise NoRowsError(_no_rows(tickers, start, end))
    whole = [replace(t, days=days) for t, days in zip(tickers, within, strict=True)]
    if last == "all":
        return whole
    newest = _union(within)[-last:]
    at_once = [replace(t, days=t.days.loc[newest[0] :] if len(newest) else t.days) for t in whole]
    if together or (all(len(t.days) for t in at_once) and share_dates(at_once)):
        return at_once
    return [replace(t, days=t.days.iloc[-last:]) for t in whole]


def _union(tables: Iterable[pd.DataFrame]) -> pd.DatetimeIndex:
    """All days of several tickers, ascending."""
    return pd.DatetimeIndex(np.unique(np.concatenate([days.index.to_numpy() for days in tables])))


def _no_rows(tickers: Sequence[Ticker], start: str | None, end: str | None) -> str:
    asked = [*([f"from {start}"] if start else []), *([f"up to {end}"] if end else [])]
    days = _union(t.days for t in tickers)
    if not len(days):
        return f"no rows {' '.join(asked)}: there are none of any day"
    return (
        f"no rows {' '.join(asked)}: those at hand are of {len(days):,} {tickers[0].step.several}, "
        f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
    )


def share_dates(tickers: Sequence[Ticker]) -> bool:
    """Whether all tickers can share dates without more blank than days for any of them."""
    spans = [(t.days.index[0], t.days.index[-1]) for t in tickers if len(t.days)]
    if not spans:
        return True
    whole = max(last for _, last in spans) - min(first for first, _ in spans)
    least = min(last - first for first, last in spans)
    return bool(whole <= 2 * max(least, pd.Timedelta(days=7)))
