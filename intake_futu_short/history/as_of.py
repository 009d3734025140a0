"""A ticker's history as it was known at a moment: later revisions undone. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short import calendars
from intake_futu_short.history.join import with_values
from intake_futu_short.history.ticker_history import DAY, FIRST_SEEN, ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intake_futu_short.calls import Table
    from intake_futu_short.history.ticker_history import Revision, TickerHistory
    from intake_futu_short.security import Market

    Values = dict[str, Any]

__all__ = ["known_at", "public_s", "reports_known"]


def known_at(
    history: TickerHistory, moment_s: float, table: Table, market: Market
) -> TickerHistory:
    """The rows and reports that had been seen by a moment, with the values known then.

    A row without `FIRST_SEEN` counts as seen at 16:00 market time of its day. If rows are reports,
    it counts as seen at 16:00 of the day on which it was published (`public_s`). Prices have
    today's adjustment, as in `history`; a row that was withdrawn before an adjustment has none.

    Parameters
    ----------
    history : TickerHistory
        The present history.
    moment_s : float
        Unix seconds.
    table : Table
        The table of the columns.
    market : Market
        The security's market.

    Returns
    -------
    TickerHistory
        `history` with the `rows`, `reports` and `revisions` of that moment.
    """
    is_seen = _is_seen(history.rows, moment_s, table)
    rows = history.rows if is_seen.all() else history.rows[is_seen].reset_index(drop=True)
    undone = [one for one in history.revisions if one.seen_s > moment_s]
    if undone:
        counts, returned = _before(undone, history.adjusted_s, table)
        returned = {
            day: row for day, row in returned.items() if _row_seen_s(row, table) <= moment_s
        }
        rows = _with_rows(with_values(rows, counts), returned)
    return replace(
        history,
        rows=rows,
        reports=tuple(reports_known(history.reports, moment_s, table, market)),
        revisions=tuple(one for one in history.revisions if one.seen_s <= moment_s),
    )


# -- rows -----------------------------------------------------------------------------------------


def _is_seen(rows: pd.DataFrame, moment_s: float, table: Table) -> Any:
    """Which rows had been seen by a moment."""
    seen_s = rows[FIRST_SEEN].to_numpy()
    if table.are_reports:
        published = [public_s(day, table) for day in rows[DAY]]
        return np.where(np.isnan(seen_s), published, seen_s) <= moment_s
    # Days ascend, so every row before this position had closed.
    closed = rows[DAY].searchsorted(_last_closed_day(moment_s, table.market), side="right")
    return np.where(np.isnan(seen_s), np.arange(len(rows)) < closed, seen_s <= moment_s)


@lru_cache(maxsize=64)
def _last_closed_day(moment_s: float, market: Market) -> str:
    """The newest day whose 16:00 is not after a moment."""
    day = dt.date.fromisoformat(market.day(int(moment_s)))
    if calendars.close_s(market, day) > moment_s:
        day -= dt.timedelta(days=1)
    return day.isoformat()


def _row_seen_s(row: Values, table: Table) -> float:
    seen_s: float | None = row[FIRST_SEEN]
    return public_s(row[DAY], table) if seen_s is None else seen_s


def public_s(day: str, table: Table) -> float:
    """When a row without `FIRST_SEEN` counts as seen, Unix seconds."""
    if table.are_reports:
        return _published_s(day, table.market)
    return calendars.close_s(table.market, _day(day))


def _before(
    undone: list[Revision], adjusted_s: float | None, table: Table
) -> tuple[dict[str, Values], dict[str, Values]]:
    """What later revisions took away, by day: values of present rows, and whole rows."""
    values: dict[str, Values] = {}
    rows: dict[str, Values] = {}
    for one in reversed(undone):
        if one.column == ROW:
            # What the gateway sent for this day afterwards was not known yet.
            values.pop(one.day, None)
            rows[one.day] = dict(one.old)
            if adjusted_s is not None and adjusted_s >= one.seen_s:
                rows[one.day].update(dict.fromkeys(table.price_names))
        elif one.day in rows:
            rows[one.day][one.column] = one.old
        else:
            values.setdefault(one.day, {})[one.column] = one.old
    return values, rows


def _with_rows(rows: pd.DataFrame, more: Mapping[str, Values]) -> pd.DataFrame:
    if not more:
        return rows
    columns = {
        name: pd.Series([row[name] for row in more.values()], dtype=rows[name].dtype)
        for name in rows.columns
    }
    others = rows[~rows[DAY].isin(list(more))]
    parts = [others, pd.DataFrame(columns)] if len(others) else [pd.DataFrame(columns)]
    return pd.concat(parts).sort_values(DAY, ignore_index=True)


# -- reports --------------------------------------------------------------------------------------


def reports_known(
    reports: Iterable[Mapping[str, Any]], moment_s: float, table: Table, market: Market
) -> Iterable[Mapping[str, Any]]:
    """Reports that the store had seen, or that had been published.

    A second report of the same day is a correction. No rule says when a correction is published, so
    it counts from the moment at which it was seen.
    """
    names = [attr.name for attr in table.attrs if attr.kind == "day"]
    days: set[Any] = set()
    for one in reports:
        day = next((one.get(name) for name in names), None)
        published_s = _published_s(day, market) if day and day not in days else np.inf
        days.add(day)
        seen_s = one.get(FIRST_SEEN)
        if min(np.inf if seen_s is None else seen_s, published_s) <= moment_s:
            yield one


@lru_cache(maxsize=4096)
def _published_s(as_of: str, market: Market) -> float:
    """When a report was published, by the rule of its publisher."""
    try:
        return calendars.close_s(market, calendars.published(market, _day(as_of)))
    except (ValueError, OverflowError):  # the gateway's text need not be a day
        return np.inf


@lru_cache(maxsize=4096)
def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)
