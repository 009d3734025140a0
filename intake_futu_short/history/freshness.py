"""Whether a gateway can have anything newer than what is held. Pure: the time is handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intake_futu_short.kept import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from intake_futu_short.kept import Kept

__all__ = ["FRESH_S", "is_current", "is_fresh", "newest_day"]

# A check this young is not repeated, and a walk this young is gone on with.
FRESH_S = 2 * 60 * 60


def is_fresh(moment_s: float | None, now_s: float) -> bool:
    """Whether a moment, in Unix seconds, is less than two hours ago; one to come is not."""
    return moment_s is not None and 0 <= now_s - moment_s < FRESH_S


def newest_day(rows: pd.DataFrame) -> str | None:
    """Day of the last of ascending rows."""
    return str(rows[DAY].iloc[-1]) if len(rows) else None


def is_current(kept: Kept, now_s: float, newest_session: Callable[[], str]) -> bool:
    """Whether the gateway can hardly have anything newer.

    Parameters
    ----------
    kept : Kept
        What is held.
    now_s : float
        Unix seconds.
    newest_session : callable
        Gives the newest trading day that is over, ``YYYY-MM-DD``; asked only when it matters.
    """
    if kept.staged is not None:  # it was found to be out of date
        return False
    if is_fresh(kept.checked_s, now_s):
        return True
    day = newest_day(kept.rows)
    return day is not None and day >= newest_session()
