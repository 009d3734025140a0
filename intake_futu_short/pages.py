"""Turns an answer of the gateway into a page: rows, trading days and values beside them. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from operator import ge
from typing import TYPE_CHECKING, Any

from intake_futu_short.errors import ProtocolError
from intake_futu_short.security import MARKETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intake_futu_short.calls import Table, Ticker

__all__ = ["END", "Page", "misdated", "newest_first", "page_of", "pick"]

END = "-1"


@dataclass(frozen=True)
class Page:
    """Rows of one answer, or some of them.

    Attributes
    ----------
    rows : sequence of messages
        Newest first within a walk.
    days : sequence of str
        Trading day of each row, ``YYYY-MM-DD``.
    next_key : str
        The cursor that came with the answer; ``"-1"`` when there was none.
    attrs : mapping of str to value
        Values beside the rows, by the names of `Table.attrs`; None for values not sent.
    """

    rows: Sequence[Any]
    days: Sequence[str]
    next_key: str
    attrs: Mapping[str, Any]


def page_of(answer: Any, ticker: Ticker) -> Page:
    """The whole content of an answer, with its rows in the order in which they came.

    Raises
    ------
    ProtocolError
        When a row has no trading day, rows belong to another market, or a text is not UTF-8.
    """
    table = ticker.table
    rows = _rows(answer, table, ticker)
    days = _days(rows, table)
    next_key = _text(answer, "next_key")
    return Page(rows, days, END if next_key is None else next_key, _attrs(answer, table))


def newest_first(page: Page) -> Page:
    """Sort the rows. Rows of the same day stay in the order in which they came."""
    if all(map(ge, page.days, page.days[1:])):
        return page
    return pick(page, sorted(range(len(page.days)), key=page.days.__getitem__, reverse=True))


def pick(page: Page, keep: Sequence[int]) -> Page:
    """Some of the rows, by their positions."""
    rows, days = [page.rows[i] for i in keep], [page.days[i] for i in keep]
    return replace(page, rows=rows, days=days)


def misdated(page: Page, table: Table) -> Sequence[str]:
    """Days of rows whose timestamp falls on another day in the market."""
    market = table.market.name
    return [
        day
        for row, day in zip(page.rows, page.days, strict=True)
        if row.timestamp != _midnight(market, day) and not _is_within(row, day, table)
    ]


@lru_cache(maxsize=2**14)  # a market's days come again with every ticker
def _midnight(market: str, day: str) -> int:
    return MARKETS[market].midnight(day)


def _is_within(row: Any, day: str, table: Table) -> bool:
    try:
        return not row.HasField("timestamp") or table.market.day(row.timestamp) == day
    except (ValueError, OverflowError, OSError):  # of no day at all
        return False


def _rows(answer: Any, table: Table, ticker: Ticker) -> Sequence[Any]:
    # Protobuf creates a row's object at every access, unless a reference to it is held.
    own = list(getattr(answer, table.field))
    if not own:
        others = [other for other in ticker.call.tables.values() if other is not table]
        number = sum(len(getattr(answer, other.field)) for other in others)
        if number:
            raise ProtocolError(f"{number} rows of another market came")
    return own


def _days(rows: Sequence[Any], table: Table) -> list[str]:
    days = [row.timestamp_str for row in rows]
    if not all(map(_is_day, days)):
        for i, (row, day) in enumerate(zip(rows, days, strict=True)):
            if not day:
                days[i] = _day_of_timestamp(row, table)
            elif not _is_day(day):
                raise ProtocolError(f"row {i} has the trading day {day!r}; YYYY-MM-DD is expected")
    return days


@lru_cache(maxsize=2**14)  # a market's days come again with every ticker
def _is_day(day: Any) -> bool:
    # Bytes (not UTF-8) and ISO's other forms with ten characters are not accepted.
    try:
        dt.date.fromisoformat(day)
    except (TypeError, ValueError):
        return False
    return bool(day[4] == day[7] == "-")


def _day_of_timestamp(row: Any, table: Table) -> str:
    if not row.HasField("timestamp"):
        raise ProtocolError("a row has neither timestamp nor timestamp_str")
    try:
        return table.market.day(row.timestamp)
    except (ValueError, OverflowError, OSError) as error:
        raise ProtocolError(f"a row has the timestamp {row.timestamp}") from error


def _attrs(answer: Any, table: Table) -> dict[str, Any]:
    return {attr.name: _attr(answer, attr.name, attr.kind) for attr in table.attrs}


def _attr(answer: Any, name: str, kind: str) -> Any:
    if kind == "day":
        return _text(answer, name)
    if not answer.HasField(name):
        return None
    value = getattr(answer, name)
    # NaN and infinities become None: attributes are JSON, which has neither.
    return value if isfinite(value) else None


def _text(answer: Any, name: str) -> str | None:
    if not answer.HasField(name):
        return None
    value = getattr(answer, name)
    if not isinstance(value, str):
        raise ProtocolError(f"{name} is not UTF-8: {value!r}")
    return value
