"""When a report of an open position was known, and which one each row uses: an as-of join. Pure.

A report counts as known from the day of its publication, or from the day on which a store first saw
it if that is earlier. It is used from the next session on, until a newer one is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from intake_futu_short.schema import moments, published

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from intake_futu_short.metrics.sessions import Sessions
    from intake_futu_short.security import Market

__all__ = ["Asked", "Reports", "dated", "known_at"]


class Asked(NamedTuple):
    """Rows that need reports.

    Attributes
    ----------
    frame, sessions
        The rows, and their `Sessions`.
    metric : str
        Name of the metric that needs them, for messages.
    """

    frame: pd.DataFrame
    sessions: Sessions
    metric: str


class Reports(NamedTuple):
    """Reports of a frame's tickers, which are given by position; days are datetime64[D]."""

    ticker: NDArray[np.intp]
    as_of: NDArray[np.datetime64]
    known: NDArray[np.datetime64]
    values: dict[str, NDArray[np.float64]]


def dated(table: pd.DataFrame, roles: Sequence[str], market: Market) -> Reports:
    """Add when each report was known: ``published`` or ``first_seen``, whichever is earlier.

    A second report of the same day is a correction, and no calendar says when corrections come. It
    counts as known when it was seen, unless it has a later publication day of its own.
    """
    # If several reports became known on one day, the one that was seen last counts.
    table = table.sort_values("first_seen", kind="stable", na_position="first", ignore_index=True)
    as_of = table["as_of"]
    days = table["published"].fillna(published(as_of, market)) if len(table) else as_of
    seen = moments(table["first_seen"]).dt.tz_convert(market.time_zone)
    seen = seen.dt.tz_localize(None).dt.normalize()
    known = days.where(~(seen < days), seen)
    # The first report of a day is the one that was known first.
    keyed = pd.DataFrame(
        {
            "ticker": table["ticker"],
            "as_of": as_of,
            "day": days,
            "known": known,
        }
    ).sort_values("known", kind="stable")
    groups = keyed.groupby(["ticker", "as_of"], sort=False)
    corrects = (groups.cumcount() > 0) & (keyed["day"] <= groups["day"].transform("first"))
    known = known.where(~(corrects.reindex(table.index) & seen.notna()), seen)
    # A day too far off for the rule of publication counts as its own publication day.
    known = known.fillna(as_of)
    # No report is known before its own day, even if the clock was wrong when it was seen.
    known = known.where(~(known < as_of), as_of)
    return Reports(
        table["ticker"].to_numpy(dtype=np.intp),
        as_of.to_numpy().astype("datetime64[D]"),
        known.to_numpy().astype("datetime64[D]"),
        {role: table[role].to_numpy(dtype=np.float64) for role in roles},
    )


def known_at(sessions: Sessions, reports: Reports) -> NDArray[np.intp]:
    """Position of the report that each sorted row uses; -1 if none was known before its day."""
    if not len(reports.ticker) or not len(sessions.days):
        return np.full(len(sessions.days), -1)
    day = sessions.days.astype("datetime64[D]").astype(np.int64)
    first, last = int(day.min()), int(day.max())
    # Encode ticker and day as one number. Days before the first row, or after the last one, are
    # moved next to the span of the rows.
    span = last - first + 2
    known = np.clip(reports.known.astype(np.int64) - first + 1, 0, span - 1)
    moments = reports.ticker * span + known
    rows = np.repeat(np.arange(len(sessions.begins)), sessions.lengths)
    # The newest as-of date counts. If it has several reports, the one that was known last counts.
    by_age = np.lexsort((reports.known, reports.as_of, reports.ticker))
    age = np.empty(len(by_age), dtype=np.intp)
    age[by_age] = np.arange(len(by_age))
    in_order = np.argsort(moments, kind="stable")
    newest = by_age[np.maximum.accumulate(age[in_order])]
    before = np.searchsorted(moments[in_order], rows * span + (day - first + 1), side="left") - 1
    places = newest[np.maximum(before, 0)]
    return np.where((before >= 0) & (reports.ticker[places] == rows), places, -1)
