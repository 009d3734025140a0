"""The one schema: pages → columns → a DataFrame with attributes. Pure.

Rows stay messages until a frame is asked for. Then each column is read once, which is several times
faster than building a dict per row or a frame per page.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from intake_futu_short import calendars
from intake_futu_short.calls import PUBLISHED
from intake_futu_short.errors import ProtocolError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from intake_futu_short.calls import Column, Table, Ticker
    from intake_futu_short.pages import Page
    from intake_futu_short.security import Market

__all__ = [
    "attributes",
    "dtypes",
    "moments",
    "published",
    "ranked",
    "reports",
    "text_dtype",
    "to_frame",
    "with_code",
    "with_published",
]


def dtypes(table: Table, *, panel: bool = False) -> dict[str, str]:
    """Name of each column's dtype, in the order of the columns; the same whatever a page holds.

    Strings are this pandas' own: ``str`` from pandas 3 on, ``object`` before.
    """
    return dict(_dtypes(table, panel=panel))


@cache
def _dtypes(table: Table, *, panel: bool) -> dict[str, str]:
    frame = with_published(to_frame([], table), table)
    if panel:
        frame = with_code([frame], [""])
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def to_frame(pages: Sequence[Page], table: Table) -> pd.DataFrame:
    """Put the rows of pages into one frame.

    Parameters
    ----------
    pages : sequence of Page
        In the order of the rows wanted.
    table : Table
        Which columns.

    Returns
    -------
    pandas.DataFrame
        One row per trading day on a RangeIndex. ``timestamp`` is int64 (Unix seconds of
        market-local midnight), ``timestamp_str`` strings. Counts are Int64, missing ones ``<NA>``.
        Prices, amounts and percents are float64, missing ones NaN.

    Raises
    ------
    ProtocolError
        When a count is larger than any count of shares can be.
    """
    rows = list(chain.from_iterable(page.rows for page in pages))
    days = list(chain.from_iterable(page.days for page in pages))
    return pd.DataFrame(
        {c.name: _values_of(c, rows, days, table) for c in table.columns}, copy=False
    )


def ranked(rows: Sequence[Any], codes: Sequence[str], table: Table) -> pd.DataFrame:
    """Put rows into one frame, where each row is about a different security.

    Parameters
    ----------
    rows : sequence of messages
        In the order wanted.
    codes : sequence of str
        The security of each.
    table : Table
        Which columns.

    Returns
    -------
    pandas.DataFrame
        ``code``, then the table's columns, on a RangeIndex. Counts are Int64, missing ones
        ``<NA>``. Names are strings, missing ones None or NaN. All else is float64.
    """
    columns: dict[str, Any] = {"code": pd.Series(codes, dtype=text_dtype())}
    columns.update((c.name, _values_of(c, rows, codes, table)) for c in table.columns)
    return pd.DataFrame(columns, copy=False)


def with_published(rows: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Append the computed column ``published`` to reports; other rows are returned unchanged.

    The day (datetime64[ns]) is an estimate by the rule of the market's publisher; see
    `calendars.published`.
    """
    if not table.are_reports:
        return rows
    return rows.assign(**{PUBLISHED: published(rows["timestamp_str"], table.market)})


def moments(seconds: pd.Series[float]) -> pd.Series[pd.Timestamp]:
    """Times in UTC of Unix seconds; NaT where they are NaN."""
    # pandas 2.2.0 computes with memory that it has not set where a float is NaN, and may overflow.
    return pd.to_datetime(seconds.dropna(), unit="s", utc=True).reindex(seconds.index)


def published(as_of: pd.Series[Any], market: Market) -> pd.Series[Any]:
    """When reports of these days, datetimes or texts, were published, by the publisher's rule."""
    days = {day: _published(pd.Timestamp(day).date(), market) for day in as_of.unique()}
    return pd.to_datetime(as_of.map(days)).astype("datetime64[ns]")


def _published(as_of: dt.date, market: Market) -> dt.date | None:
    # pandas can count nanoseconds only from 1678 to 2262.
    return calendars.published(market, as_of) if 1700 <= as_of.year <= 2200 else None


def with_code(frames: Sequence[pd.DataFrame], codes: Sequence[str]) -> pd.DataFrame:
    """Concatenate the frames of one or more tickers.

    The first column, ``code``, names the ticker of each row. The result has a RangeIndex and the
    attributes that all frames share.
    """
    panel = pd.concat(frames, ignore_index=True)
    column = np.repeat(np.array(codes, dtype=object), [len(frame) for frame in frames])
    panel.insert(0, "code", pd.Series(column, dtype=text_dtype()))
    return panel


