"""Finds implausible rows: rows of future days, and rows of another security. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.history.ticker_history import DAY
from intake_futu_short.walk import newest_possible
from intake_futu_short.wording import either

if TYPE_CHECKING:
    import pandas as pd

    from intake_futu_short.calls import Ticker

__all__ = ["Suspicion", "another_security", "impossible_days"]


def impossible_days(rows: pd.DataFrame, now_s: float) -> tuple[str, ...]:
    """Future days of rows, ascending; empty if every row is in the future: the clock is wrong."""
    days = rows.loc[rows[DAY] > newest_possible(now_s), DAY]
    return tuple(days) if len(days) < len(rows) else ()


class Suspicion(NamedTuple):
    """A suspicion that the gateway's rows belong to another security than the stored ones.

    Attributes
    ----------
    text : str
        Why, and what to do.
    refuses : bool
        Whether the two must not be joined.
    """

    text: str
    refuses: bool


def another_security(
    held: pd.DataFrame, sent: pd.DataFrame, ticker: Ticker, store_url: str
) -> Suspicion | None:
    """Whether the gateway's whole history may belong to another security than the rows held.

    It may if it begins after the newest row held, unless it is as long as the gateway's window. If
    the window is not known, the same security may simply have had no report for that long. Then
    the two are joined, with a warning: the rows sent can be asked for again.
    """
    window = ticker.call.window_rows
    if not len(held) or not len(sent) or sent[DAY].iloc[0] <= held[DAY].iloc[-1]:
        return None
    if window is not None and len(sent) >= window:
        return None
    set_aside = _set_aside(ticker, store_url)
    if window is None:
        return Suspicion(
            f"{ticker}: the gateway's whole {ticker.call.title} is from {_span(sent)}, all of it "
            f"newer than what {store_url} held, from {_span(held)}. Both were joined. If the code "
            f"belongs to another security now, {set_aside}, moves "
            "them to a file of their own, and the next sync starts anew",
            refuses=False,
        )
    return Suspicion(
        f"{store_url} holds {ticker} from {_span(held)}, and the gateway's whole history of it is "
        f"from {_span(sent)}: the code may belong to another security now. Nothing was changed. "
        f"If it does, {set_aside}, moves the stored rows to a file "
        "of their own, and the next sync starts anew. If the gateway's history is cut short for a "
        "while, wait and sync again",
        refuses=True,
    )


def _set_aside(ticker: Ticker, store_url: str) -> str:
    """How a user sets a ticker aside."""
    what = ticker.call.name
    argument, option = "", ""
    if what != SHORT_VOLUME.name:
        argument, option = f", what={what!r}", f" --what {what}"
    python = f"FutuShortStore({store_url!r}).set_aside({ticker.code!r}{argument})"
    command = f"futu-short set-aside {ticker} --store {store_url}{option}"
    return either(f"{python}, or on the command line {command}", command)


def _span(rows: pd.DataFrame) -> str:
    return f"{rows[DAY].iloc[0]} to {rows[DAY].iloc[-1]} ({len(rows)} rows)"
