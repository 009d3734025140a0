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

# A relative tolerance. The gateway divides and multiplies prices to adjust them, which rounds.
# Prices that differ by more have different adjustments. Counts are compared exactly.
PRICE_TOLERANCE = 1e-9

# The column that identifies a row.
DAY = "timestamp_str"
# The column that a store adds to the gateway's rows, and the key that it adds to a report.
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
        The column of the replaced value; `ROW` when the whole row was withdrawn.
    old : int, float, None or dict
        The value before; None when it was missing. For a withdrawn row, all its values by column,
        with `FIRST_SEEN`.
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
    """The stored history of one ticker.

    Attributes
    ----------
    rows : pandas.DataFrame
        Columns and dtypes as in `schema`, ascending by day, all of one price adjustment. The last
        column is ``first_seen`` (float64), the Unix seconds at which the store first saw the row;
        NaN for a row of a first fill that was already public.
    is_complete : bool
        Whether it was once walked to the end, and has had no gap since.
    cursor : str or None
        The gateway's cursor to older rows, while the history is not complete.
    checked_s : float or None
        When the newest page was last asked for, Unix seconds.
    walked_s : float or None
        When all its rows were last walked, Unix seconds.
    adjusted_s : float or None
        When prices were last found to be adjusted, Unix seconds.
    reports : tuple of mapping
        Values that the gateway sent beside the rows (`Page.attrs`), each with ``first_seen`` (Unix
        seconds), in the order in which they first came. The last one is current.
    revisions : tuple of Revision
        Every value that was replaced and every row that was withdrawn, in the order of `seen_s`.
    superseded : pandas.DataFrame or None
        ``timestamp_str`` and price columns of rows that the gateway no longer sends. Their prices
        have an older adjustment, and are NaN in `rows`.
    version : object
        Identifies the file from which the store loaded this; None for no file. `save` needs it, and
        `dataclasses.replace` keeps it.
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
    """Trading days of rows, ``YYYY-MM-DD``, as a NumPy array of strings."""
    return rows[DAY].to_numpy().astype("U10")


def common_days(
    one: pd.DataFrame, other: pd.DataFrame
) -> tuple[NDArray[np.str_], NDArray[np.intp], NDArray[np.intp]]:
    """Days that are in both, ascending, and their positions in each."""
    days, in_one, in_other = np.intersect1d(
        days_of(one), days_of(other), assume_unique=True, return_indices=True
    )
    return days, in_one, in_other


def newest_day(rows: pd.DataFrame) -> str | None:
    """Day of the last of ascending rows, ``YYYY-MM-DD``; None without rows."""
    return str(rows[DAY].iloc[-1]) if len(rows) else None
