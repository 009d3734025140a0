"""Two writers' histories of one ticker → one that has lost nothing of either. Pure.

On a local disk a lock keeps writers apart, and this is not needed. On an object store two may have
gone out from the same file, and the second to publish finds that the first has been there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.history.ticker_history import DAY, PRICE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intake_futu_short.calls import Table
    from intake_futu_short.history.ticker_history import TickerHistory

__all__ = ["merge"]


def merge(ours: TickerHistory, theirs: TickerHistory, table: Table) -> TickerHistory:
    """Join two histories of one ticker.

    Of a day that both have, the one that was checked later counts; ours if neither was. A day
    that only one has is kept:

    - When the prices of the oldest common day agree, both are of one price adjustment, and the days
      are put together.
    - When they don't, or no day is common, and the later one is complete, the other's days stay
      without their prices, which go to ``superseded``.
    - When they don't and the later one is not complete, the earlier one stays as it is. The next
      refresh finds out that its prices were adjusted, and walks.

    Parameters
    ----------
    ours, theirs : TickerHistory
        What is to be published, and what somebody else has published meanwhile.
    table : Table
        Whose columns.
    """
    theirs_is_later = (theirs.checked_s or 0.0) > (ours.checked_s or 0.0)
    later, earlier = (theirs, ours) if theirs_is_later else (ours, theirs)
    common = sorted(set(later.rows[DAY]) & set(earlier.rows[DAY]))
    is_one_adjustment = _is_one_adjustment(later.rows, earlier.rows, common, table)
    reports = _reports(earlier, later, table)
    if not is_one_adjustment and not later.is_complete and len(earlier.rows):
        return replace(earlier, reports=reports)

    missing = earlier.rows[~earlier.rows[DAY].isin(set(later.rows[DAY]))]
    superseded = [one.superseded for one in (earlier, later) if one.superseded is not None]
    if len(missing) and not is_one_adjustment:
        superseded.insert(0, missing[[DAY, *table.price_names]])
        missing = missing.assign(**dict.fromkeys(table.price_names, np.nan))
    is_complete = later.is_complete or (is_one_adjustment and earlier.is_complete)
    walked = [one.walked_s for one in (earlier, later) if one.walked_s is not None]
    return replace(
        later,
        rows=_ascending([missing, later.rows]),
        is_complete=is_complete,
        cursor=None if is_complete else _oldest(earlier, later).cursor,
        walked_s=max(walked, default=None),
        reports=reports,
        superseded=_ascending(superseded) if superseded else None,
    )


def _is_one_adjustment(
    one: pd.DataFrame, other: pd.DataFrame, days: list[str], table: Table
) -> bool:
    """Whether the prices of the oldest common day on which both have some agree.

    An adjustment changes every older price. Prices that differ on a later day alone were revised.
    """
    if not days:
        return False
    mine, its = (
        frame.set_index(DAY).loc[days, table.price_names].to_numpy(dtype=np.float64)
        for frame in (one, other)
    )
    is_missing = np.isnan(mine) | np.isnan(its)
    agrees = np.isclose(mine, its, rtol=PRICE_TOLERANCE, atol=0.0) | is_missing
    # An adjustment leaves a price of 0 as it is.
    tells = (~is_missing & ((mine != 0) | (its != 0))).any(axis=1)
    return bool(agrees[tells][:1].all())


def _ascending(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all, ascending; of a day that comes again the last one."""
    frames = [frame for frame in frames if len(frame)] or frames[-1:]
    together = frames[0] if len(frames) == 1 else pd.concat(frames)
    return together.drop_duplicates(DAY, keep="last").sort_values(DAY, ignore_index=True)


def _oldest(one: TickerHistory, other: TickerHistory) -> TickerHistory:
    """The one that reaches farther back, from whose cursor a walk goes on."""
    if not len(one.rows) or not len(other.rows):
        return one if len(one.rows) else other
    return one if one.rows[DAY].iloc[0] < other.rows[DAY].iloc[0] else other


def _reports(
    earlier: TickerHistory, later: TickerHistory, table: Table
) -> tuple[Mapping[str, Any], ...]:
    """Every report of both, once, by day."""
    days = [attr.name for attr in table.attrs if attr.kind == "day"]
    every = {tuple(one.values()): one for one in (*earlier.reports, *later.reports)}
    return tuple(sorted(every.values(), key=lambda one: [one[day] or "" for day in days]))
