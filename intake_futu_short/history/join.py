"""Compares and unites two sets of one ticker's rows, and merges two histories. Pure.

A refresh and the merging of two writers use the same rules: `is_one_basis` says whether both sets
have the same price adjustment, and `unite` combines them. Frames have the columns and dtypes of
`TickerHistory.rows`, ascending by day, each day once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.history import reports, revisions
from intake_futu_short.history.ticker_history import (
    DAY,
    FIRST_SEEN,
    PRICE_TOLERANCE,
    ROW,
    TickerHistory,
    common_days,
    days_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intake_futu_short.calls import Table

__all__ = [
    "Comparison",
    "blank",
    "compare",
    "in_order",
    "is_one_basis",
    "merge",
    "unite",
    "with_values",
    "withdrawn_days",
]


# -- compared -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """What the rows of common days show about two sets.

    Attributes
    ----------
    is_same_basis : bool or None
        Whether both have the same price adjustment, judged by the oldest common row that can tell.
        None when no common row can.
    has_common : bool
        Whether a day is in both.
    revised : tuple of str
        Common days on which anything but a price differs.
    repriced : tuple of str
        Common days on which a price differs.
    """

    is_same_basis: bool | None
    has_common: bool
    revised: tuple[str, ...]
    repriced: tuple[str, ...]


def compare(held: pd.DataFrame, sent: pd.DataFrame, table: Table) -> Comparison:
    """Compare every common row: prices within 1e-9 of their size, all else exactly.

    A value missing on both sides is equal. Only a price that is present and not 0 on both sides
    can tell the price adjustment: an adjustment changes no missing price and no 0.
    """
    days, in_held, in_sent = common_days(held, sent)
    if not len(days):
        return Comparison(is_same_basis=None, has_common=False, revised=(), repriced=())
    revised, repriced, tells, adjusted = np.zeros((4, len(days)), dtype=bool)
    for column in table.columns:
        if column.kind == "price":
            ours = held[column.name].to_numpy()[in_held]
            theirs = sent[column.name].to_numpy()[in_sent]
            differs = ~_close(ours, theirs)
            can_tell = _is_price(ours) & _is_price(theirs)
            repriced |= differs
            tells |= can_tell
            adjusted |= can_tell & differs
        elif column.kind != "day":
            ours, theirs = (
                revisions.comparable(rows[column.name], column.kind)[places]
                for rows, places in ((held, in_held), (sent, in_sent))
            )
            revised |= revisions.differ(ours, theirs)
    telling = np.flatnonzero(tells)
    return Comparison(
        is_same_basis=None if not len(telling) else not adjusted[telling[0]],
        has_common=len(days) > 0,
        revised=tuple(map(str, days[revised])),
        repriced=tuple(map(str, days[repriced])),
    )


def is_one_basis(
    comparison: Comparison, held: pd.DataFrame, sent: pd.DataFrame, table: Table
) -> bool:
    """Whether the rows held that were not sent have the price adjustment of the rows sent.

    The oldest common row that can tell decides, since an adjustment changes every older price. If
    none can, the answer is yes only if there is a common row and no price that could differ.
    """
    if comparison.is_same_basis is not None:
        return comparison.is_same_basis
    others = held.loc[~held[DAY].isin(sent[DAY]), table.price_names]
    return comparison.has_common and not others.notna().any(axis=None)


def withdrawn_days(held: pd.DataFrame, sent: pd.DataFrame) -> tuple[str, ...]:
    """Days held between the oldest and the newest day sent that were not sent again."""
    if not len(sent):
        return ()
    days, span = days_of(held), days_of(sent)
    between = days[(days >= span[0]) & (days <= span[-1])]
    return tuple(map(str, np.setdiff1d(between, span, assume_unique=True)))


# -- united ---------------------------------------------------------------------------------------


def unite(
    held: TickerHistory,
    rows: pd.DataFrame,
    table: Table,
    *,
    is_one_basis: bool,
    withdrawn: Sequence[str] = (),
) -> TickerHistory:
    """Put rows over those held. This is the only way in which two sets of rows become one.

    Parameters
    ----------
    held : TickerHistory
        The stored history.
    rows : pandas.DataFrame
        New rows. They replace the rows held of the same days, but `FIRST_SEEN` is the earlier of
        the two known values.
    table : Table
        The table of the columns.
    is_one_basis : bool
        Whether the other rows held have the same price adjustment. If not, their prices move to
        `superseded`.
    withdrawn : sequence of str
        Days held that are dropped.

    Returns
    -------
    TickerHistory
        `held` with new `rows` and `superseded`.
    """
    _, in_held, in_rows = common_days(held.rows, rows)
    stays = ~np.isin(days_of(held.rows), withdrawn)
    stays[in_held] = False
    others, superseded = held.rows[stays], held.superseded
    if not is_one_basis:
        others, superseded = blank(others, superseded, table)
    seen_s = rows[FIRST_SEEN].to_numpy().copy()
    seen_s[in_rows] = np.fmin(seen_s[in_rows], held.rows[FIRST_SEEN].to_numpy()[in_held])
    united = in_order([others, rows.assign(**{FIRST_SEEN: seen_s})])
    return replace(held, rows=united, superseded=_unpriced(superseded, united, table))


def blank(
    rows: pd.DataFrame, superseded: pd.DataFrame | None, table: Table
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Take the prices of an older adjustment out of rows.

    Returns
    -------
    DataFrame, DataFrame or None
        The rows with NaN for prices, and `superseded` with these prices added, ascending by day.
        Rows without a price, such as rows blanked before, are not added again.
    """
    names = table.price_names
    had = rows.loc[rows[names].notna().any(axis=1), [DAY, *names]]
    return rows.assign(**dict.fromkeys(names, np.nan)), _every_superseded([superseded, had])


