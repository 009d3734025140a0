"""A ticker's stored history: its rows and the refresh state that belongs to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "DAY",
    "FIRST_SEEN",
    "PRICE_TOLERANCE",
    "ROW",
    "Revision",
    "TickerHistory",
    "common_days",
    "days_of",
    "newest_day",
]

# Relative. The gateway's prices went through a division and a multiplication, counts did not:
# prices that differ by more are of different adjustments.
PRICE_TOLERANCE = 1e-9

# The column by which rows are told apart.
DAY = "timestamp_str"
# The column that a store adds to those of the gateway, and what it adds to a report.
FIRST_SEEN = "first_seen"
# `Revision.column` of a row that was withdrawn.
ROW = "(row)"


class Revision(NamedTuple):
    """A value that the gateway replaced, or a row that it withdrew.

    Attributes
    ----------
    day : str
        Trading day of the row, ``YYYY-MM-DD``.
    column : str
        Whose value was replaced; `ROW` when the whole row was withdrawn.
    old : int, float, None or dict
        The value before; None when it was missing. Of a withdrawn row all values by column,
        `FIRST_SEEN` among them.
    new : int, float or None
        The value after; None when it is missing, or the row was withdrawn.
    seen_s : float
        When the new value was first seen, Unix seconds.
    """

    day: str
    column: str
    old: Any
    new: Any
    seen_s: float


@dataclass(frozen=True)
class TickerHistory:
    """What a store holds of one ticker.

    Attributes
    ----------
    rows : pandas.DataFrame
        In the columns and dtypes of `schema`, ascending by day, all of one price adjustment. One
        more column is last: ``first_seen`` (float64), the Unix seconds at which the store first
        saw the row; NaN for a row of a first fill that was public by then.
    is_complete : bool
        Whether it was walked to the end once, and has been unbroken since.
    cursor : str or None
        While it is not complete: where older rows go on.
    checked_s : float or None
        When the newest page was last asked for, Unix seconds.
    walked_s : float or None
        When all of it was last walked, Unix seconds.
    adjusted_s : float or None
        When prices were last found to be adjusted, Unix seconds.
    reports : tuple of mapping
        What the gateway said beside the rows (`Page.attrs`), each with ``first_seen`` (Unix
        seconds), in the order in which they first came. The last one is the current one.
    revisions : tuple of Revision
        Every value that was replaced and every row that was withdrawn, in the order of `seen_s`.
    superseded : pandas.DataFrame or None
        Price columns, beside ``timestamp_str``, of rows that the gateway no longer sends, as of an
        older adjustment; in `rows` these prices are NaN.
    version : object
        What the store knows the file by that this was made from; None for no file. A history made
        from this one by `dataclasses.replace` keeps it, and `save` needs it.
    """

    rows: pd.DataFrame
    is_complete: bool = False
    cursor: str | None = None
    checked_s: float | None = None
    walked_s: float | None = None
    adjusted_s: float | None = None
    reports: tuple[Mapping[str, Any], ...] = ()
    revisions: tuple[Revision, ...] = ()
    superseded: pd.DataFrame | None = None
    version: object = field(default=None, compare=False, repr=False)


def days_of(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Trading days of rows, ``YYYY-MM-DD``, as one array that sorts."""
    return rows[DAY].to_numpy().astype("U10")


def common_days(
    one: pd.DataFrame, other: pd.DataFrame
) -> tuple[NDArray[np.str_], NDArray[np.intp], NDArray[np.intp]]:
    """Days that are in both, ascending, and at which rows of each they are."""
    days, in_one, in_other = np.intersect1d(
        days_of(one), days_of(other), assume_unique=True, return_indices=True
    )
    return days, in_one, in_other


def newest_day(rows: pd.DataFrame) -> str | None:
    """Day of the last of ascending rows, ``YYYY-MM-DD``; None without rows."""
    return str(rows[DAY].iloc[-1]) if len(rows) else None
