"""What is kept of a ticker between two reads: rows and state, which can never disagree. Pure.

`store` writes it into one file and reads it back; `history` brings it up to date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from intake_futu_short.pages import Aggregates

__all__ = ["DAY", "PRICE_TOLERANCE", "Kept", "Staged", "price_columns"]

# Relative. Prices went through a division and a multiplication at the gateway, counts did not;
# prices that differ by more are of different adjustments.
PRICE_TOLERANCE = 1e-9

# The column by which rows are told apart.
DAY = "timestamp_str"


def price_columns(names: Iterable[str]) -> list[str]:
    """Those of some columns that a dividend or a split changes afterwards."""
    return [name for name in names if name.endswith("_price")]


@dataclass(frozen=True)
class Staged:
    """A walk under way that replaces the history when it is done.

    Attributes
    ----------
    rows : pandas.DataFrame
        Walked so far, in the market's columns, ascending by day.
    cursor : str
        Where to go on from.
    cursor_before : str or None
        As of `Kept`.
    """

    rows: pd.DataFrame
    cursor: str
    cursor_before: str | None = None


@dataclass(frozen=True)
class Kept:
    """A ticker's history.

    Attributes
    ----------
    rows : pandas.DataFrame
        In the market's columns and the dtypes of `table`, ascending by day, all of one price
        adjustment.
    is_complete : bool
        Whether it was walked to the end once, and has been unbroken since.
    cursor : str or None
        While it is not complete: where older rows go on.
    cursor_before : str or None
        Where the page of the oldest rows came from. When nothing is behind `cursor`, this tells
        whether that is the end, or the gateway takes no cursors of old any more.
    checked_s : float or None
        When the newest page was last asked for, Unix seconds.
    walked_s : float or None
        When all of it was last walked, Unix seconds.
    aggregates : tuple of Aggregates
        Every reported open short position that was seen, in the order in which each first came;
        the last is the current one.
    staged : Staged or None
        A re-walk that was interrupted.
    superseded : pandas.DataFrame or None
        Price columns, beside ``timestamp_str``, of rows that the gateway no longer sends, as of an
        older adjustment; in `rows` these prices are NaN.
    """

    rows: pd.DataFrame
    is_complete: bool = False
    cursor: str | None = None
    checked_s: float | None = None
    walked_s: float | None = None
    aggregates: tuple[Aggregates, ...] = ()
    staged: Staged | None = None
    superseded: pd.DataFrame | None = None
    cursor_before: str | None = None