def with_values(rows: pd.DataFrame, values: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Rows with some values replaced, given by day and column. Unknown days are ignored."""
    places = {day: i for i, day in enumerate(rows[DAY]) if day in values}
    changed = rows.copy(deep=False)
    for name in {name for day in places for name in values[day]}:
        new = {place: values[day][name] for day, place in places.items() if name in values[day]}
        column = changed[name].copy()
        column.iloc[list(new)] = pd.Series(list(new.values()), dtype=column.dtype).array
        changed[name] = column
    return changed


def in_order(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all parts, ascending by day."""
    filled = sorted((part for part in parts if len(part)), key=_oldest_day)
    together = pd.concat(filled or parts[:1], ignore_index=True)
    if together[DAY].is_monotonic_increasing:  # the ordinary case, and quicker
        return together
    return together.sort_values(DAY, ignore_index=True)


def _oldest_day(rows: pd.DataFrame) -> str:
    return str(rows[DAY].iloc[0])


def _every_superseded(parts: Sequence[pd.DataFrame | None]) -> pd.DataFrame | None:
    """Superseded prices of all parts. If several parts have a day, the first part counts."""
    filled = [part for part in parts if part is not None and len(part)]
    if not filled:
        return None
    return in_order([pd.concat(filled).drop_duplicates(DAY, keep="first")])


def _unpriced(
    superseded: pd.DataFrame | None, rows: pd.DataFrame, table: Table
) -> pd.DataFrame | None:
    """Superseded prices of days without a price of today's adjustment."""
    if superseded is None:
        return None
    priced = rows.loc[rows[table.price_names].notna().any(axis=1), DAY]
    still = superseded[~superseded[DAY].isin(priced)]
    return still.reset_index(drop=True) if len(still) else None


# -- two writers ----------------------------------------------------------------------------------


def merge(ours: TickerHistory, theirs: TickerHistory, table: Table) -> TickerHistory:
    """Make one of two writers' histories of a ticker, without losing anything of either.

    If both have a day, the history that was checked later counts, or ours if neither was. One
    exception: a replaced value that only the earlier one has recorded stays replaced, unless the
    later one has walked all rows since, because a check sees only the newest page. If the gateway
    took that revision back, the row was on the later one's page. It will be on the next check's
    page too, and that check corrects it.

    A day that only one has is kept, unless the other has recorded since that it was withdrawn:

    - If both have the same price adjustment, their days are combined.
    - If not, and the later one is complete, the prices of the other's days move to `superseded`.
    - If not, and the later one is not complete, the rows of the earlier one stay as they are. The
      next refresh finds that its prices were adjusted, and walks.

    Reports, revisions and superseded prices are those of both.

    Parameters
    ----------
    ours, theirs : TickerHistory
        The history to save, and the one that another writer has saved meanwhile.
    table : Table
        The table of the columns.
    """
    theirs_is_later = (theirs.checked_s or 0.0) > (ours.checked_s or 0.0)
    later, earlier = (theirs, ours) if theirs_is_later else (ours, theirs)
    later, earlier = _with_news(later, earlier), _with_news(earlier, later)
    comparison = compare(earlier.rows, later.rows, table)
    is_one = is_one_basis(comparison, earlier.rows, later.rows, table)
    superseded = _every_superseded([earlier.superseded, later.superseded])
    if is_one or not len(earlier.rows) or (later.is_complete and len(later.rows)):
        rows_of = replace(earlier, superseded=superseded)
        united = unite(rows_of, later.rows, table, is_one_basis=is_one)
        merged = replace(
            _state(earlier, later, is_one_basis=is_one),
            rows=united.rows,
            superseded=united.superseded,
        )
    else:
        merged = replace(earlier, superseded=_unpriced(superseded, earlier.rows, table))
    return replace(
        merged,
        reports=reports.merged(earlier.reports, later.reports),
        revisions=revisions.merged(earlier, later, merged.rows, table),
    )


def _with_news(history: TickerHistory, other: TickerHistory) -> TickerHistory:
    """Take over the revisions that the other history alone has recorded."""
    values = revisions.newer_values(history, other)
    if values:
        history = replace(history, rows=with_values(history.rows, values))
    return _without_withdrawn(history, other)


def _without_withdrawn(history: TickerHistory, other: TickerHistory) -> TickerHistory:
    """Leave out rows whose withdrawal only the other history has recorded.

    A row first seen after its withdrawal has come back, and stays.
    """
    known = {(one.day, one.seen_s) for one in history.revisions if one.column == ROW}
    withdrawn_s = {
        one.day: one.seen_s
        for one in other.revisions
        if one.column == ROW and (one.day, one.seen_s) not in known
    }
    if not withdrawn_s:
        return history
    at_s = history.rows[DAY].map(withdrawn_s).to_numpy(dtype=np.float64)
    is_gone = ~np.isnan(at_s) & ~(history.rows[FIRST_SEEN].to_numpy() > at_s)
    return replace(history, rows=history.rows[~is_gone].reset_index(drop=True))


def _state(earlier: TickerHistory, later: TickerHistory, *, is_one_basis: bool) -> TickerHistory:
    """The later history with the state of both."""
    is_complete = later.is_complete or (is_one_basis and earlier.is_complete)
    adjusted = [one.adjusted_s for one in (earlier, later)]
    if not is_one_basis and len(earlier.rows):
        # The prices of rows that were withdrawn earlier also have the older adjustment.
        withdrawn = [one.seen_s for one in earlier.revisions if one.column == ROW]
        adjusted += [later.checked_s, *withdrawn]
    return replace(
        later,
        is_complete=is_complete,
        cursor=None if is_complete else _oldest(earlier, later).cursor,
        walked_s=_latest([earlier.walked_s, later.walked_s]),
        adjusted_s=_latest(adjusted),
    )


def _latest(moments: Sequence[float | None]) -> float | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _oldest(one: TickerHistory, other: TickerHistory) -> TickerHistory:
    """The one that reaches farther back. A walk continues from its cursor."""
    if not len(one.rows) or not len(other.rows):
        return one if len(one.rows) else other
    return one if one.rows[DAY].iloc[0] < other.rows[DAY].iloc[0] else other


def _is_price(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.logical_not(np.isnan(values) | np.equal(values, 0))


def _close(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):  # infinite prices need no warning
        return np.asarray(np.isclose(ours, theirs, rtol=PRICE_TOLERANCE, atol=0, equal_nan=True))