@cache
def text_dtype() -> Any:
    """Default dtype of strings: ``str`` from pandas 3 on, ``object`` before."""
    # Not computed at import, because it loads a part of pyarrow.
    return pd.Series([""]).dtype


def attributes(
    ticker: Ticker,
    next_key: str | None,
    values: Mapping[str, Any] | None,
    start: str | None = None,
) -> dict[str, Any]:
    """``attrs`` of one ticker's frame, as plain JSON values.

    Parameters
    ----------
    ticker : Ticker
        Whose rows.
    next_key : str or None
        Cursor of the last page in the frame.
    values : mapping of str to value, or None
        Values that the gateway sent beside the rows, as `Page.attrs`; None if it sent none.
    start : str, optional
        The first day asked for, ``YYYY-MM-DD``, if the frame also has earlier rows for windows to
        look back on. Metrics answer from this day on.
    """
    return {
        "code": ticker.code,
        "market": ticker.market.name,
        "next_key": next_key,
        **{name: (values or {}).get(name) for name in ticker.table.attr_names},
        **({} if start is None else {"start": start}),
    }


def reports(seen: Mapping[str, Iterable[Mapping[str, Any]]], table: Table) -> str:
    """Value of ``attrs["aggregates_history"]``: every report of open short positions, as JSON.

    The JSON is a list of [code, as-of date, Unix seconds at which a store first saw the report or
    null, shares, percent], ticker by ticker, in order of arrival. It is one string, because pandas
    deep-copies attributes at every operation.

    Parameters
    ----------
    seen : mapping of str to iterable of mapping
        Reports by code, in order of arrival. Empty reports are left out. A repeated report counts
        once, as first seen, unless another report of its day came in between.
    table : Table
        Its `Table.attrs` are the values of a report. The day comes first.
    """
    names = sorted(table.attrs, key=lambda attr: attr.kind != "day")
    rows: list[list[Any]] = []
    for code, told in seen.items():
        last: dict[Any, list[Any]] = {}  # by day
        for one in told:
            day, *values = [one.get(attr.name) for attr in names]
            if all(value is None for value in (day, *values)):
                continue
            row: list[Any] = [code, day, one.get("first_seen"), *values]
            if day in last and last[day][3:] == values:
                last[day][2] = _earlier(last[day][2], row[2])
            else:
                rows.append(row)
                last[day] = row
    return json.dumps(rows)


def _earlier(one: float | None, other: float | None) -> float | None:
    known = [moment for moment in (one, other) if moment is not None]
    return min(known, default=None)


def _values(rows: Sequence[Any], name: str, dtype: Any) -> tuple[Any, list[int]]:
    """Values of a field, and the rows that lack it."""
    values = np.fromiter(map(attrgetter(name), rows), dtype, len(rows))
    # An absent field reads as zero. Testing every row for presence is slow, so only zeros are
    # tested.
    if values.all():
        return values, []
    zeros = np.flatnonzero(values == 0).tolist()
    return values, [i for i in zeros if not rows[i].HasField(name)]


def _values_of(column: Column, rows: Sequence[Any], names: Sequence[str], table: Table) -> Any:
    """Values of a column; `names` is the day or the security of each row."""
    if column.kind == "day":
        return pd.Series(names, dtype=text_dtype())
    if column.kind == "timestamp":
        return _timestamps(rows, names, table.market)
    if column.kind == "count":
        return _counts(rows, names, column)
    if column.kind == "text":
        return _texts(rows, column)
    return _numbers(rows, column)


def _texts(rows: Sequence[Any], column: Column) -> Any:
    sent = [getattr(row, column.name) if row.HasField(column.name) else None for row in rows]
    # Protobuf returns bytes for a string that is not UTF-8.
    texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in sent]
    return pd.Series(texts, dtype=text_dtype())


def _timestamps(rows: Sequence[Any], days: Sequence[str], market: Market) -> Any:
    values, missing = _values(rows, "timestamp", np.int64)
    for i in missing:
        values[i] = market.midnight(days[i])
    return values


def _counts(rows: Sequence[Any], names: Sequence[str], column: Column) -> Any:
    try:
        values, missing = _values(rows, column.name, np.int64)
    except OverflowError as error:  # unsigned on the wire
        numbers = [getattr(row, column.name) for row in rows]
        largest = max(numbers)
        raise ProtocolError(
            f"the row of {names[numbers.index(largest)]} has {column.name} = {largest}, more than "
            "any count of shares can be. Close the source and read again; if it stays so, update "
            "OpenD"
        ) from error
    mask = np.zeros(len(values), dtype=bool)
    mask[missing] = True
    return pd.arrays.IntegerArray(values, mask)


def _numbers(rows: Sequence[Any], column: Column) -> Any:
    values, missing = _values(rows, column.name, np.float64)
    values[missing] = np.nan
    return values
