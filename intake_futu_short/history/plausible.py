"""Rows that cannot be what they seem: of days to come, or of another security. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intake_futu_short.history.ticker_history import DAY
from intake_futu_short.walk import newest_possible

if TYPE_CHECKING:
    import pandas as pd

    from intake_futu_short.calls import Ticker

__all__ = ["WINDOW_ROWS", "another_security", "impossible_days"]

# The gateway has the last 1,500 sessions, a few more or less. A whole history of fewer rows than
# this begins with the first day of its security.
WINDOW_ROWS = 1_450


def impossible_days(rows: pd.DataFrame, now_s: float) -> tuple[str, ...]:
    """Days, ascending, of rows that cannot be yet; none where all are such: the clock is wrong."""
    days = rows.loc[rows[DAY] > newest_possible(now_s), DAY]
    return tuple(days) if len(days) < len(rows) else ()


def another_security(
    held: pd.DataFrame, sent: pd.DataFrame, ticker: Ticker, store_url: str
) -> str | None:
    """Why the gateway's whole history is not to be joined with what is held; None if it may be.

    A history that is shorter than the gateway's window and begins after the newest row held may be
    that of another security with the same code.
    """
    if not len(held) or not len(sent) or len(sent) >= WINDOW_ROWS:
        return None
    if sent[DAY].iloc[0] <= held[DAY].iloc[-1]:
        return None
    return (
        f"{store_url} holds {ticker} from {_span(held)}, and the gateway's whole history of it is "
        f"from {_span(sent)}: the code may belong to another security now. Nothing was changed. "
        f"If it does, FutuShortStore({store_url!r}).set_aside({ticker.code!r}), or on the command "
        f"line futu-short set-aside {ticker} --store {store_url}, moves the stored rows to a file "
        "of their own, and the next sync starts anew. If the gateway's history is cut short for a "
        "while, wait and sync again"
    )


def _span(rows: pd.DataFrame) -> str:
    return f"{rows[DAY].iloc[0]} to {rows[DAY].iloc[-1]} ({len(rows)} rows)"
