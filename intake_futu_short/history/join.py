"""Rows held and rows just sent, joined on the trading day: what differs, and the two in one. Pure.

Frames are in the columns and dtypes of `schema`, ascending by day, each day once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.history.ticker_history import DAY, PRICE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from intake_futu_short.calls import Table
    from intake_futu_short.history.ticker_history import TickerHistory

__all__ = [
    "Comparison",
    "blank",
    "compare",
    "days_of",
    "join",
    "put_in_place",
    "split",
    "unite",
]


def days_of(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Trading days of rows, ``YYYY-MM-DD``, as one array that sorts."""
    return rows[DAY].to_numpy().astype("U10")


@dataclass(frozen=True)
class Comparison:
    """What common rows say.

    Attributes
    ----------
    is_same_basis : bool or None
        Whether the prices of the oldest common row that can tell agree: then both are of the same
        price adjustment. None where no common row can tell.
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

    A value missing on both sides is equal. A row without a price, or with prices of 0 only, has
    nothing that an adjustment could change: it cannot tell the basis.
    """
    days, in_held, in_sent = np.intersect1d(
        days_of(held), days_of(sent), assume_unique=True, return_indices=True
    )
    revised = np.zeros(len(days), dtype=bool)
    repriced = np.zeros(len(days), dtype=bool)
    tells = np.zeros(len(days), dtype=bool)
    for column in table.columns:
        if column.kind == "day":
            continue
        ours = _values(held[column.name], column.kind)[in_held]
        theirs = _values(sent[column.name], column.kind)[in_sent]
        if column.kind == "price":
            repriced |= ~_close(ours, theirs)
            tells |= _is_price(ours) | _is_price(theirs)
        else:
            revised |= ~((ours == theirs) | (_is_missing(ours) & _is_missing(theirs)))
    telling = np.flatnonzero(tells)
    return Comparison(
        is_same_basis=None if not len(telling) else not repriced[telling[0]],
        has_common=len(days) > 0,
        revised=tuple(map(str, days[revised])),
        repriced=tuple(map(str, days[repriced])),
    )


def split(
    held: pd.DataFrame, sent: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Rows held that are older, and newer, than those sent; and the days between not sent again."""
    if not len(sent):
        return held, held.iloc[:0], ()
    days, span = days_of(held), days_of(sent)
    first = int(days.searchsorted(span[0]))
    last = int(days.searchsorted(span[-1], side="right"))
    gone = np.setdiff1d(days[first:last], span, assume_unique=True)
    return held.iloc[:first], held.iloc[last:], tuple(map(str, gone))


def unite(rows: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """All rows of both; of a day that is in both, the second's."""
    only = rows[~rows[DAY].isin(more[DAY])]
    return join([only, more]).sort_values(DAY, ignore_index=True)


def put_in_place(
    held: TickerHistory, sent: pd.DataFrame, table: Table, *, stands: bool
) -> tuple[TickerHistory, tuple[str, ...]]:
    """Put rows sent in place of what is held in their span.

    Parameters
    ----------
    held : TickerHistory
        What is held.
    sent : pandas.DataFrame
        At least one row, unless nothing is held.
    table : Table
        Whose columns.
    stands : bool
        Whether the rows outside of the span are of the same price adjustment. Where they aren't,
        they lose their prices to `superseded`.

    Returns
    -------
    TickerHistory, tuple of str
        The new history, complete or not as before; days of the span that were not sent again.
    """
    older, newer, gone = split(held.rows, sent)
    superseded = held.superseded
    if not stands:
        older, superseded = blank(older, superseded, table)
        newer, superseded = blank(newer, superseded, table)
    if superseded is not None:
        again = superseded[DAY].isin(sent[DAY])
        superseded = superseded[~again].reset_index(drop=True) if not again.all() else None
    rows = join([older, sent, newer])
    return replace(held, rows=rows, superseded=superseded), gone


def blank(
    rows: pd.DataFrame, superseded: pd.DataFrame | None, table: Table
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Take prices that are of an older adjustment out of rows.

    Returns
    -------
    DataFrame, DataFrame or None
        The rows with NaN for prices; `superseded` with these prices added, ascending by day. Rows
        without a price, as those blanked before, are not added again.
    """
    names = table.price_names
    had = rows.loc[rows[names].notna().any(axis=1), [DAY, *names]]
    parts = [part for part in (superseded, had) if part is not None and len(part)]
    kept = None
    if parts:
        kept = join(parts).drop_duplicates(DAY, keep="first").sort_values(DAY, ignore_index=True)
    return rows.assign(**dict.fromkeys(names, np.nan)), kept


def join(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of one stretch after the other."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled or parts[:1], ignore_index=True)


def _values(column: pd.Series[Any], kind: str) -> NDArray[Any]:
    if kind == "count":  # counts are 0 or more: no missing one looks like another
        return column.to_numpy(dtype=np.int64, na_value=-1)
    return column.to_numpy()


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)


def _is_price(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.logical_not(np.isnan(values) | np.equal(values, 0))


def _close(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):  # an infinite price is no reason to complain of
        return np.asarray(np.isclose(ours, theirs, rtol=PRICE_TOLERANCE, atol=0, equal_nan=True))
