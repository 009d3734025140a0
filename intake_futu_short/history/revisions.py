"""Records of what the gateway replaced or withdrew: finds them, and merges two writers'. Pure.

Prices are not recorded, because dividends and splits change all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.history.ticker_history import DAY, FIRST_SEEN, ROW, Revision, common_days

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from intake_futu_short.calls import Table
    from intake_futu_short.history.ticker_history import TickerHistory

__all__ = ["comparable", "differ", "merged", "newer_values", "replaced", "withdrawn"]

_RECORDED = ("count", "number")
_MISSING = -1  # in place of a missing count: counts are 0 or more


def comparable(column: pd.Series[Any], kind: str) -> NDArray[Any]:
    """Values of a column for `differ`. Missing values are NaN, or -1 in a column of counts."""
    if kind == "count":
        return column.to_numpy(dtype=np.int64, na_value=_MISSING)
    return column.to_numpy()


def differ(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """Where values differ. Two missing values are equal."""
    both_missing = (ours != ours) & (theirs != theirs)  # noqa: PLR0124 - true of NaN alone
    return np.asarray((ours != theirs) & ~both_missing)


def replaced(held: pd.DataFrame, sent: pd.DataFrame, table: Table, seen_s: float) -> list[Revision]:
    """A record of every count and number that differs on a common day, from held to sent."""
    days, in_held, in_sent = common_days(held, sent)
    found = []
    for column in table.columns:
        if column.kind not in _RECORDED:
            continue
        ours = comparable(held[column.name], column.kind)[in_held]
        theirs = comparable(sent[column.name], column.kind)[in_sent]
        for i in np.flatnonzero(differ(ours, theirs)):
            old, new = (_plain(values[i], column.kind) for values in (ours, theirs))
            found.append(Revision(str(days[i]), column.name, old, new, seen_s))
    return sorted(found, key=lambda one: one.day)


def withdrawn(held: pd.DataFrame, days: Collection[str], seen_s: float) -> list[Revision]:
    """A record of every row of these days."""
    if not days:
        return []
    rows: list[dict[str, Any]] = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in held[held[DAY].isin(days)].to_dict("records")
    ]
    return [Revision(row[DAY], ROW, row, None, seen_s) for row in rows]


def newer_values(history: TickerHistory, other: TickerHistory) -> dict[str, dict[str, Any]]:
    """Replacements that the other history saw after this one last noted the value.

    They are given by day and column. This history noted a value when it recorded it, first saw its
    row, or walked all rows.
    """
    if not other.revisions:
        return {}
    first_seen = dict(zip(history.rows[DAY], history.rows[FIRST_SEEN].fillna(0.0), strict=True))
    recorded_s = {(one.day, one.column): one.seen_s for one in history.revisions}
    values: dict[str, dict[str, Any]] = {}
    for one in other.revisions:
        noted_s = max(
            history.walked_s or 0.0,
            first_seen.get(one.day, np.inf),
            recorded_s.get((one.day, one.column), 0.0),
        )
        if one.column == ROW:
            values.pop(one.day, None)  # earlier values belong to the withdrawn row
        elif one.seen_s > noted_s:
            values.setdefault(one.day, {})[one.column] = one.new
    return values


def merged(
    earlier: TickerHistory, later: TickerHistory, rows: pd.DataFrame, table: Table
) -> tuple[Revision, ...]:
    """Records of two writers, merged as if one writer had made them.

    For each day and column, each record starts from the value at which the previous one ended, and
    the last one ends at the value in `rows`. After a withdrawal the chain starts anew. A change
    that both have recorded is there once, with the earlier `seen_s`.

    Parameters
    ----------
    earlier, later : TickerHistory
        The history checked earlier and the one checked later.
    rows : pandas.DataFrame
        The merged rows.
    table : Table
        The table of the columns.
    """
    # A record from a common past is there once, even if its old value differs.
    both = {
        (one.day, one.column, one.new, one.seen_s): one
        for one in (*later.revisions, *earlier.revisions)
    }
    chain, ends = _chain(sorted(both.values(), key=lambda one: one.seen_s))
    seen_s = max(later.checked_s or 0.0, later.walked_s or 0.0)
    for one in replaced(earlier.rows, later.rows, table, seen_s):
        # No record explains this difference, so it is older than either writer's first look.
        ends.setdefault((one.day, one.column), one._replace(new=one.old))
    chain += _closing(ends.values(), rows, table, seen_s)
    return tuple(sorted(chain, key=lambda one: one.seen_s))


def _chain(
    records: Iterable[Revision],
) -> tuple[list[Revision], dict[tuple[str, str], Revision]]:
    """Records that change something, and the last record of each value that still exists."""
    chain: list[Revision] = []
    ends: dict[tuple[str, str], Revision] = {}
    withdrawn_s: dict[str, float] = {}
    for one in records:
        if one.column != ROW:
            before = ends.get((one.day, one.column))
            linked = one if before is None else one._replace(old=before.new)
            ends[one.day, one.column] = linked
            if linked.old != linked.new:
                chain.append(linked)
        elif one.day not in withdrawn_s or (one.old[FIRST_SEEN] or 0.0) > withdrawn_s[one.day]:
            row = {
                name: ends.pop((one.day, name)).new if (one.day, name) in ends else value
                for name, value in one.old.items()
            }
            chain.append(one._replace(old=row))
            withdrawn_s[one.day] = one.seen_s
    return chain, ends


def _closing(
    ends: Collection[Revision], rows: pd.DataFrame, table: Table, seen_s: float
) -> list[Revision]:
    """A record for each value that differs from the end of its chain."""
    places = {day: i for i, day in enumerate(rows[DAY])} if ends else {}
    kinds = {column.name: column.kind for column in table.columns}
    found = []
    for one in ends:
        if one.day not in places:
            continue
        value = _plain(rows[one.column].iloc[places[one.day]], kinds[one.column])
        if value != one.new:
            at_s = max(seen_s, one.seen_s)
            found.append(Revision(one.day, one.column, one.new, value, at_s))
    return found


def _plain(value: Any, kind: str) -> int | float | None:
    """A value as Python and JSON have it; None when it is missing."""
    if pd.isna(value) or (kind == "count" and value == _MISSING):
        return None
    return int(value) if kind == "count" else float(value)
