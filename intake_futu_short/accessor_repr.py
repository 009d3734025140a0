"""The ``repr`` of ``df.shortvol``: what the frame holds and what it lacks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intake_futu_short import repr_table
from intake_futu_short.calls import SHORT_VOLUME
from intake_futu_short.errors import FutuShortError
from intake_futu_short.metrics import sessions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_html", "as_text"]

_TITLE = "Daily short volume (df.shortvol)"


def as_text(frame: pd.DataFrame) -> str:
    """Plain text, one fact per line."""
    return repr_table.as_text(_TITLE, _facts(frame))


def as_html(frame: pd.DataFrame) -> str:
    """A small table for notebooks."""
    return repr_table.as_html(_TITLE, _facts(frame))


def _facts(frame: pd.DataFrame) -> dict[str, str]:
    try:
        market = sessions.market_of(frame)
    except FutuShortError as error:  # the frame was changed since the accessor was made
        return {"market": f"unknown: {error}"}
    facts = {"market": market.name, "rows": f"{len(frame):,}"}
    try:
        rows = sessions.Sessions.of(frame)
    except FutuShortError as error:
        facts["days"] = f"unknown: {error}"
    else:
        codes = [] if rows.tickers is None else [str(code) for code in rows.tickers]
        code = sessions.code_of(frame)
        if code is None and len(codes) > 1:
            facts = {"market": market.name, "tickers": f"{len(codes):,}", "rows": facts["rows"]}
        else:
            facts = {"market": market.name, "code": code or "unknown", "rows": facts["rows"]}
        if len(rows.days):
            first, last = np.datetime_as_string([rows.days.min(), rows.days.max()], unit="D")
            facts["days"] = f"{first} to {last}"
    if sessions.RESAMPLED in frame.attrs:
        facts["rows"] += f", a period of {frame.attrs[sessions.RESAMPLED]} each"
    if "start" in frame.attrs:
        facts["start"] = f"{frame.attrs['start']}: windowed metrics answer from here on"
    names = {*frame.columns, *frame.index.names}
    missing = [n for n in SHORT_VOLUME.table(market).column_names if n not in names]
    facts["missing"] = ", ".join(missing) or "no column"
    return facts
