"""A ticker's values in the market's short-selling rank, and the order of tickers in it. Pure.

How a live gateway computes its numbers is not documented. Here they follow their names, from the
ticker's own newest rows. A session is one row, a week 5 rows and a month 20 rows, since the
gateway's own monthly figure (``daily_trade_avg_ratio``) covers 20 sessions. As in that figure, an
average ratio is all shares sold short divided by all shares traded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intake_futu_short.calls import SHORT_SELLING_RANK
from intake_futu_short.rank_requests import SORTS, column_of
from intake_futu_short.security import HK, MARKETS, US

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intake_futu_short.gateway.histories import History
    from intake_futu_short.security import Security

    Number = int | float

__all__ = ["COUNT", "NEWEST_ROWS", "SORT_KEYS", "Ranked", "objection", "ranked", "sort"]

# Column of each sort field, from number 1 on. Number 0 means the first one too.
SORT_KEYS = tuple(map(column_of, SORTS))
# Rows of a page, unless asked otherwise.
COUNT = 10
# Rows of a history that are used.
NEWEST_ROWS = 20

_WEEK, _MONTH = 5, 20
_VOLUME = {US.name: "volume", HK.name: "shares_traded"}
_SHORT = {US.name: "total_shares_short", HK.name: "short_sell_shares_traded"}
_POSITION = {
    US.name: ("shares_short", "short_percent"),
    HK.name: ("aggregated_short", "aggregated_short_ratio"),
}


@dataclass(frozen=True)
class Ranked:
    """A ticker in the rank of its market.

    Attributes
    ----------
    security : Security
        The ticker.
    values : mapping of str to number
        Values by column of the call. ``week_avg_volume`` and ``month_avg_volume`` are for sorting,
        and are not sent. Values that the rows do not give are left out.
    """

    security: Security
    values: Mapping[str, Number]


def ranked(history: History, interest: History | None) -> Ranked | None:
    """A ticker's values in the rank; None when it has no row.

    Parameters
    ----------
    history : History
        Rows of short volume; the newest `NEWEST_ROWS` suffice.
    interest : History, optional
        Rows of short interest. The newest one gives the position. In HK, the position reported with
        short volume is used instead if it is newer.

    Notes
    -----
    Ratios and changes of prices are percents; the change of a ratio is in percentage points.
    A change compares with the row before, or with 5 or 10 rows before; the change of a day compares
    with the row's ``last_close_price``. An average needs values in all of its rows, and an average
    of counts is rounded. ``days_to_cover`` is the reported one; if there is none, it is the
    position divided by the month's average volume.
    """
    if not history.rows:
        return None
    market = history.security.market.name
    rows = history.rows[:NEWEST_ROWS]
    closes = [_number(row.get("close_price")) for row in rows]
    volumes = [_count(row.get(_VOLUME[market])) for row in rows]
    shorts = [_count(row.get(_SHORT[market])) for row in rows]
    ratios = [_percent(short, volume) for short, volume in zip(shorts, volumes, strict=True)][:2]
    month_volume = _mean(volumes, _MONTH)
    position, ratio, days = _position(history, interest)
    if days is None and position is not None and month_volume:
        days = position / month_volume
    told = {
        "close_price": closes[0],
        "change_ratio": _change(closes[0], _number(rows[0].get("last_close_price"))),
        "change_ratio_5d": _change(closes[0], _at(closes, 5)),
        "change_ratio_10d": _change(closes[0], _at(closes, 10)),
        "volume": volumes[0],
        "short_number": shorts[0],
        "short_number_change": _difference(shorts[0], _at(shorts, 1)),
        "short_ratio": ratios[0],
        "short_ratio_change": _difference(ratios[0], _at(ratios, 1)),
        "short_position_volume": position,
        "short_position_ratio": ratio,
        "days_to_cover": days,
        "week_avg_volume": _mean(volumes, _WEEK),
        "week_avg_short_number": _mean(shorts, _WEEK),
        "week_avg_short_ratio": _percent(_sum(shorts, _WEEK), _sum(volumes, _WEEK)),
        "month_avg_volume": month_volume,
        "month_avg_short_number": _mean(shorts, _MONTH),
        "month_avg_short_ratio": _percent(_sum(shorts, _MONTH), _sum(volumes, _MONTH)),
    }
    values = {name: value for name, value in told.items() if _is_sent(value)}
    return Ranked(history.security, values)


def sort(rows: Iterable[Ranked], key: str, *, descending: bool) -> list[Ranked]:
    """Sort tickers. Those without the value come last in either order.

    Ties are in the order of their codes, so that the pages of a rank are consistent.
    """
    by_code = sorted(rows, key=lambda row: row.security.code)
    there = [row for row in by_code if key in row.values]
    there.sort(key=lambda row: row.values[key], reverse=descending)
    return [*there, *(row for row in by_code if key not in row.values)]


def objection(c2s: Any) -> str | None:
    """The text that refuses a request for the rank; None when it can be answered."""
    most = SHORT_SELLING_RANK.max_rows
    words = None
    if c2s.HasField("market") and c2s.market not in {market.number for market in MARKETS.values()}:
        words = f"market must be {HK.number} (HK) or {US.number} (US), not {c2s.market}"
    elif not 0 <= c2s.sort_field <= len(SORT_KEYS):
        words = f"sortField must be from 0 to {len(SORT_KEYS)}, not {c2s.sort_field}"
    elif c2s.sort_dir not in {0, 1}:
        words = f"sortDir must be 0 (descending) or 1 (ascending), not {c2s.sort_dir}"
    elif c2s.offset < 0:
        words = f"offset must be 0 or more, not {c2s.offset}"
    elif c2s.HasField("count") and not 1 <= c2s.count <= most:
        words = f"count must be from 1 to {most}, not {c2s.count}"
    elif c2s.plate_list:
        # An empty list would look like a plate where nobody sells short.
        words = "Unknown plate. This gateway knows no plates and ranks whole markets only"
    return words


def _position(
    history: History, interest: History | None
) -> tuple[int | None, Number | None, Number | None]:
    """The newest reported position: shares, percent, and days to cover where they are reported."""
    as_of = history.new_time_str or ""
    if interest is not None and interest.rows and interest.days[0] >= as_of:
        shares, percent = _POSITION[history.security.market.name]
        row = interest.rows[0]
        return _count(row.get(shares)), _number(row.get(percent)), _number(row.get("days_to_cover"))
    return history.aggregated_short, history.aggregated_short_ratio, None


def _number(value: object) -> Number | None:
    return value if isinstance(value, (int, float)) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _at(values: Sequence[Any], place: int) -> Any:
    return values[place] if place < len(values) else None


def _difference(now: Any, before: Any) -> Any:
    return None if now is None or before is None else now - before


def _change(now: Number | None, before: Number | None) -> float | None:
    return _percent(_difference(now, before), before)


def _percent(part: Number | None, whole: Number | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _sum(values: Sequence[int | None], number: int) -> int | None:
    newest = [value for value in values[:number] if value is not None]
    return sum(newest) if len(newest) == number else None


def _mean(values: Sequence[int | None], number: int) -> int | None:
    total = _sum(values, number)
    return None if total is None else (2 * total + number) // (2 * number)


def _is_sent(value: Number | None) -> bool:
    """Whether a value is there, is a number, and fits its field."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is not None and math.isfinite(value)
