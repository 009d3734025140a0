"""The one schema: pages → columns → a DataFrame with attributes. Pure.

Rows are kept as messages until a frame is asked for, and then read column by column, once: that
is several times faster than a dict a row or a frame a page.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intake_futu_short.pages import Aggregates, Item, Page
    from intake_futu_short.security import Column, Market, Security

__all__ = ["attributes", "dtypes", "reports", "text_dtype", "to_frame", "with_code"]


def dtypes(market: Market, *, panel: bool = False) -> dict[str, str]:
    """Name of each column's dtype, in the order of the columns; the same whatever a page holds.

    Strings are this pandas' own: ``str`` from pandas 3 on, ``object`` before.
    """
    frame = to_frame([], market)
    if panel:
        frame = with_code([frame], [""])
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def to_frame(pages: Sequence[Page], market: Market) -> pd.DataFrame:
    """Put the rows of pages into one frame.

    Parameters
    ----------
    pages : sequence of Page
        In the order of the rows wanted.
    market : Market
        Which columns.

    Returns
    -------
    pandas.DataFrame
        A row a trading day on a RangeIndex. ``timestamp`` int64 (Unix seconds of market-local
        midnight), ``timestamp_str`` strings, counts Int64 with a missing one ``<NA>``, prices,
        amounts and percents float64 with a missing one NaN.

    Raises
    ------
    ProtocolError
        When a count is larger than any count of shares can be.
    """
    rows = list(chain.from_iterable(page.rows for page in pages))
    days = list(chain.from_iterable(page.days for page in pages))
    columns: dict[str, Any] = {}
    for column in market.columns:
        if column.kind == "day":
            columns[column.name] = pd.Series(days, dtype=text_dtype())
        elif column.kind == "timestamp":
            columns[column.name] = _timestamps(rows, days, market)
        elif column.kind == "count":
            columns[column.name] = _counts(rows, days, column)
        else:
            columns[column.name] = _numbers(rows, column)
    return pd.DataFrame(columns, copy=False)


def with_code(frames: Sequence[pd.DataFrame], codes: Sequence[str]) -> pd.DataFrame:
    """Put frames of several tickers, at least one, under each other.

    The first column, ``code``, says whose each row is. The result is on a RangeIndex and bears
    the attributes that all of them share.
    """
    panel = pd.concat(frames, ignore_index=True)
    column = np.repeat(np.array(codes, dtype=object), [len(frame) for frame in frames])
    panel.insert(0, "code", pd.Series(column, dtype=text_dtype()))
    return panel


@cache
def text_dtype() -> Any:
    """What this pandas makes of strings by itself: ``str`` from pandas 3 on, ``object`` before."""
    # Worked out when needed: it loads a part of pyarrow, which an import need not pay for.
    return pd.Series([""]).dtype


def attributes(security: Security, next_key: str | None, aggregates: Aggregates) -> dict[str, Any]:
    """What a frame of one ticker bears in ``attrs``: plain JSON values.

    Parameters
    ----------
    security : Security
        The ticker.
    next_key : str or None
        Cursor of the last page in the frame.
    aggregates : Aggregates
        The open short position; left out for US, which has none.
    """
    attrs: dict[str, Any] = {
        "code": security.code,
        "market": security.market.name,
        "next_key": next_key,
    }
    if security.market.has_aggregates:
        attrs.update(aggregates.as_dict())
    return attrs


def reports(seen: Mapping[str, Iterable[Aggregates]]) -> str:
    """What ``attrs["aggregates_history"]`` bears: every report of open short positions, as JSON.

    One string, since pandas copies attributes deeply at every operation: a list of [code, as-of
    date, shares, percent], a ticker after the other, ascending by date.

    Parameters
    ----------
    seen : mapping of str to iterable of Aggregates
        By code; what says nothing is left out, and what comes again.
    """
    rows = [
        [code, report.new_time_str, report.aggregated_short, report.aggregated_short_ratio]
        for code, told in seen.items()
        for report in sorted(dict.fromkeys(told), key=lambda report: report.new_time_str or "")
    ]
    return json.dumps([row for row in rows if any(value is not None for value in row[1:])])


def _values(rows: Sequence[Item], name: str) -> tuple[list[Any], list[int]]:
    """Values of a field, and which rows lack it."""
    values = list(map(attrgetter(name), rows))
    # An absent field reads as zero. Asking every row for every field is what costs, so only the
    # zeros are asked about.
    if all(values):
        return values, []
    return values, [i for i, v in enumerate(values) if not v and not rows[i].HasField(name)]


def _timestamps(rows: Sequence[Item], days: Sequence[str], market: Market) -> Any:
    values, missing = _values(rows, "timestamp")
    for i in missing:
        values[i] = market.midnight(days[i])
    return np.array(values, dtype=np.int64)


def _counts(rows: Sequence[Item], days: Sequence[str], column: Column) -> Any:
    values, missing = _values(rows, column.name)
    try:
        numbers = np.array(values, dtype=np.int64)
    except OverflowError as error:  # unsigned on the wire
        largest = max(values)
        raise ProtocolError(
            f"the row of {days[values.index(largest)]} has {column.name} = {largest}, more than "
            "any count of shares can be. Close the source and read again; if it stays so, update "
            "OpenD"
        ) from error
    mask = np.zeros(len(values), dtype=bool)
    mask[missing] = True
    return pd.arrays.IntegerArray(numbers, mask)


def _numbers(rows: Sequence[Item], column: Column) -> Any:
    values, missing = _values(rows, column.name)
    numbers = np.array(values, dtype=np.float64)
    numbers[missing] = np.nan
    return numbers
