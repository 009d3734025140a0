"""A ticker's stored history: its rows and the refresh state that belongs to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pandas as pd

__all__ = ["DAY", "PRICE_TOLERANCE", "TickerHistory", "newest_day"]

# Relative. The gateway's prices went through a division and a multiplication, counts did not:
# prices that differ by more are of different adjustments.
PRICE_TOLERANCE = 1e-9

# The column by which rows are told apart.
DAY = "timestamp_str"


@dataclass(frozen=True)
class TickerHistory:
    """What a store holds of one ticker.

    Attributes
    ----------
    rows : pandas.DataFrame
        In the columns and dtypes of `schema`, ascending by day, all of one price adjustment.
    is_complete : bool
        Whether it was walked to the end once, and has been unbroken since.
    cursor : str or None
        While it is not complete: where older rows go on.
    checked_s : float or None
        When the newest page was last asked for, Unix seconds.
    walked_s : float or None
        When all of it was last walked, Unix seconds.
    reports : tuple of mapping
        What the gateway said beside the rows (`Page.attrs`): each report once, in the order in
        which it first came. The last one is the current one.
    superseded : pandas.DataFrame or None
        Price columns, beside ``timestamp_str``, of rows that the gateway no longer sends, as of an
        older adjustment; in `rows` these prices are NaN.
    """

    rows: pd.DataFrame
    is_complete: bool = False
    cursor: str | None = None
    checked_s: float | None = None
    walked_s: float | None = None
    reports: tuple[Mapping[str, Any], ...] = ()
    superseded: pd.DataFrame | None = None


def newest_day(rows: pd.DataFrame) -> str | None:
    """Day of the last of ascending rows, ``YYYY-MM-DD``; None without rows."""
    return str(rows[DAY].iloc[-1]) if len(rows) else None
